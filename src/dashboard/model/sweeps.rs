//! The list of sweeps.

use std::collections::BTreeSet;

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
    /// Mark it for comparison, or take the mark away.
    Mark,
}

#[derive(Debug, Default)]
pub struct Sweeps {
    pub cursor: Cursor,
    pub filter: Line,
    pub is_typing: bool,
    /// To be compared.
    pub marks: BTreeSet<SweepKey>,
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
            // what compares them has to know too
            SweepsMsg::Mark => {}
        }
        None
    }

    pub(super) fn mark(&mut self, data: &Data) {
        if let Some(sweep) = self.selected(data) {
            if !self.marks.remove(&sweep) {
                self.marks.insert(sweep);
            }
            self.step(Move::Down, data);
        }
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
