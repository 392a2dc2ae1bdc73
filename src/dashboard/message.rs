//! What can happen to the dashboard: keys as what they mean, and what the feed has found out.

use crossterm::event::KeyEvent;
use ratatui::layout::Size;

use super::feed::{Answer, Want};
use super::model::{CompareMsg, LanesMsg, MachineMsg, SearchMsg, SteerMsg, SweepsMsg, TrialMsg, TrialsMsg};
use crate::control;
use crate::store::{Millis, SweepKey};
use crate::sweep::{Order, TrialId};

#[derive(Clone, Debug)]
pub enum Msg {
    Quit,
    /// Ctrl-Z: the shell takes over until `fg`.
    Suspend,
    /// Draw everything anew: something else has written to the terminal.
    Redraw,
    Go(Screen),
    NextScreen,
    PreviousScreen,
    /// One step out: closes what lies above, leaves what was entered.
    Back,
    Move(Move),
    Help,
    Palette,
    /// A key in whatever takes text.
    Type(KeyEvent),
    Paste(String),
    /// A line of what lies above the screen: of the palette, of a list to choose from.
    Choose(usize),
    /// The selected one of them.
    ChooseSelected,
    /// Opens a sweep on the screen of its trials.
    OpenSweep(SweepKey),
    OpenTrial(TrialId),
    Sweeps(SweepsMsg),
    Trials(TrialsMsg),
    Trial(TrialMsg),
    Compare(CompareMsg),
    Lanes(LanesMsg),
    Search(SearchMsg),
    Steer(SteerMsg),
    Machine(MachineMsg),
    /// What the coordinator of a sweep, by its name, has told.
    Told {
        sweep: String,
        told: Told,
    },
    /// What has become of an order to a sweep, by its name.
    Heard {
        sweep: String,
        order: Order,
        heard: Heard,
    },
    Tick(Millis),
    Resized(Size),
    /// Something has become of the database file.
    Database(Fate),
    /// What the feed has found out.
    Answer(Want, Answer),
    /// What could not be found out, and why.
    Unanswered(Want, String),
}

/// What has become of the database file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is back.
    There,
    /// Deleted, or moved away.
    Gone,
    /// Another one was put in its place, and is read from now on.
    Replaced,
    /// Another file was put in its place, which cannot be read, and why.
    Unreadable(String),
}

/// Of an order.
#[derive(Clone, Debug)]
pub enum Heard {
    Answer(control::Answer),
    /// No coordinator is there.
    Nobody,
    Failed(String),
}

/// By a coordinator that is watched.
#[derive(Clone, Debug)]
pub enum Told {
    /// It is there, as this process.
    Lives(Option<u32>),
    Update(control::Update),
    /// Nobody tells anything any more.
    Left,
}

/// Through a list, a text or a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
    /// So many rows at once, as a wheel does.
    Rows(isize),
    /// To a row by its number, as a click does.
    To(usize),
}

/// The screens, in the order of their tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Screen {
    Sweeps,
    Trials,
    Trial,
    Compare,
    Search,
    Lanes,
    Machine,
}

impl Screen {
    pub const ALL: &[Self] =
        &[Self::Sweeps, Self::Trials, Self::Trial, Self::Compare, Self::Search, Self::Lanes, Self::Machine];

    pub fn title(self) -> &'static str {
        match self {
            Self::Sweeps => "Sweeps",
            Self::Trials => "Trials",
            Self::Trial => "Trial",
            Self::Compare => "Compare",
            Self::Lanes => "Lanes",
            Self::Search => "Search",
            Self::Machine => "Machine",
        }
    }

    /// From 1: the key that goes there.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    pub(super) fn of_number(number: usize) -> Option<Self> {
        Self::ALL.get(number.checked_sub(1)?).copied()
    }

    pub(super) fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub(super) fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }
}

/// What the model cannot do itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Quit,
    Suspend,
    Redraw,
    /// Into the clipboard, by way of the terminal.
    Copy(String),
    /// An order to a sweep, by its name; a [`Msg::Heard`] follows.
    Give {
        sweep: String,
        order: Order,
    },
}
