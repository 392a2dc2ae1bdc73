//! What is said on the socket, each a line of JSON.

use serde::{Deserialize, Serialize};

use crate::protocol::Progress;
use crate::search::space::Point;
use crate::sweep::{Order, RunId, SlotId, Stage, TrialId};

/// The one line that is asked on a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    Order {
        #[serde(flatten)]
        order: Order,
    },
    /// Answered by [`Update`]s, until either side leaves.
    Watch,
}

/// The one line that answers an order, or anything that is not understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// It is recorded, and what follows from it has begun.
    Done {
        /// In words.
        order: String,
        /// The trial that was made of an enqueued point.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trial: Option<TrialId>,
        /// The whole of an enqueued point.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        point: Option<Point>,
    },
    /// Nothing has changed.
    Refused {
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// What is not in the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Update {
    /// The first line, and again whenever it changes.
    Status(Status),
    /// The newest of a run, a few times a second at most.
    Progress {
        #[serde(flatten)]
        run: RunId,
        #[serde(flatten)]
        progress: Progress,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub sweep: String,
    pub state: Stage,
    /// Runs at once that are wanted.
    pub wanted_slots: u32,
    pub slots: Vec<SlotStatus>,
    /// Runs of open trials that could be started, the first [`Status::MOST_WAITING`] of them.
    pub waiting: Vec<RunId>,
}

impl Status {
    pub const MOST_WAITING: usize = 100;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotStatus {
    pub slot: SlotId,
    pub device: String,
    pub run: Option<RunId>,
}

impl Answer {
    pub fn done(order: &Order) -> Self {
        Self::Done { order: order.to_string(), trial: None, point: None }
    }

    pub fn refused(why: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Refused { why: why.into(), hint: hint.map(str::to_owned) }
    }
}
