//! What happens next: a pure state machine. Events in, effects out; no clock, no files, no processes.
//!
//! [`Sweep::handle`] decides by recording facts and applying them to itself, so that replaying the recorded facts
//! ([`Sweep::replay`]) gives the same state: that is how a sweep resumes.

mod fact;
mod trial;

pub use fact::{Fact, FoldId, Place, RunEnd, RunId, SlotId, SweepEnd, TrialEnd, TrialId};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::{Checkpoint, Done, Measurement, Prediction};
use crate::search::space::Point;
use crate::search::{self, History, Proposal, Tried, TriedState};
use crate::spec::Spec;
use trial::{FoldState, Trial};

/// What a sweep is to do; it does not change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub spec: Arc<Spec>,
    /// Runs at once.
    pub slots: u32,
    /// How often a run whose process died is tried again.
    pub retries: u32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The coordinator is up: nothing of this sweep runs anywhere.
    Begin,
    /// Failed trials are to be tried again (before `Begin`).
    RetryFailed,
    Started {
        run: RunId,
        place: Place,
    },
    /// The process could not be started at all.
    NotStarted {
        run: RunId,
        why: String,
    },
    Measured {
        run: RunId,
        measurement: Measurement,
    },
    Saved {
        run: RunId,
        checkpoint: Checkpoint,
    },
    Predicted {
        run: RunId,
        predictions: Vec<Prediction>,
    },
    Exited {
        run: RunId,
        exit: Exit,
    },
    /// Let the runs end, start no more.
    Stop {
        why: String,
    },
    /// End the runs now; they continue from their last checkpoint later.
    Kill {
        why: String,
    },
}

/// How a run's process ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Exit {
    /// It said that it was done, and left with exit code 0.
    Done(Done),
    /// It said why it cannot go on.
    Failed { why: String },
    /// It died, or broke the protocol.
    Crashed { why: String },
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make it durable before the effects that follow.
    Record(Fact),
    Spawn {
        run: RunId,
        slot: SlotId,
    },
    Terminate {
        run: RunId,
    },
    /// All is done; the coordinator can leave.
    Leave(SweepEnd),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    plan: Plan,
    phase: Phase,
    trials: BTreeMap<TrialId, Trial>,
    slots: Vec<Option<RunId>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Running,
    /// Runs come to their end, none is started.
    Draining {
        why: String,
    },
    /// Runs are being ended.
    Killing {
        why: String,
    },
    Ended(SweepEnd),
}

impl Sweep {
    pub fn new(plan: Plan) -> Self {
        let slots = vec![None; plan.slots as usize];
        Self { plan, phase: Phase::Running, trials: BTreeMap::new(), slots }
    }

    /// The state that these facts lead to.
    pub fn replay<'f>(plan: Plan, facts: impl IntoIterator<Item = &'f Fact>) -> Self {
        let mut sweep = Self::new(plan);
        for fact in facts {
            sweep.apply(fact);
        }
        sweep
    }

    pub fn trials(&self) -> impl Iterator<Item = (TrialId, &Trial)> {
        self.trials.iter().map(|(id, trial)| (*id, trial))
    }

    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(&id)
    }

    /// Points of the space that were proposed so far: the number of the next trial.
    fn proposed(&self) -> u32 {
        self.trials.last_key_value().map_or(0, |(last, _)| (last.0 + 1) as u32)
    }

    /// What the search knows of the trials.
    fn history(&self) -> History {
        let folds = self.plan.spec.folds.k;
        let of_space = self.trials.range(TrialId(0)..).map(|(_, trial)| Tried {
            point: trial.point.clone(),
            scores: trial.scores().map(|(id, score)| (id.repeat * folds + id.fold, score)).collect(),
            state: match trial.end {
                None => TriedState::Open,
                Some(TrialEnd::Finished { .. }) => TriedState::Finished,
                Some(TrialEnd::Failed { .. }) => TriedState::Failed,
            },
        });
        History { trials: of_space.collect() }
    }

    /// The point of the next trial, if the budget has room for one.
    fn next_point(&self) -> Option<Point> {
        let spec = &self.plan.spec;
        if spec.search.budget.trials.is_some_and(|most| self.proposed() >= most) {
            return None;
        }
        match search::propose(&spec.search, &self.history(), &|point| spec.accepts(point)) {
            Proposal::Point { point, .. } => Some(point),
            Proposal::Exhausted { .. } => None,
        }
    }

    /// Decides what follows from an event.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Effects { sweep: self, list: Vec::new() };
        effects.decide(event);
        effects.list
    }

    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::SweepStarted | Fact::SweepResumed => self.phase = Phase::Running,
            Fact::TrialProposed { trial, point } => {
                self.trials.insert(*trial, Trial::new(point.clone(), &self.plan.spec.folds));
            }
            Fact::RunStarted { run, slot, .. } => {
                if let Some(trial) = self.trials.get_mut(&run.trial) {
                    trial.set(run.fold, FoldState::Running { attempt: run.attempt });
                }
                if let Some(place) = self.slots.get_mut(slot.0 as usize) {
                    *place = Some(*run);
                }
            }
            Fact::RunEnded { run, end } => {
                if let Some(trial) = self.trials.get_mut(&run.trial) {
                    trial.end_run(*run, end);
                }
                for slot in self.slots.iter_mut().filter(|slot| **slot == Some(*run)) {
                    *slot = None;
                }
            }
            Fact::TrialEnded { trial, end } => {
                if let Some(trial) = self.trials.get_mut(trial) {
                    trial.end = Some(end.clone());
                }
            }
            Fact::TrialReopened { trial } => {
                if let Some(trial) = self.trials.get_mut(trial) {
                    trial.reopen();
                }
            }
            Fact::SweepEnded { end } => self.phase = Phase::Ended(end.clone()),
            Fact::Measured { .. } | Fact::Saved { .. } | Fact::Predicted { .. } => {}
        }
    }
}

/// The decisions of one event, each applied as soon as it is taken.
struct Effects<'a> {
    sweep: &'a mut Sweep,
    list: Vec<Effect>,
}

impl Effects<'_> {
    fn record(&mut self, fact: Fact) {
        self.sweep.apply(&fact);
        self.list.push(Effect::Record(fact));
    }

    fn decide(&mut self, event: Event) {
        match event {
            Event::Begin => self.begin(),
            Event::RetryFailed => {
                let failed: Vec<TrialId> =
                    self.sweep.trials().filter(|(_, trial)| trial.failed()).map(|(id, _)| id).collect();
                for trial in failed {
                    self.record(Fact::TrialReopened { trial });
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
            Event::Measured { run, measurement } => self.record(Fact::Measured { run, measurement }),
            Event::Saved { run, checkpoint } => self.record(Fact::Saved { run, checkpoint }),
            Event::Predicted { run, predictions } => self.record(Fact::Predicted { run, predictions }),
            Event::Exited { run, exit } => {
                let end = self.judge(run, exit);
                self.end_run(run, end);
            }
            Event::Stop { why } => {
                if self.sweep.phase == Phase::Running {
                    self.sweep.phase = Phase::Draining { why };
                    self.fill();
                }
            }
            Event::Kill { why } => {
                self.sweep.phase = Phase::Killing { why };
                for run in self.sweep.slots.clone().into_iter().flatten() {
                    self.list.push(Effect::Terminate { run });
                }
                self.fill();
            }
        }
    }

    /// Whatever still counts as running was lost with the coordinator that ran it.
    fn begin(&mut self) {
        let first = self.sweep.trials.is_empty();
        self.record(if first { Fact::SweepStarted } else { Fact::SweepResumed });
        for run in self.sweep.trials().flat_map(|(id, trial)| trial.running(id)).collect::<Vec<_>>() {
            let why = "lost: its coordinator ended".to_owned();
            self.record(Fact::RunEnded { run, end: RunEnd::Interrupted { why } });
        }
        self.sweep.slots.fill(None);
        if self.sweep.plan.spec.baseline && self.sweep.trial(TrialId::BASELINE).is_none() {
            self.record(Fact::TrialProposed { trial: TrialId::BASELINE, point: Point::default() });
        }
        self.settle();
        self.fill();
    }

    fn judge(&self, run: RunId, exit: Exit) -> RunEnd {
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

    fn end_run(&mut self, run: RunId, end: RunEnd) {
        self.record(Fact::RunEnded { run, end });
        self.settle();
        self.fill();
    }

    /// Ends the trials whose last fold is decided, and those that cannot be finished any more.
    fn settle(&mut self) {
        let retries = self.sweep.plan.retries;
        let ends: Vec<(TrialId, TrialEnd)> =
            self.sweep.trials().filter_map(|(id, trial)| Some((id, trial.verdict(retries)?))).collect();
        for (trial, end) in ends {
            let failed = matches!(end, TrialEnd::Failed { .. });
            self.record(Fact::TrialEnded { trial, end });
            if failed {
                for run in self.sweep.slots.clone().into_iter().flatten().filter(|run| run.trial == trial) {
                    self.list.push(Effect::Terminate { run });
                }
            }
        }
    }

    /// Gives every free slot a run: the next fold of the oldest open trial, else of a new one.
    fn fill(&mut self) {
        while self.sweep.phase == Phase::Running
            && let Some(slot) = self.sweep.slots.iter().position(Option::is_none)
        {
            let Some(run) = self.waiting().or_else(|| self.propose()) else {
                break;
            };
            self.sweep.slots[slot] = Some(run);
            self.list.push(Effect::Spawn { run, slot: SlotId(slot as u32) });
        }
        if self.sweep.slots.iter().any(Option::is_some) {
            return;
        }
        let end = match &self.sweep.phase {
            Phase::Ended(_) => return,
            Phase::Running => SweepEnd::Finished,
            Phase::Draining { why } | Phase::Killing { why } => self.stopped_or_finished(why.clone()),
        };
        self.record(Fact::SweepEnded { end: end.clone() });
        self.list.push(Effect::Leave(end));
    }

    /// A stop that came when nothing was left to do stopped nothing.
    fn stopped_or_finished(&self, why: String) -> SweepEnd {
        let open = self.sweep.trials().any(|(_, trial)| trial.end.is_none());
        if open || self.sweep.next_point().is_some() { SweepEnd::Stopped { why } } else { SweepEnd::Finished }
    }

    fn waiting(&self) -> Option<RunId> {
        let taken = |run: &RunId| self.sweep.slots.contains(&Some(*run));
        self.sweep
            .trials()
            .filter(|(_, trial)| trial.end.is_none())
            .find_map(|(id, trial)| trial.waiting(id).find(|run| !taken(run)))
    }

    fn propose(&mut self) -> Option<RunId> {
        let number = self.sweep.proposed();
        let point = self.sweep.next_point()?;
        self.record(Fact::TrialProposed { trial: TrialId(number as i32), point });
        self.waiting()
    }

    fn slot_of(&self, run: RunId) -> Option<SlotId> {
        let index = self.sweep.slots.iter().position(|slot| *slot == Some(run))?;
        Some(SlotId(index as u32))
    }
}

#[cfg(test)]
mod tests;
