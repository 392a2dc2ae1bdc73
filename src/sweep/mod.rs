//! What happens next: a pure state machine. Events in, effects out; no clock, no files, no processes.
//!
//! [`Sweep::handle`] decides by recording facts and applying them to itself, so that replaying the recorded facts
//! ([`Sweep::replay`]) gives the same state: that is how a sweep resumes.

mod budget;
mod contest;
mod decide;
mod fact;
mod holdout;
mod next;
mod order;
mod steer;
mod trial;

pub use fact::{Fact, FoldId, Place, RunEnd, RunId, SlotId, SweepEnd, TrialEnd, TrialId};
pub use order::{Order, Refusal, Who};
pub use steer::Stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::protocol::{Checkpoint, Done, Measurement, Prediction};
use crate::search::space::Point;
use crate::search::{self, Earlier, History, Proposal, Tried, TriedState};
use crate::spec::Spec;
use contest::LazyForecast;
use decide::Effects;
use holdout::Refit;
use trial::{FoldState, Trial};

/// What a sweep is to do; it does not change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub spec: Arc<Spec>,
    /// Runs at once.
    pub slots: u32,
    /// How often a run whose process died is tried again.
    pub retries: u32,
    /// Sweeps of the past that the search learns from.
    pub earlier: Arc<[Earlier]>,
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
    /// What the sweep has spent since it began, in all its sessions.
    Elapsed(Elapsed),
    /// Let the runs end, start no more.
    Stop {
        why: String,
    },
    /// End the runs now; they continue from their last checkpoint later.
    Kill {
        why: String,
    },
    /// A person says what is to be done.
    Ordered {
        order: Order,
        by: Who,
    },
}

/// Of the clock, and of all runs together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elapsed {
    pub seconds: f64,
    pub device_seconds: f64,
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
        why: String,
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
    /// Runs at once; slots beyond are not filled again.
    wanted: u32,
    /// Runs that were told to end, and why: of the process, not of the history.
    ending: BTreeMap<RunId, String>,
    elapsed: Elapsed,
    /// Why it could stop before its budget says so.
    converged: Option<String>,
    /// Trials that were chosen to be scored on the holdout.
    refits: BTreeMap<TrialId, Refit>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Running,
    /// None is started, and nothing ends but runs.
    Paused,
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
        let (slots, wanted) = (vec![None; plan.slots as usize], plan.slots);
        let (phase, trials, ending, refits) = (Phase::Running, BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { plan, phase, trials, slots, wanted, ending, elapsed: Elapsed::default(), converged: None, refits }
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
    pub fn proposed(&self) -> u32 {
        self.trials.last_key_value().map_or(0, |(last, _)| (last.0 + 1) as u32)
    }

    /// What the search knows of the trials: those of the space, with the scores of all their finished folds.
    pub fn history(&self) -> History {
        let of_space = self.of_space().map(|(_, trial)| Tried {
            point: trial.point.clone(),
            // of an excluded one only the point is known: it is not tried again
            scores: self.numbered(trial).filter(|_| !trial.excluded).collect(),
            state: match trial.end {
                _ if trial.excluded => TriedState::Dropped,
                None => TriedState::Open,
                Some(TrialEnd::Finished { .. }) => TriedState::Finished,
                Some(TrialEnd::Dropped { .. } | TrialEnd::Pruned { .. } | TrialEnd::Cancelled { .. }) => {
                    TriedState::Dropped
                }
                Some(TrialEnd::Failed { .. }) => TriedState::Failed,
            },
        });
        let trials = of_space.collect();
        let asked = self.of_space().filter(|(_, trial)| trial.asked).map(|(id, _)| id.0 as u32).collect();
        History { trials, asked, earlier: Arc::clone(&self.plan.earlier) }
    }

    /// Trials that were drawn, not asked for.
    fn drawn(&self) -> u32 {
        self.of_space().filter(|(_, trial)| !trial.asked).count() as u32
    }

    /// The point of the next trial, if the budget has room for one.
    fn next_point(&self) -> Option<Point> {
        if self.no_room().is_some() { None } else { self.point_left() }
    }

    /// The point that would be next if time and runs had no limit.
    fn point_left(&self) -> Option<Point> {
        if self.plan.spec.search.budget.trials.is_some_and(|most| self.drawn() >= most) {
            return None;
        }
        match self.propose() {
            Proposal::Point { point, .. } => Some(point),
            Proposal::Exhausted { .. } => None,
        }
    }

    /// Why there was no point at all, if so: a sweep without trials has not simply finished.
    fn never_began(&self) -> Option<String> {
        if self.proposed() > 0 {
            return None;
        }
        match self.propose() {
            Proposal::Point { .. } => None,
            Proposal::Exhausted { why } => Some(format!("there was no point to try: {why}")),
        }
    }

    fn propose(&self) -> Proposal {
        let spec = &self.plan.spec;
        search::propose(&spec.search, &self.history(), &|point| spec.accepts(point))
    }

    /// A place for another run. Where there are to be fewer than there were, whichever run ends first makes room for none.
    fn free_slot(&self) -> Option<usize> {
        let wanted = self.wanted as usize;
        let taken = self.slots.iter().flatten().count();
        self.slots.iter().take(wanted).position(Option::is_none).filter(|_| taken < wanted)
    }

    fn is_open(&self) -> bool {
        self.trials.values().any(|trial| trial.end.is_none())
    }

    /// The runs that could be started.
    pub fn waiting(&self) -> Vec<RunId> {
        let open = self.trials().filter(|(_, trial)| trial.end.is_none());
        let waiting = open.flat_map(|(id, trial)| trial.waiting(id));
        waiting.filter(|run| !self.slots.contains(&Some(*run)) && !self.is_beyond(*run)).collect()
    }

    /// Decides what follows from an event.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Effects { sweep: self, list: Vec::new(), forecast: LazyForecast::default() };
        effects.decide(event);
        effects.list
    }

    fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::SweepStarted | Fact::SweepResumed => {
                self.phase = Phase::Running;
                // how many there are is a matter of the session
                (self.slots, self.wanted) = (vec![None; self.plan.slots as usize], self.plan.slots);
            }
            Fact::TrialProposed { trial, point } | Fact::TrialEnqueued { trial, point } => {
                let mut new = Trial::new(point.clone(), &self.plan.spec.folds);
                new.asked = matches!(fact, Fact::TrialEnqueued { .. });
                self.trials.insert(*trial, new);
            }
            Fact::RunStarted { run, slot, .. } => {
                if let Some(trial) = self.owner(*run) {
                    trial.set(run.fold, FoldState::Running { attempt: run.attempt });
                }
                if let Some(place) = self.slots.get_mut(slot.0 as usize) {
                    *place = Some(*run);
                }
            }
            Fact::RunEnded { run, end } => {
                if let Some(trial) = self.owner(*run) {
                    trial.end_run(*run, end);
                }
                for slot in self.slots.iter_mut().filter(|slot| **slot == Some(*run)) {
                    *slot = None;
                }
                self.ending.remove(run);
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
            Fact::Measured { run, measurement } => {
                if let Some((epoch, score)) = self.objective_of(measurement)
                    && let Some(trial) = self.trials.get_mut(&run.trial)
                {
                    trial.measure(run.fold, epoch, score);
                }
            }
            Fact::RefitChosen { trial, epochs } => self.choose_refit(*trial, *epochs),
            Fact::Converged { why } => self.converged = Some(why.clone()),
            Fact::Ordered { order, by } => self.note(order, by),
            Fact::SweepEnded { end } => self.phase = Phase::Ended(end.clone()),
            Fact::Saved { .. } | Fact::Predicted { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests;
