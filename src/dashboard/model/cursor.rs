//! A place in a list.

use std::cell::Cell;
use std::ops::Range;

use crate::dashboard::message::Move;

/// The row that is selected, and the rows that are seen.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    selected: usize,
    // How many rows there is room for is known when they are drawn, and only then.
    offset: Cell<usize>,
    page: Cell<usize>,
}

impl Cursor {
    pub fn selected(&self) -> usize {
        self.selected
    }

    pub fn select(&mut self, row: usize) {
        self.selected = row;
    }

    /// Moves in a list of so many rows; sideways is not its business.
    pub fn step(&mut self, to: Move, rows: usize) {
        let page = self.page.get().max(2) - 1;
        let last = rows.saturating_sub(1);
        self.selected = match to {
            Move::Up => self.selected.saturating_sub(1),
            Move::Down => self.selected + 1,
            Move::PageUp => self.selected.saturating_sub(page),
            Move::PageDown => self.selected + page,
            Move::First => 0,
            Move::Last => last,
            Move::Rows(rows) => self.selected.saturating_add_signed(rows),
            Move::To(row) => row,
            Move::Left | Move::Right => self.selected,
        }
        .min(last);
    }

    /// Moves the view over so many rows of which none is selected.
    pub fn scroll(&mut self, to: Move, rows: usize) {
        self.step(to, rows.saturating_sub(self.page.get()) + 1);
    }

    /// The rows to draw of what is scrolled, where there is room for so many.
    pub fn view(&self, rows: usize, room: usize) -> Range<usize> {
        self.page.set(room);
        let first = self.selected.min(rows.saturating_sub(room));
        first..(first + room).min(rows)
    }

    /// The rows that were drawn last, of so many.
    pub fn seen(&self, rows: usize) -> Range<usize> {
        let first = self.offset.get().min(rows);
        first..(first + self.page.get()).min(rows)
    }

    /// The rows to draw where there is room for so many: the selected one is among them.
    pub fn window(&self, rows: usize, room: usize) -> Range<usize> {
        let last = rows.saturating_sub(room);
        let nearest = self.selected.saturating_sub(room.saturating_sub(1))..=self.selected;
        let offset = self.offset.get().clamp(*nearest.start(), *nearest.end()).min(last);
        self.offset.set(offset);
        self.page.set(room);
        offset..(offset + room).min(rows)
    }
}
