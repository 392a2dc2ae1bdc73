//! What a person tells a live sweep to do, and why that cannot be.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::fact::{FoldId, TrialId};
use crate::search::space::Point;
use crate::spec::Unfit;

/// An order of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Runs come to their end, none is started; then the sweep ends, and can be resumed.
    Stop,
    /// No run is started until `Unpause`. Those that run go on, and the coordinator stays.
    Pause,
    Unpause,
    /// Runs are ended now; they continue from their last checkpoint when the sweep is resumed.
    Kill,
    /// A trial gets no further fold, and its runs are ended.
    KillTrial {
        trial: TrialId,
    },
    /// A trial that ended without a score is opened again; without a number all that failed. One that was given up is not
    /// given up again.
    Retry {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<TrialId>,
    },
    /// Ends the run of a fold and starts it again, from its last checkpoint.
    Restart {
        trial: TrialId,
        #[serde(flatten)]
        fold: FoldId,
    },
    /// A point to be tried next. What it leaves open has the values of trial `from`, or is drawn.
    Enqueue {
        #[serde(default)]
        point: Point,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TrialId>,
    },
    /// A trial counts in nothing: not in what the search learns, nor as the best or among those tied with it.
    Exclude {
        trial: TrialId,
    },
    Include {
        trial: TrialId,
    },
    /// Runs at once, from now on.
    Slots {
        count: u32,
    },
    /// Words about a trial, in place of those that there were; an empty text takes them away.
    Note {
        trial: TrialId,
        text: String,
    },
    Tag {
        trial: TrialId,
        tag: String,
    },
    Untag {
        trial: TrialId,
        tag: String,
    },
}

/// Who gave an order, as the system knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Its number where a user has no name.
    pub user: String,
    pub host: String,
    /// Of the process that gave it.
    pub pid: u32,
}

/// Why an order cannot be carried out. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Refusal {
    #[error("there is no {}", named(*.0))]
    NoTrial(TrialId),
    #[error("{} is {state} already", named(*trial))]
    Already { trial: TrialId, state: &'static str },
    #[error("the sweep is {0} already")]
    Is(&'static str),
    #[error("the sweep is not paused")]
    NotPaused,
    #[error("the sweep has ended")]
    Ended,
    #[error("no trial has failed")]
    NothingFailed,
    #[error("{} has not ended", named(*.0))]
    Open(TrialId),
    #[error("run {trial}/{fold} is not running")]
    NotRunning { trial: TrialId, fold: FoldId },
    #[error("{} is no point of the space", named(*.0))]
    NoPoint(TrialId),
    #[error(transparent)]
    Unfit(#[from] Unfit),
    #[error("no run is started any more: {0}")]
    Spent(String),
    #[error("{0} is no number of slots: at least 1, at most {MOST_SLOTS}")]
    SlotCount(u32),
    #[error("{what} is too long: {length} bytes, at most {most}")]
    TooLong { what: &'static str, length: usize, most: usize },
    #[error("{0:?} is no tag: letters, digits and - _ . : / + only")]
    Tag(String),
}

/// Nobody has a machine for more.
const MOST_SLOTS: u32 = 1024;
const LONGEST_NOTE: usize = 16 << 10;
const LONGEST_TAG: usize = 64;

impl Order {
    /// Whether it only says something of trials: such orders make sense when no run is left, too.
    pub fn is_remark(&self) -> bool {
        matches!(
            self,
            Self::Exclude { .. } | Self::Include { .. } | Self::Note { .. } | Self::Tag { .. } | Self::Untag { .. }
        )
    }

    /// Its name, as it is recorded.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Kill => "kill",
            Self::KillTrial { .. } => "kill_trial",
            Self::Retry { .. } => "retry",
            Self::Restart { .. } => "restart",
            Self::Enqueue { .. } => "enqueue",
            Self::Exclude { .. } => "exclude",
            Self::Include { .. } => "include",
            Self::Slots { .. } => "slots",
            Self::Note { .. } => "note",
            Self::Tag { .. } => "tag",
            Self::Untag { .. } => "untag",
        }
    }

    /// What is wrong with it whatever the sweep is like.
    pub(super) fn malformed(&self) -> Option<Refusal> {
        let long =
            |what, text: &str, most| (text.len() > most).then_some(Refusal::TooLong { what, length: text.len(), most });
        match self {
            Self::Slots { count } => (!(1..=MOST_SLOTS).contains(count)).then_some(Refusal::SlotCount(*count)),
            Self::Note { text, .. } => long("the note", text, LONGEST_NOTE),
            Self::Tag { tag, .. } | Self::Untag { tag, .. } => {
                let is_good = !tag.is_empty() && tag.chars().all(|c| c.is_alphanumeric() || "-_.:/+".contains(c));
                long("the tag", tag, LONGEST_TAG).or_else(|| (!is_good).then(|| Refusal::Tag(tag.clone())))
            }
            _ => None,
        }
    }
}

impl Refusal {
    /// What to do instead, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::SlotCount(0) => "`sweep pause` lets the runs end and starts no more",
            Self::Open(_) => "`sweep retry --run TRIAL/FOLD` ends a run and starts it again",
            Self::NotRunning { .. } => "`sweep sql \"select * from runs where state = 'running'\"` lists what runs",
            Self::Unfit(Unfit::Tried { .. }) => {
                "the same point has the same scores; leave something open or change a value"
            }
            Self::Spent(_) => "a new sweep can begin with the point: `start` of [search]",
            Self::NotPaused => "`sweep pause` pauses it",
            Self::Already { state: "finished", .. } => {
                "it has its score; `sweep exclude` leaves it out of what is learned"
            }
            _ => return None,
        })
    }
}

/// `trial 3`, or `baseline`.
fn named(trial: TrialId) -> String {
    if trial.is_baseline() { trial.to_string() } else { format!("trial {trial}") }
}

/// `pause`, `kill trial 3`, `slots 4`, `note on trial 3: …`
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop | Self::Pause | Self::Unpause | Self::Kill => f.write_str(self.name()),
            Self::KillTrial { trial } => write!(f, "kill {}", named(*trial)),
            Self::Retry { trial: Some(trial) } => write!(f, "retry {}", named(*trial)),
            Self::Retry { trial: None } => f.write_str("retry all that failed"),
            Self::Restart { trial, fold } => write!(f, "restart run {trial}/{fold}"),
            Self::Enqueue { point, from: None } => write!(f, "enqueue {point}"),
            Self::Enqueue { point, from: Some(trial) } => write!(f, "enqueue {} with {point}", named(*trial)),
            Self::Exclude { trial } => write!(f, "exclude {}", named(*trial)),
            Self::Include { trial } => write!(f, "include {}", named(*trial)),
            Self::Slots { count } => write!(f, "slots {count}"),
            Self::Note { trial, text } if text.is_empty() => write!(f, "no note on {}", named(*trial)),
            Self::Note { trial, text } => write!(f, "note on {}: {text}", named(*trial)),
            Self::Tag { trial, tag } => write!(f, "tag {} {tag}", named(*trial)),
            Self::Untag { trial, tag } => write!(f, "untag {} {tag}", named(*trial)),
        }
    }
}

/// `li@box`
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.host)
    }
}
