//! The list of sweeps.

use super::line::Line;
use super::palette::likeness;
use super::{Cursor, Data};
use crate::dashboard::message::{Move, Msg};
use crate::store::{Outline, SweepKey};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepsMsg {
    /// The selected one.
    Open,
    Filter,
}

#[derive(Debug, Default)]
pub struct Sweeps {
    pub cursor: Cursor,
    pub filter: Line,
    pub is_typing: bool,
    /// The selected one, wherever a new one moves it to.
    selected: Option<SweepKey>,
}

impl Sweeps {
    /// Those that pass the filter: what runs first, then the newest.
    pub fn rows<'a>(&self, data: &'a Data) -> Vec<&'a Outline> {
        let mut rows: Vec<&Outline> = data
            .outlines
            .iter()
            .flat_map(|outlines| outlines.values())
            .filter(|outline| {
                likeness(&format!("{} {:?}", outline.name, outline.head.state), self.filter.text()).is_some()
            })
            .collect();
        rows.sort_by_key(|outline| (!outline.is_live(), std::cmp::Reverse(outline.head.key)));
        rows
    }

    pub fn selected(&self, data: &Data) -> Option<SweepKey> {
        let rows = self.rows(data);
        rows.get(self.cursor.selected().min(rows.len().saturating_sub(1))).map(|outline| outline.head.key)
    }

    pub(super) fn update(&mut self, msg: &SweepsMsg, data: &Data) -> Option<Msg> {
        match msg {
            SweepsMsg::Open => return self.selected(data).map(Msg::OpenSweep),
            SweepsMsg::Filter => self.is_typing = true,
        }
        None
    }

    pub(super) fn step(&mut self, to: Move, data: &Data) {
        self.cursor.step(to, self.rows(data).len());
        self.selected = self.selected(data);
    }

    /// Keeps the selected one selected.
    pub(super) fn refresh(&mut self, data: &Data) {
        let rows = self.rows(data);
        let row = self.selected.and_then(|key| rows.iter().position(|outline| outline.head.key == key));
        let row = row.unwrap_or_else(|| self.cursor.selected().min(rows.len().saturating_sub(1)));
        self.cursor.select(row);
    }
}
