//! What happens next: a pure state machine. Events in, effects out; no clock, no files, no processes.
//!
//! [`Sweep::handle`] decides by recording facts and applying them to itself, so that replaying the recorded facts
//! ([`Sweep::replay`]) gives the same state: that is how a sweep resumes.

mod budget;
mod contest;
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
use crate::search::prune::Curve;
use crate::search::space::Point;
use crate::search::{self, Earlier, History, Proposal, Tried, TriedState};
use crate::spec::Spec;
use contest::{LazyForecast, Step};
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

/// The decisions of one event, each applied as soon as it is taken.
struct Effects<'a> {
    sweep: &'a mut Sweep,
    list: Vec<Effect>,
    forecast: LazyForecast,
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
    fn settle(&mut self) {
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
    fn end_trial(&mut self, trial: TrialId, end: TrialEnd) {
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
    fn fill(&mut self) {
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

#[cfg(test)]
mod tests;
