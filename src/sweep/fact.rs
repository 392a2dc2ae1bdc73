//! What is true for ever about a sweep. The store writes facts, the screen folds them, resume replays them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::order::{Order, Who};
use crate::protocol::{Checkpoint, Measurement, Prediction};
use crate::search::space::Point;

/// A trial's number within its sweep, from 0; [`TrialId::BASELINE`] comes before them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub i32);

impl TrialId {
    /// What trials are measured against. It is scored on the same folds as they are, and is no point of the space: the
    /// numbers from 0 on, which points are drawn from, stay theirs.
    pub const BASELINE: Self = Self(-1);

    pub fn is_baseline(self) -> bool {
        self == Self::BASELINE
    }
}

/// One fold of one repeat of the cross-validation; [`FoldId::HOLDOUT`] is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FoldId {
    pub repeat: u32,
    pub fold: i32,
}

impl FoldId {
    /// All documents that are not held out are trained on, and those that are scored: the last thing that happens to the
    /// best trial. The numbers from 0 on, over which scores are averaged and compared, stay those of the folds.
    pub const HOLDOUT: Self = Self { repeat: 0, fold: -1 };

    /// The one at a place (from 0) among repeats of `k` folds each.
    pub fn at(place: u32, k: u32) -> Self {
        let k = k.max(1);
        Self { repeat: place / k, fold: (place % k) as i32 }
    }

    pub fn is_holdout(self) -> bool {
        self == Self::HOLDOUT
    }
}

/// One attempt (from 1) at one fold of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    pub trial: TrialId,
    #[serde(flatten)]
    pub fold: FoldId,
    pub attempt: u32,
}

/// A place where one run at a time can be, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a trial is a number from 0 on, or `baseline`")]
pub struct NoTrial;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    SweepStarted,
    /// Continued after it stopped or was lost.
    SweepResumed,
    TrialProposed {
        trial: TrialId,
        point: Point,
    },
    /// A trial that somebody asked for; it waits for a slot.
    TrialEnqueued {
        trial: TrialId,
        point: Point,
    },
    RunStarted {
        run: RunId,
        slot: SlotId,
        place: Place,
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
    RunEnded {
        run: RunId,
        end: RunEnd,
    },
    TrialEnded {
        trial: TrialId,
        end: TrialEnd,
    },
    /// What is left to gain is less than what cross-validation can tell. Said once.
    Converged {
        why: String,
    },
    /// A trial is trained again on all documents that are not held out, for so many epochs, and scored on those that are.
    RefitChosen {
        trial: TrialId,
        epochs: u32,
    },
    /// What somebody wanted and got; what followed are the next facts.
    Ordered {
        order: Order,
        by: Who,
    },
    /// A trial that ended without a score gets another chance.
    TrialReopened {
        trial: TrialId,
    },
    SweepEnded {
        end: SweepEnd,
    },
}

/// Where a run's process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub device: String,
    pub host: String,
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunEnd {
    Finished {
        score: f64,
        best_epoch: u32,
        epochs: u32,
        peak_memory_mb: u64,
    },
    /// It ended by itself and would do so again.
    Failed {
        why: String,
    },
    /// Its process died; another attempt may do better.
    Crashed {
        why: String,
    },
    /// It was taken away from outside and continues from its last checkpoint.
    Interrupted {
        why: String,
    },
    Cancelled {
        why: String,
    },
    /// Its trial was given up, after its own epochs or between the folds.
    Pruned {
        why: String,
        /// The best so far; none without an epoch.
        #[serde(default)]
        score: Option<f64>,
        #[serde(default)]
        best_epoch: Option<u32>,
        #[serde(default)]
        epochs: Option<u32>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TrialEnd {
    /// Mean over the folds, and its standard error (none with a single fold).
    Finished {
        score: f64,
        score_se: Option<f64>,
    },
    Failed {
        why: String,
    },
    /// Raced out: other trials were better on the folds that it had.
    Dropped {
        why: String,
    },
    /// The curve of one of its folds fell behind those of other trials.
    Pruned {
        why: String,
    },
    /// Somebody wanted it to end.
    Cancelled {
        why: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SweepEnd {
    Finished,
    /// More could be tried, but the budget is spent, or nothing better is to be expected.
    Enough {
        why: String,
    },
    /// Trials are left; `sweep resume` continues.
    Stopped {
        why: String,
    },
}

/// `3`, or `baseline`: also the name of its directory.
impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_baseline() { f.write_str("baseline") } else { write!(f, "{}", self.0) }
    }
}

/// As it is shown, or as it is stored.
impl FromStr for TrialId {
    type Err = NoTrial;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "baseline" {
            return Ok(Self::BASELINE);
        }
        text.parse().ok().filter(|number| *number >= Self::BASELINE.0).map(Self).ok_or(NoTrial)
    }
}

/// `0`, `0r1` in repeat 1, or `holdout`: also the name of its directory.
impl fmt::Display for FoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_holdout() {
            f.write_str("holdout")
        } else if self.repeat == 0 {
            write!(f, "{}", self.fold)
        } else {
            write!(f, "{}r{}", self.fold, self.repeat)
        }
    }
}

/// `3/1` is fold 1 of trial 3, `3/1#2` its second attempt.
impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.trial, self.fold)?;
        if self.attempt > 1 { write!(f, "#{}", self.attempt) } else { Ok(()) }
    }
}
