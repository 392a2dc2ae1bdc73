//! A sweep that is open on the screen: its trials and runs, compactly, folded from a snapshot and the facts after it.

mod trial;

pub use trial::{Run, Setting, Trial};

use trial::Names;

use crate::crossval::{Comparison, SIGNIFICANCE};
use crate::search::space::Point;
use crate::spec::Direction;
use crate::store::{Millis, Recorded, RunRecord, RunState, Snapshot, TrialRecord, TrialState};
use crate::sweep::{Fact, Order, RunEnd, TrialId};

/// All trials of one sweep. Ten thousand of five folds take some 12 MB.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub direction: Direction,
    /// Runs of one finished trial.
    pub folds: u32,
    /// Folds of one repeat.
    pub k: u32,
    /// Dotted keys of all parameters, in the order of the points.
    pub parameters: Vec<String>,
    /// In the order of their numbers, the baseline first.
    pub trials: Vec<Trial>,
    next_seq: u64,
    is_still: bool,
    best: Option<usize>,
    range: Option<(f64, f64)>,
    devices: Names,
    texts: Names,
}

/// How a trial stands against the best one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Best,
    /// The corrected test, paired over the folds, finds no difference.
    Tied,
    Behind,
    /// Not finished, or a single fold that allows no test.
    Unknown,
}

impl Ledger {
    /// Of a sweep with so many folds in a repeat.
    pub fn new(snapshot: Snapshot, k: u32) -> Self {
        let mut ledger = Self {
            direction: snapshot.direction,
            folds: snapshot.folds,
            k,
            parameters: Vec::new(),
            trials: Vec::with_capacity(snapshot.trials.len()),
            is_still: false,
            next_seq: snapshot.next_seq,
            best: None,
            range: None,
            devices: Names::default(),
            texts: Names::default(),
        };
        for record in snapshot.trials {
            ledger.record_trial(record);
        }
        for record in snapshot.runs {
            ledger.record_run(record);
        }
        ledger.find_best();
        ledger
    }

    /// Takes in what was recorded since. Facts that it has already are passed over.
    pub fn fold(&mut self, facts: &[Recorded]) {
        for recorded in facts {
            if recorded.seq >= self.next_seq {
                self.next_seq = recorded.seq + 1;
                self.apply(&recorded.fact, recorded.at);
            }
        }
    }

    /// As it is while nobody runs the sweep, since then: what is under way stands still, as it will be recorded when the
    /// sweep resumes.
    #[must_use]
    pub fn stood_still(&self, since: Millis) -> Self {
        let mut still = Self { is_still: true, ..self.clone() };
        for trial in &mut still.trials {
            for run in trial.runs.iter_mut().filter(|run| run.is_running()) {
                run.state = RunState::Interrupted;
                run.ended = Some(run.started.map_or(since, |started| started.max(since)));
            }
            if trial.state == TrialState::Running {
                trial.state = TrialState::Waiting;
            }
        }
        still
    }

    /// Changes with all that it tells: what was computed from another one is out of date.
    pub fn version(&self) -> (u64, bool) {
        (self.next_seq, self.is_still)
    }

    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(self.index(id)?)
    }

    pub fn index(&self, id: TrialId) -> Option<usize> {
        self.trials.binary_search_by_key(&id, |trial| trial.id).ok()
    }

    /// The finished trial with the best score, the first of them; never the baseline.
    pub fn best(&self) -> Option<&Trial> {
        self.trials.get(self.best?)
    }

    pub fn baseline(&self) -> Option<&Trial> {
        self.trial(TrialId::BASELINE)
    }

    /// How a finished trial compares with the best one, on the folds that both have.
    pub fn against_best(&self, trial: &Trial) -> Option<Comparison> {
        trial.compared_with(self.best()?, self.k)
    }

    pub fn standing(&self, trial: &Trial) -> Standing {
        let Some(best) = self.best() else { return Standing::Unknown };
        if best.id == trial.id {
            return Standing::Best;
        }
        if trial.state != TrialState::Finished || trial.excluded {
            return Standing::Unknown;
        }
        match trial.compared_with(best, self.k).and_then(|comparison| comparison.p) {
            Some(p) if p >= SIGNIFICANCE => Standing::Tied,
            Some(_) => Standing::Behind,
            None => Standing::Unknown,
        }
    }

    /// Lowest and highest fold score of the finished runs.
    pub fn score_range(&self) -> Option<(f64, f64)> {
        self.range
    }

    fn widen_range(&mut self, score: f64) {
        if score.is_finite() {
            let (low, high) = self.range.unwrap_or((score, score));
            self.range = Some((low.min(score), high.max(score)));
        }
    }

    fn record_trial(&mut self, record: TrialRecord) {
        let point: Point = serde_json::from_str(&record.params).unwrap_or_default();
        let values = self.values(&point);
        self.trials.push(Trial {
            id: record.trial,
            state: record.state,
            why: record.why,
            score: record.score,
            score_se: record.score_se,
            given_up: record.given_up,
            excluded: record.excluded,
            note: record.note,
            tags: record.tags,
            values,
            proposed: record.proposed,
            ended: record.ended,
            runs: Vec::new(),
        });
    }

    fn record_run(&mut self, record: RunRecord) {
        let (device, host) =
            (record.device.map(|name| self.devices.get(&name)), record.host.map(|name| self.devices.get(&name)));
        if let (RunState::Finished, Some(score)) = (record.state, record.score) {
            self.widen_range(score);
        }
        let Some(trial) = self.index(record.run.trial).and_then(|index| self.trials.get_mut(index)) else { return };
        trial.runs.push(Run {
            fold: record.run.fold,
            attempt: record.run.attempt,
            state: record.state,
            score: record.score,
            best_epoch: record.best_epoch,
            epochs: record.epochs,
            peak_memory_mb: record.peak_memory_mb,
            slot: record.slot,
            device,
            host,
            pid: record.pid,
            started: record.started,
            ended: record.ended,
            why: record.why,
        });
    }

    /// What the store projects of a fact, on this picture of it.
    fn apply(&mut self, fact: &Fact, at: Millis) {
        match fact {
            Fact::TrialProposed { trial, point } | Fact::TrialEnqueued { trial, point } => {
                let values = self.values(point);
                let new = Trial::proposed(*trial, values, at);
                match self.trials.binary_search_by_key(trial, |trial| trial.id) {
                    Ok(index) => self.trials[index] = new,
                    Err(index) => {
                        self.trials.insert(index, new);
                        self.best = self.best.map(|best| if best >= index { best + 1 } else { best });
                    }
                }
            }
            // the screen shows folds
            Fact::RunStarted { run, .. } | Fact::RunEnded { run, .. } if run.fold.is_holdout() => {}
            Fact::RunStarted { run, slot, place } => {
                let (device, host) = (self.devices.get(&place.device), self.devices.get(&place.host));
                let Some(trial) = self.trial_mut(run.trial) else { return };
                let begun = trial.run_mut(*run);
                begun.slot = Some(slot.0);
                begun.device = Some(device);
                begun.host = Some(host);
                begun.pid = Some(place.pid);
                begun.started = Some(at);
                if trial.state == TrialState::Waiting {
                    trial.state = TrialState::Running;
                }
            }
            Fact::RunEnded { run, end } => {
                if let RunEnd::Finished { score, .. } = end {
                    self.widen_range(*score);
                }
                if let Some(trial) = self.trial_mut(run.trial) {
                    trial.run_mut(*run).end(end, at);
                }
            }
            Fact::TrialEnded { trial, end } => {
                if let Some(trial) = self.trial_mut(*trial) {
                    trial.end(end, at);
                    self.find_best();
                }
            }
            Fact::TrialReopened { trial } => {
                if let Some(trial) = self.trial_mut(*trial) {
                    (trial.state, trial.why, trial.ended) = (TrialState::Waiting, None, None);
                }
            }
            Fact::SweepResumed | Fact::SweepEnded { .. } => {
                for trial in self.trials.iter_mut().filter(|trial| trial.state == TrialState::Running) {
                    trial.state = TrialState::Waiting;
                }
            }
            Fact::Ordered { order, .. } => self.ordered(order),
            Fact::SweepStarted
            | Fact::RefitChosen { .. }
            | Fact::Converged { .. }
            | Fact::Measured { .. }
            | Fact::Saved { .. }
            | Fact::Predicted { .. } => {}
        }
    }

    /// What somebody said of a trial; what else they ordered shows in the facts that follow.
    fn ordered(&mut self, order: &Order) {
        let (Order::Exclude { trial }
        | Order::Include { trial }
        | Order::Note { trial, .. }
        | Order::Tag { trial, .. }
        | Order::Untag { trial, .. }) = order
        else {
            return;
        };
        let Some(trial) = self.trial_mut(*trial) else { return };
        match order {
            Order::Note { text, .. } => trial.note = (!text.is_empty()).then(|| text.as_str().into()),
            Order::Tag { tag, .. } => {
                if let Err(place) = trial.tags.binary_search_by(|known| (**known).cmp(tag)) {
                    trial.tags.insert(place, tag.as_str().into());
                }
            }
            Order::Untag { tag, .. } => trial.tags.retain(|known| **known != **tag),
            _ => {
                trial.excluded = matches!(order, Order::Exclude { .. });
                self.find_best();
            }
        }
    }

    fn trial_mut(&mut self, id: TrialId) -> Option<&mut Trial> {
        let index = self.index(id)?;
        self.trials.get_mut(index)
    }

    fn find_best(&mut self) {
        let mut best: Option<(usize, f64)> = None;
        for (index, trial) in
            self.trials.iter().enumerate().filter(|(_, trial)| !trial.id.is_baseline() && !trial.excluded)
        {
            let Some(score) = trial.score.filter(|_| trial.state == TrialState::Finished) else { continue };
            if best.is_none_or(|(_, highest)| self.direction.better(score, highest)) {
                best = Some((index, score));
            }
        }
        self.best = best.map(|(index, _)| index);
    }

    fn values(&mut self, point: &Point) -> Box<[Setting]> {
        for (name, _) in point.iter() {
            if !self.parameters.contains(name) {
                self.parameters.push(name.clone());
            }
        }
        let texts = &mut self.texts;
        self.parameters
            .iter()
            .map(|name| point.get(name).map_or(Setting::Absent, |value| texts.setting(value)))
            .collect()
    }
}
