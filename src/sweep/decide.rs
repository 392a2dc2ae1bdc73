//! What follows from an event: decisions, each applied as soon as it is taken.

use super::contest::{LazyForecast, Step};
use super::trial::Trial;
use super::{Effect, Event, Exit, Fact, Phase, RunEnd, RunId, SlotId, Sweep, SweepEnd, TrialEnd, TrialId};
use crate::protocol::Measurement;
use crate::search::prune::Curve;
use crate::search::space::Point;

/// The decisions of one event, each applied as soon as it is taken.
pub(super) struct Effects<'a> {
    pub(super) sweep: &'a mut Sweep,
    pub(super) list: Vec<Effect>,
    pub(super) forecast: LazyForecast,
}

impl Effects<'_> {
    pub(super) fn record(&mut self, fact: Fact) {
        self.sweep.apply(&fact);
        self.list.push(Effect::Record(fact));
    }

    pub(super) fn decide(&mut self, event: Event) {
        match event {
            Event::Begin => self.begin(),
            Event::RetryFailed => {
                let failed: Vec<TrialId> =
                    self.sweep.trials().filter(|(_, trial)| trial.failed()).map(|(id, _)| id).collect();
                for trial in failed {
                    self.record(Fact::TrialReopened { trial });
                }
                for (trial, epochs) in self.sweep.failed_refits() {
                    self.record(Fact::RefitChosen { trial, epochs });
                }
            }
            Event::Started { run, place } => {
                if let Some(slot) = self.slot_of(run) {
                    self.record(Fact::RunStarted { run, slot, place });
                }
            }
            Event::NotStarted { run, why } => {
                // the next one would hardly start either: stop before every trial has failed
                self.sweep.phase = Phase::Draining { why: format!("a run could not be started: {why}") };
                self.end_run(run, RunEnd::Interrupted { why });
            }
            Event::Measured { run, measurement } => self.measured(run, measurement),
            Event::Saved { run, checkpoint } => self.record(Fact::Saved { run, checkpoint }),
            Event::Predicted { run, predictions } => self.record(Fact::Predicted { run, predictions }),
            Event::Exited { run, exit } => {
                let end = self.judge(run, exit);
                self.end_run(run, end);
            }
            Event::Elapsed(elapsed) => self.sweep.elapsed = elapsed,
            Event::Stop { why } => {
                if matches!(self.sweep.phase, Phase::Running | Phase::Paused) {
                    self.sweep.phase = Phase::Draining { why };
                    self.fill();
                }
            }
            Event::Kill { why } => {
                self.terminate_all(&why);
                self.sweep.phase = Phase::Killing { why };
                self.fill();
            }
            Event::Ordered { order, by } => self.obey(&order, by),
        }
    }

    /// Whatever still counts as running was lost with the coordinator that ran it.
    fn begin(&mut self) {
        let first = self.sweep.trials.is_empty();
        self.record(if first { Fact::SweepStarted } else { Fact::SweepResumed });
        let of_folds = self.sweep.trials().flat_map(|(id, trial)| trial.running(id));
        for run in of_folds.chain(self.sweep.running_refits()).collect::<Vec<_>>() {
            let lost = || RunEnd::Interrupted { why: "lost: its coordinator ended".to_owned() };
            let end = self.end_with_trial(run).unwrap_or_else(lost);
            self.record(Fact::RunEnded { run, end });
        }
        if self.sweep.plan.spec.baseline && self.sweep.trial(TrialId::BASELINE).is_none() {
            self.record(Fact::TrialProposed { trial: TrialId::BASELINE, point: Point::default() });
        }
        self.settle();
        self.fill();
    }

    fn judge(&self, run: RunId, exit: Exit) -> RunEnd {
        let told = || self.end_with_trial(run).or_else(|| self.told_to_end(run));
        match (exit, &self.sweep.phase) {
            (Exit::Done(done), _) if done.score.is_finite() => RunEnd::Finished {
                score: done.score,
                best_epoch: done.best_epoch,
                epochs: done.epochs,
                peak_memory_mb: done.peak_memory_mb,
            },
            (Exit::Done(done), _) => {
                let objective = &self.sweep.plan.spec.search.objective;
                RunEnd::Failed { why: format!("its {objective} is {}", done.score) }
            }
            (Exit::Failed { .. } | Exit::Crashed { .. }, _) if let Some(end) = told() => end,
            (Exit::Failed { why }, _) => RunEnd::Failed { why },
            (Exit::Crashed { .. }, Phase::Killing { why }) => RunEnd::Interrupted { why: why.clone() },
            (Exit::Crashed { why }, _) => {
                if self.sweep.trial(run.trial).is_some_and(Trial::failed) {
                    RunEnd::Cancelled { why: "another fold of its trial failed".to_owned() }
                } else {
                    RunEnd::Crashed { why }
                }
            }
        }
    }

    /// An epoch is judged once, however often it is measured.
    fn measured(&mut self, run: RunId, measurement: Measurement) {
        let epoch = self.sweep.objective_of(&measurement).map(|(epoch, _)| epoch);
        let last = self.sweep.curve(run).and_then(Curve::epochs);
        self.record(Fact::Measured { run, measurement });
        if epoch > last
            && let Some(end) = self.sweep.outrun(run)
        {
            self.end_trial(run.trial, end);
        }
    }

    /// How a run ends whose trial was given up or killed.
    fn end_with_trial(&self, run: RunId) -> Option<RunEnd> {
        let why = match &self.sweep.trial(run.trial)?.end {
            Some(TrialEnd::Dropped { why } | TrialEnd::Pruned { why }) => why.clone(),
            Some(TrialEnd::Cancelled { why }) => return Some(RunEnd::Cancelled { why: why.clone() }),
            Some(TrialEnd::Finished { .. } | TrialEnd::Failed { .. }) | None => return None,
        };
        let curve = self.sweep.curve(run);
        let best = curve.and_then(|curve| curve.best(self.sweep.plan.spec.search.direction));
        Some(RunEnd::Pruned {
            why,
            score: best.map(|(_, score)| score),
            best_epoch: best.map(|(epoch, _)| epoch),
            epochs: curve.and_then(Curve::epochs),
        })
    }

    /// How a run ends that was told to, while its trial goes on.
    fn told_to_end(&self, run: RunId) -> Option<RunEnd> {
        let is_open = self.sweep.trial(run.trial).is_some_and(|trial| trial.end.is_none());
        let why = self.sweep.ending.get(&run).filter(|_| is_open)?;
        Some(RunEnd::Interrupted { why: why.clone() })
    }

    fn end_run(&mut self, run: RunId, end: RunEnd) {
        self.record(Fact::RunEnded { run, end });
        self.settle();
        self.fill();
    }

    /// Ends the trials whose last fold is decided, those that cannot be finished any more, and those that are not worth
    /// it.
    pub(super) fn settle(&mut self) {
        let retries = self.sweep.plan.retries;
        let ends: Vec<(TrialId, TrialEnd)> =
            self.sweep.trials().filter_map(|(id, trial)| Some((id, trial.verdict(retries)?))).collect();
        let is_news = ends.iter().any(|(_, end)| matches!(end, TrialEnd::Finished { .. }));
        for (trial, end) in ends {
            self.end_trial(trial, end);
        }
        for (trial, end) in self.sweep.raced_out(&self.forecast) {
            self.end_trial(trial, end);
        }
        if is_news && let Some(why) = self.sweep.converges() {
            self.record(Fact::Converged { why });
        }
    }

    /// Its runs that still go on are stopped.
    pub(super) fn end_trial(&mut self, trial: TrialId, end: TrialEnd) {
        let why = match &end {
            TrialEnd::Finished { .. } => None,
            TrialEnd::Failed { .. } => Some("another fold of its trial failed".to_owned()),
            TrialEnd::Dropped { why } | TrialEnd::Pruned { why } | TrialEnd::Cancelled { why } => Some(why.clone()),
        };
        self.record(Fact::TrialEnded { trial, end });
        let Some(why) = why else { return };
        for run in self.sweep.slots.clone().into_iter().flatten().filter(|run| run.trial == trial) {
            self.terminate(run, why.clone());
        }
    }

    /// Gives every free slot a run.
    pub(super) fn fill(&mut self) {
        while self.sweep.phase == Phase::Running
            && let Some(slot) = self.sweep.free_slot()
        {
            let Some(run) = self.next().or_else(|| self.next_refit()) else {
                break;
            };
            self.sweep.slots[slot] = Some(run);
            self.list.push(Effect::Spawn { run, slot: SlotId(slot as u32) });
        }
        if self.sweep.slots.iter().any(Option::is_some) {
            return;
        }
        let is_left = || self.sweep.is_open() || self.sweep.next_point().is_some() || self.sweep.is_refit_left();
        let end = match &self.sweep.phase {
            Phase::Ended(_) | Phase::Paused => return,
            Phase::Running => match self.sweep.no_room() {
                Some(why) if self.sweep.is_open() || self.sweep.point_left().is_some() => SweepEnd::Enough { why },
                _ => self.sweep.never_began().map_or(SweepEnd::Finished, |why| SweepEnd::Enough { why }),
            },
            // a stop that came when nothing was left to do stopped nothing
            Phase::Draining { why } | Phase::Killing { why } if is_left() => SweepEnd::Stopped { why: why.clone() },
            Phase::Draining { .. } | Phase::Killing { .. } => SweepEnd::Finished,
        };
        self.record(Fact::SweepEnded { end: end.clone() });
        self.list.push(Effect::Leave(end));
    }

    /// The run for a free slot. No slot stays empty while something can be done.
    fn next(&mut self) -> Option<RunId> {
        if self.sweep.out_of_time().is_some() {
            return None;
        }
        match self.sweep.next(&self.forecast)? {
            Step::Run(run) => Some(run),
            Step::Propose(point) => {
                let trial = TrialId(self.sweep.proposed() as i32);
                self.record(Fact::TrialProposed { trial, point });
                self.sweep.trial(trial)?.waiting(trial).next()
            }
        }
    }

    /// The run on all documents that are not held out, once the search is over: of the best trial, and of the baseline.
    fn next_refit(&mut self) -> Option<RunId> {
        if self.sweep.is_searching() {
            return None;
        }
        for (trial, epochs) in self.sweep.unchosen_refits() {
            self.record(Fact::RefitChosen { trial, epochs });
        }
        self.sweep.waiting_refits().next()
    }

    fn slot_of(&self, run: RunId) -> Option<SlotId> {
        let index = self.sweep.slots.iter().position(|slot| *slot == Some(run))?;
        Some(SlotId(index as u32))
    }
}
