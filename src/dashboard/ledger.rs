//! A sweep that is open on the screen: its trials and runs, compactly, folded from a snapshot and the facts after it.

use std::sync::Arc;

use serde_json::Value;

use crate::crossval::{Comparison, SIGNIFICANCE};
use crate::search::space::Point;
use crate::spec::Direction;
use crate::store::{GivenUp, Millis, Recorded, RunRecord, RunState, Snapshot, TrialRecord, TrialState};
use crate::sweep::{Fact, FoldId, Order, RunEnd, RunId, TrialEnd, TrialId};

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
    /// Changes with everything that is folded in: what was computed from an older one is out of date.
    pub version: u64,
    next_seq: u64,
    best: Option<usize>,
    range: Option<(f64, f64)>,
    devices: Names,
    texts: Names,
    /// Runs that were under way when the coordinator was lost: nobody has recorded how they ended.
    lost: Vec<RunId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub id: TrialId,
    pub state: TrialState,
    pub why: Option<Box<str>>,
    /// Mean over all folds; none before it is finished.
    pub score: Option<f64>,
    pub score_se: Option<f64>,
    pub given_up: Option<GivenUp>,
    /// It counts in nothing.
    pub excluded: bool,
    pub note: Option<Box<str>>,
    /// Sorted.
    pub tags: Vec<Box<str>>,
    /// One for each of the ledger's parameters, as far as they were known when it was proposed.
    values: Box<[Setting]>,
    pub proposed: Millis,
    pub ended: Option<Millis>,
    /// In the order of repeat, fold, attempt.
    pub runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub fold: FoldId,
    pub attempt: u32,
    pub state: RunState,
    /// The objective at its best epoch; of a pruned run, so far.
    pub score: Option<f64>,
    pub best_epoch: Option<u32>,
    pub epochs: Option<u32>,
    pub peak_memory_mb: Option<u32>,
    pub slot: Option<u32>,
    pub device: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    pub pid: Option<u32>,
    pub started: Option<Millis>,
    pub ended: Option<Millis>,
    pub why: Option<Box<str>>,
}

/// What a parameter is set to.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting {
    /// The parameter has no meaning at this point.
    #[default]
    Absent,
    Number(f64),
    Truth(bool),
    /// Texts as they are, lists and tables as JSON.
    Text(Arc<str>),
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
            version: 0,
            next_seq: snapshot.next_seq,
            best: None,
            range: None,
            devices: Names::default(),
            texts: Names::default(),
            lost: Vec::new(),
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
        self.version += 1;
    }

    /// Nobody runs the sweep since then: what is under way stands still, as it will be recorded when the sweep resumes.
    /// None: somebody runs it.
    pub fn stand_still(&mut self, since: Option<Millis>) {
        let Some(since) = since else {
            self.go_on();
            return;
        };
        for trial in &mut self.trials {
            for run in trial.runs.iter_mut().filter(|run| run.is_running()) {
                run.state = RunState::Interrupted;
                run.ended = Some(run.started.map_or(since, |started| started.max(since)));
                self.lost.push(RunId { trial: trial.id, fold: run.fold, attempt: run.attempt });
                self.version += 1;
            }
            if trial.state == TrialState::Running {
                trial.state = TrialState::Waiting;
            }
        }
    }

    /// What stood still was not lost after all.
    fn go_on(&mut self) {
        for id in std::mem::take(&mut self.lost) {
            self.version += 1;
            let Some(trial) = self.trial_mut(id.trial) else { continue };
            let run = trial.run_mut(id);
            (run.state, run.ended) = (RunState::Running, None);
            if trial.state == TrialState::Waiting {
                trial.state = TrialState::Running;
            }
        }
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
                self.lost.retain(|lost| lost != run);
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
                // the facts that follow tell how they ended
                self.lost.clear();
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

impl Trial {
    fn proposed(id: TrialId, values: Box<[Setting]>, proposed: Millis) -> Self {
        Self {
            id,
            state: TrialState::Waiting,
            why: None,
            score: None,
            score_se: None,
            given_up: None,
            excluded: false,
            note: None,
            tags: Vec::new(),
            values,
            proposed,
            ended: None,
            runs: Vec::new(),
        }
    }

    /// The value of a ledger's parameter.
    pub fn setting(&self, parameter: usize) -> &Setting {
        self.values.get(parameter).unwrap_or(&Setting::Absent)
    }

    /// How many of the ledger's parameters it knows.
    pub fn settings(&self) -> usize {
        self.values.len()
    }

    /// Whether anything was said of it.
    pub fn has_remarks(&self) -> bool {
        self.excluded || self.note.is_some() || !self.tags.is_empty()
    }

    /// `excluded fast large “the loss explodes”`
    pub fn remarks(&self) -> String {
        let excluded = self.excluded.then(|| "excluded".to_owned());
        let tags = self.tags.iter().map(ToString::to_string);
        let note = self.note.as_ref().map(|note| format!("“{note}”"));
        excluded.into_iter().chain(tags).chain(note).collect::<Vec<_>>().join(" ")
    }

    /// The newest attempt at each fold.
    pub fn newest_runs(&self) -> impl Iterator<Item = &Run> {
        let later = self.runs.iter().skip(1).map(Some).chain([None]);
        self.runs
            .iter()
            .zip(later)
            .filter(|(run, later)| later.is_none_or(|later| later.fold != run.fold))
            .map(|(run, _)| run)
    }

    /// The newest attempt at one fold.
    pub fn newest_run(&self, fold: FoldId) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.fold <= fold);
        self.runs[..after].last().filter(|run| run.fold == fold)
    }

    pub fn folds_done(&self) -> usize {
        self.newest_runs().filter(|run| run.state == RunState::Finished).count()
    }

    /// Mean over the folds that are finished.
    pub fn score_so_far(&self) -> Option<f64> {
        if self.score.is_some() {
            return self.score;
        }
        let (count, sum) = self
            .newest_runs()
            .filter(|run| run.state == RunState::Finished)
            .filter_map(|run| run.score)
            .fold((0, 0.0), |(count, sum), score| (count + 1, sum + score));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Seconds of all its runs; those that go on count up to now.
    pub fn seconds(&self, now: Millis) -> Option<f64> {
        let spans = self.runs.iter().filter_map(|run| run.seconds(now));
        spans.fold(None, |sum, span| Some(sum.unwrap_or(0.0) + span))
    }

    /// On the folds that both have finished, of repeats of `k`.
    pub fn compared_with(&self, other: &Self, k: u32) -> Option<Comparison> {
        let own = self.runs.iter().filter(|run| run.state == RunState::Finished);
        let paired = own.filter_map(|run| {
            let its = other.runs.iter().find(|its| its.fold == run.fold && its.state == RunState::Finished)?;
            Some(run.score? - its.score?)
        });
        let differences: Vec<f64> = paired.collect();
        Comparison::of(&differences, k)
    }

    fn run_mut(&mut self, id: RunId) -> &mut Run {
        let place = self.runs.binary_search_by_key(&(id.fold, id.attempt), |run| (run.fold, run.attempt));
        let index = place.unwrap_or_else(|index| {
            self.runs.insert(index, Run::new(id));
            index
        });
        &mut self.runs[index]
    }

    fn end(&mut self, end: &TrialEnd, at: Millis) {
        self.ended = Some(at);
        (self.state, self.score, self.score_se, self.why) = match end {
            TrialEnd::Finished { score, score_se } => (TrialState::Finished, Some(*score), *score_se, None),
            TrialEnd::Failed { why } => (TrialState::Failed, None, None, Some(why.as_str().into())),
            TrialEnd::Dropped { why } | TrialEnd::Pruned { why } => {
                (TrialState::Pruned, None, None, Some(why.as_str().into()))
            }
            TrialEnd::Cancelled { why } => (TrialState::Cancelled, None, None, Some(why.as_str().into())),
        };
        match end {
            TrialEnd::Dropped { .. } => self.given_up = Some(GivenUp::Race),
            TrialEnd::Pruned { .. } => self.given_up = Some(GivenUp::Prune),
            TrialEnd::Finished { .. } | TrialEnd::Failed { .. } | TrialEnd::Cancelled { .. } => {}
        }
    }
}

impl Run {
    fn new(id: RunId) -> Self {
        Self {
            fold: id.fold,
            attempt: id.attempt,
            state: RunState::Running,
            score: None,
            best_epoch: None,
            epochs: None,
            peak_memory_mb: None,
            slot: None,
            device: None,
            host: None,
            pid: None,
            started: None,
            ended: None,
            why: None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// From its start to its end, or to now.
    pub fn seconds(&self, now: Millis) -> Option<f64> {
        let started = self.started?;
        let ended = self.ended.unwrap_or(if self.state == RunState::Running { now } else { started });
        Some((ended.0 - started.0).max(0) as f64 / 1000.0)
    }

    fn end(&mut self, end: &RunEnd, at: Millis) {
        self.ended = self.ended.or(Some(at));
        let (state, because) = match end {
            RunEnd::Finished { score, best_epoch, epochs, peak_memory_mb } => {
                self.score = Some(*score);
                self.best_epoch = Some(*best_epoch);
                self.epochs = Some(*epochs);
                self.peak_memory_mb = Some(*peak_memory_mb as u32);
                (RunState::Finished, None)
            }
            RunEnd::Failed { why } | RunEnd::Crashed { why } => (RunState::Failed, Some(why)),
            RunEnd::Interrupted { why } => (RunState::Interrupted, Some(why)),
            RunEnd::Cancelled { why } => (RunState::Cancelled, Some(why)),
            RunEnd::Pruned { why, score, best_epoch, epochs } => {
                (self.score, self.best_epoch, self.epochs) = (*score, *best_epoch, *epochs);
                (RunState::Pruned, Some(why))
            }
        };
        self.state = state;
        self.why = because.map(|why| why.as_str().into());
    }
}

impl Setting {
    /// As a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Truth(truth) => Some(f64::from(u8::from(*truth))),
            Self::Absent | Self::Text(_) => None,
        }
    }
}

/// Texts that come again and again, each kept once.
#[derive(Clone, Debug, Default)]
struct Names(Vec<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        // beyond that they hardly come again, and looking them up would cost more than keeping them
        if self.0.len() < 64 {
            self.0.push(Arc::clone(&new));
        }
        new
    }

    fn setting(&mut self, value: &Value) -> Setting {
        match value {
            Value::Null => Setting::Absent,
            Value::Bool(truth) => Setting::Truth(*truth),
            Value::Number(number) => number.as_f64().map_or(Setting::Absent, Setting::Number),
            Value::String(text) => Setting::Text(self.get(text)),
            other => Setting::Text(self.get(&other.to_string())),
        }
    }
}
