//! Orders of people: what refuses them, and what follows from them.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, RunId, SlotId, TrialEnd, TrialId};
use super::order::{Order, Refusal, Who};
use super::trial::Trial;
use super::{Effect, Effects, Phase, Sweep};
use crate::search::space::Point;

/// Where a sweep stands, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Running,
    /// No run is started until it is told to go on.
    Paused,
    /// Runs come to their end, none is started.
    Stopping,
    /// Runs are being ended.
    Killing,
    Ended,
}

impl Sweep {
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Running => Stage::Running,
            Phase::Paused => Stage::Paused,
            Phase::Draining { .. } => Stage::Stopping,
            Phase::Killing { .. } => Stage::Killing,
            Phase::Ended(_) => Stage::Ended,
        }
    }

    /// Runs at once that are wanted; more can be under way where that was reduced.
    pub fn wanted_slots(&self) -> u32 {
        self.wanted
    }

    /// The slots that are wanted or still in use, and what runs there.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, Option<RunId>)> {
        let slots = self.slots.iter().zip(0..).map(|(run, slot)| (SlotId(slot), *run));
        slots.filter(|(slot, run)| slot.0 < self.wanted || run.is_some())
    }

    /// Why an order cannot be carried out, if so.
    pub fn refusal(&self, order: &Order) -> Option<Refusal> {
        if let Some(refusal) = order.malformed() {
            return Some(refusal);
        }
        if !order.is_remark() && self.stage() == Stage::Ended {
            return Some(Refusal::Ended);
        }
        match order {
            Order::Stop => match self.stage() {
                Stage::Stopping => Some(Refusal::Is("stopping")),
                Stage::Killing => Some(Refusal::Is("being ended")),
                _ => None,
            },
            Order::Kill => (self.stage() == Stage::Killing).then_some(Refusal::Is("being ended")),
            Order::Pause => match self.stage() {
                Stage::Paused => Some(Refusal::Is("paused")),
                Stage::Stopping => Some(Refusal::Is("stopping")),
                Stage::Killing => Some(Refusal::Is("being ended")),
                _ => None,
            },
            Order::Unpause => (self.stage() != Stage::Paused).then_some(Refusal::NotPaused),
            Order::Slots { .. } => None,
            Order::KillTrial { trial } => self.known(*trial, |known| {
                known.end.as_ref().map(|end| Refusal::Already { trial: *trial, state: state(end) })
            }),
            Order::Retry { trial: None } => {
                (!self.trials.values().any(Trial::failed)).then_some(Refusal::NothingFailed)
            }
            Order::Retry { trial: Some(trial) } => self.known(*trial, |known| match &known.end {
                None => Some(Refusal::Open(*trial)),
                Some(end @ TrialEnd::Finished { .. }) => Some(Refusal::Already { trial: *trial, state: state(end) }),
                Some(_) => None,
            }),
            Order::Restart { trial, fold } => self.known(*trial, |_| {
                let runs = self.slots.iter().flatten().any(|run| run.trial == *trial && run.fold == *fold);
                (!runs).then_some(Refusal::NotRunning { trial: *trial, fold: *fold })
            }),
            Order::Enqueue { point, from } => self.asked_point(point, *from).err(),
            // it counts in nothing as it is
            Order::Exclude { trial } | Order::Include { trial } if trial.is_baseline() => {
                Some(Refusal::NoPoint(*trial))
            }
            Order::Exclude { trial } => self
                .known(*trial, |known| known.excluded.then_some(Refusal::Already { trial: *trial, state: "excluded" })),
            Order::Include { trial } => self.known(*trial, |known| {
                (!known.excluded).then_some(Refusal::Already { trial: *trial, state: "included" })
            }),
            Order::Note { trial, .. } | Order::Tag { trial, .. } | Order::Untag { trial, .. } => {
                self.known(*trial, |_| None)
            }
        }
    }

    fn known(&self, trial: TrialId, refusal: impl FnOnce(&Trial) -> Option<Refusal>) -> Option<Refusal> {
        self.trial(trial).map_or(Some(Refusal::NoTrial(trial)), refusal)
    }

    /// The point of the trial that is asked for.
    fn asked_point(&self, given: &Point, from: Option<TrialId>) -> Result<Point, Refusal> {
        if let Some(why) = self.out_of_time().or_else(|| self.out_of_runs()) {
            return Err(Refusal::Spent(why));
        }
        let others = match from {
            None => Point::default(),
            Some(trial) if trial.is_baseline() => return Err(Refusal::NoPoint(trial)),
            Some(trial) => self.trial(trial).ok_or(Refusal::NoTrial(trial))?.point.clone(),
        };
        let spec = &self.plan.spec;
        // another one for every trial
        let seed = spec.search.seed.wrapping_add((u64::from(self.proposed()) + 1).wrapping_mul(GOLDEN));
        let is_tried = |point: &Point| self.of_space().any(|(_, trial)| trial.point == *point);
        Ok(spec.point_with(given, &others, seed, &is_tried)?)
    }

    /// What an order says by itself; what follows from it are facts of their own.
    pub(super) fn note(&mut self, order: &Order, by: &Who) {
        match order {
            Order::Stop => self.phase = Phase::Draining { why: format!("{by} (sweep stop)") },
            Order::Kill => self.phase = Phase::Killing { why: format!("{by} (sweep kill)") },
            Order::Pause => self.phase = Phase::Paused,
            Order::Unpause => self.phase = Phase::Running,
            Order::Slots { count } => {
                self.wanted = *count;
                self.slots.resize(self.slots.len().max(*count as usize), None);
            }
            Order::Exclude { trial } | Order::Include { trial } => {
                if let Some(trial) = self.trials.get_mut(trial) {
                    trial.excluded = matches!(order, Order::Exclude { .. });
                }
            }
            Order::Retry { trial: Some(trial) } => {
                if let Some(trial) = self.trials.get_mut(trial) {
                    trial.spared |= trial.given_up().is_some();
                }
            }
            Order::KillTrial { .. }
            | Order::Retry { trial: None }
            | Order::Restart { .. }
            | Order::Enqueue { .. }
            | Order::Note { .. }
            | Order::Tag { .. }
            | Order::Untag { .. } => {}
        }
    }
}

/// Spreads the seeds of asked points.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How a trial ended, in a word.
fn state(end: &TrialEnd) -> &'static str {
    match end {
        TrialEnd::Finished { .. } => "finished",
        TrialEnd::Failed { .. } => "failed",
        TrialEnd::Dropped { .. } | TrialEnd::Pruned { .. } => "given up",
        TrialEnd::Cancelled { .. } => "killed",
    }
}

impl Effects<'_> {
    /// Carries out an order that nothing refuses.
    pub(super) fn obey(&mut self, order: &Order, by: Who) {
        if self.sweep.refusal(order).is_some() {
            return;
        }
        let user = by.user.clone();
        let asked = match order {
            Order::Enqueue { point, from } => self.sweep.asked_point(point, *from).ok(),
            _ => None,
        };
        self.record(Fact::Ordered { order: order.clone(), by });
        match order {
            Order::Kill => {
                if let Phase::Killing { why } = self.sweep.phase.clone() {
                    self.terminate_all(&why);
                }
            }
            Order::KillTrial { trial } => {
                self.end_trial(*trial, TrialEnd::Cancelled { why: format!("killed by {user}") });
                self.settle();
            }
            Order::Retry { trial } => {
                let failed = self.sweep.trials().filter(|(_, trial)| trial.failed()).map(|(id, _)| id);
                for trial in (*trial).map_or_else(|| failed.collect(), |trial| vec![trial]) {
                    self.record(Fact::TrialReopened { trial });
                }
                self.settle();
            }
            Order::Restart { trial, fold } => {
                let runs = self.sweep.slots.iter().flatten().copied();
                for run in runs.filter(|run| run.trial == *trial && run.fold == *fold).collect::<Vec<_>>() {
                    self.terminate(run, format!("restarted by {user}"));
                }
            }
            Order::Enqueue { .. } => {
                if let Some(point) = asked {
                    let trial = TrialId(self.sweep.proposed() as i32);
                    self.record(Fact::TrialEnqueued { trial, point });
                }
            }
            Order::Stop | Order::Pause | Order::Unpause | Order::Slots { .. } => {}
            // nothing follows at once: the next run that ends is judged by it
            Order::Exclude { .. }
            | Order::Include { .. }
            | Order::Note { .. }
            | Order::Tag { .. }
            | Order::Untag { .. } => return,
        }
        self.fill();
    }

    pub(super) fn terminate_all(&mut self, why: &str) {
        for run in self.sweep.slots.clone().into_iter().flatten() {
            self.list.push(Effect::Terminate { run, why: why.to_owned() });
        }
    }

    /// Ends a run, whose fold goes on later if its trial does.
    pub(super) fn terminate(&mut self, run: RunId, why: String) {
        self.sweep.ending.insert(run, why.clone());
        self.list.push(Effect::Terminate { run, why });
    }
}
