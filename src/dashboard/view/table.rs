//! Tables: as many columns as there is room for, and only the rows that are seen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Zones, put};
use crate::dashboard::format;
use crate::dashboard::message::{Move, Msg};
use crate::dashboard::model::Cursor;
use crate::dashboard::theme::Theme;

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub title: String,
    pub width: u16,
    pub is_right: bool,
    /// Columns of lower rank go first where there is no room.
    pub rank: u8,
    /// What a click on its title does.
    pub msg: Option<Msg>,
}

impl Column {
    pub(super) fn left(title: impl Into<String>, width: u16, rank: u8) -> Self {
        Self { title: title.into(), width, is_right: false, rank, msg: None }
    }

    pub(super) fn right(title: impl Into<String>, width: u16, rank: u8) -> Self {
        Self { is_right: true, ..Self::left(title, width, rank) }
    }

    pub(super) fn on_click(self, msg: Msg) -> Self {
        Self { msg: Some(msg), ..self }
    }
}

/// Between two columns.
pub(super) const GAP: u16 = 2;

/// Numbers of the columns that fit, from left to right.
pub(super) fn that_fit(columns: &[Column], width: u16) -> Vec<usize> {
    fit((0..columns.len()).collect(), columns, width)
}

/// Those of some of them.
pub(super) fn fit(mut kept: Vec<usize>, columns: &[Column], width: u16) -> Vec<usize> {
    let needs =
        |kept: &[usize]| kept.iter().map(|column| columns[*column].width + GAP).sum::<u16>().saturating_sub(GAP);
    while needs(&kept) > width.saturating_sub(2) && kept.len() > 1 {
        let least = (0..kept.len()).rev().min_by_key(|place| columns[kept[*place]].rank);
        kept.remove(least.unwrap_or(0));
    }
    kept
}

/// A column takes what the others leave.
pub(super) fn widen(columns: &mut [Column], shown: &[usize], column: usize, width: u16) {
    let used: u16 = shown.iter().map(|column| columns[*column].width + GAP).sum();
    if shown.contains(&column) {
        columns[column].width += width.saturating_sub(used + 1);
    }
}

/// A table with its titles; `cell` draws one cell of a row by the number of its column.
pub(super) struct Table<'a> {
    pub theme: Theme,
    pub columns: &'a [Column],
    /// Those that are drawn, of [`that_fit`].
    pub shown: &'a [usize],
    pub cursor: &'a Cursor,
    pub rows: usize,
}

impl Table<'_> {
    pub(super) fn render<'c>(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        zones: &mut Zones,
        mut cell: impl FnMut(usize, usize) -> Vec<Span<'c>>,
    ) {
        let buffer = frame.buffer_mut();
        let places = self.places(area);
        let titles = Rect { height: 1, ..area };
        for (column, place) in &places {
            let column = &self.columns[*column];
            let line = Line::styled(format::fit(&column.title, place.width.into()), self.theme.dim());
            put(buffer, Rect { y: titles.y, ..*place }, if column.is_right { line.right_aligned() } else { line });
            if let Some(msg) = &column.msg {
                zones.add(Rect { y: titles.y, height: 1, ..*place }, msg.clone());
            }
        }
        let room = usize::from(area.height.saturating_sub(1));
        let window = self.cursor.window(self.rows, room);
        for (y, row) in (area.y + 1..).zip(window.clone()) {
            let line = Rect { y, height: 1, ..area };
            for (column, place) in &places {
                let text = Line::from(cell(row, *column));
                let place = Rect { y, ..*place };
                put(buffer, place, if self.columns[*column].is_right { text.right_aligned() } else { text });
            }
            if row == self.cursor.selected() {
                buffer.set_style(line, self.theme.selected());
            }
            zones.add(line, Msg::Move(Move::To(row)));
        }
        self.scrollbar(frame, Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }, window.start);
    }

    fn places(&self, area: Rect) -> Vec<(usize, Rect)> {
        let mut x = area.x + 1;
        let mut places = Vec::with_capacity(self.shown.len());
        for column in self.shown {
            let width = self.columns[*column].width.min(area.right().saturating_sub(x + 1));
            places.push((*column, Rect { x, y: area.y, width, height: 1 }));
            x += width + GAP;
        }
        places
    }

    /// Where in the list one is; nothing where all of it is seen.
    fn scrollbar(&self, frame: &mut Frame<'_>, area: Rect, first: usize) {
        let room = usize::from(area.height);
        if self.rows <= room || room == 0 {
            return;
        }
        let thumb = (room * room / self.rows).max(1);
        let top = first * (room - thumb) / (self.rows - room).max(1);
        for (place, row) in area.rows().enumerate() {
            let is_thumb = (top..top + thumb).contains(&place);
            let (sign, style) = if is_thumb { ("┃", self.theme.dim()) } else { ("│", self.theme.faint()) };
            let edge = Rect { x: row.right() - 1, width: 1, ..row };
            put(frame.buffer_mut(), edge, Line::styled(sign, style));
        }
    }
}
