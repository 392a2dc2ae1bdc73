//! Dots on cells: eight a cell in braille, two in half blocks, one in plain letters, where shades have their own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::dashboard::theme::Glyphs;

/// Of a cell, row by row; the fourth row came later than the other six dots.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// What a cell of plain letters holds.
const DOT: u8 = 1;
const SHADE: u8 = 2;

/// A grid of dots over an area; each cell has one colour, that of the last dot on it.
#[derive(Debug)]
pub(super) struct Raster {
    glyphs: Glyphs,
    area: Rect,
    cells: Vec<(u8, Style)>,
}

impl Raster {
    pub(super) fn new(glyphs: Glyphs, area: Rect) -> Self {
        Self { glyphs, area, cells: vec![(0, Style::new()); usize::from(area.width) * usize::from(area.height)] }
    }

    /// Dots of a cell, across and down.
    fn dots(&self) -> (usize, usize) {
        match self.glyphs {
            Glyphs::Braille => (2, 4),
            Glyphs::Block => (1, 2),
            Glyphs::Ascii => (1, 1),
        }
    }

    /// Dots of all cells, across and down.
    pub(super) fn size(&self) -> (usize, usize) {
        let (across, down) = self.dots();
        (usize::from(self.area.width) * across, usize::from(self.area.height) * down)
    }

    /// Sets a dot, from the left and from the top.
    pub(super) fn dot(&mut self, x: usize, y: usize, style: Style) {
        let (across, down) = self.dots();
        let (column, row) = (x / across, y / down);
        if column >= usize::from(self.area.width) || row >= usize::from(self.area.height) {
            return;
        }
        let mask = match self.glyphs {
            Glyphs::Braille => BRAILLE[y % 4][x % 2],
            Glyphs::Block => 1 << (y % 2),
            Glyphs::Ascii => DOT,
        };
        let cell = &mut self.cells[row * usize::from(self.area.width) + column];
        *cell = (cell.0 | mask, style);
    }

    /// Sets a dot of a shade, which a curve above it is told from also where a cell has but one dot.
    pub(super) fn shade(&mut self, x: usize, y: usize, style: Style) {
        if self.glyphs != Glyphs::Ascii {
            self.dot(x, y, style);
        } else if x < usize::from(self.area.width) && y < usize::from(self.area.height) {
            self.cells[y * usize::from(self.area.width) + x] = (SHADE, style);
        }
    }

    /// A line of dots between two places, wherever they lie.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: Style) {
        let (width, height) = self.size();
        let Some((from, to)) = clip(from, to, (width as f64 - 1.0, height as f64 - 1.0)) else { return };
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).round().max(1.0);
        for step in 0..=steps as usize {
            let part = step as f64 / steps;
            let x = from.0 + (to.0 - from.0) * part;
            let y = from.1 + (to.1 - from.1) * part;
            self.dot(x.round() as usize, y.round() as usize, style);
        }
    }

    pub(super) fn render(&self, buffer: &mut Buffer) {
        for (index, (mask, style)) in self.cells.iter().enumerate().filter(|(_, (mask, _))| *mask != 0) {
            let letter = match self.glyphs {
                Glyphs::Braille => char::from_u32(0x2800 + u32::from(*mask)).unwrap_or(' '),
                Glyphs::Block => ['▀', '▄', '█'][usize::from(*mask) - 1],
                Glyphs::Ascii if *mask == SHADE => '.',
                Glyphs::Ascii => '*',
            };
            let (column, row) = (index % usize::from(self.area.width), index / usize::from(self.area.width));
            let position = (self.area.x + column as u16, self.area.y + row as u16);
            if let Some(cell) = buffer.cell_mut(position) {
                cell.set_char(letter).set_style(*style);
            }
        }
    }
}

/// What of a line lies between 0 and the corner (Liang & Barsky).
fn clip(from: (f64, f64), to: (f64, f64), corner: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
    for (direction, distance) in [(-dx, from.0), (dx, corner.0 - from.0), (-dy, from.1), (dy, corner.1 - from.1)] {
        if direction == 0.0 {
            if distance < 0.0 {
                return None;
            }
        } else if direction < 0.0 {
            enter = enter.max(distance / direction);
        } else {
            leave = leave.min(distance / direction);
        }
    }
    let at = |part: f64| (from.0 + dx * part, from.1 + dy * part);
    (enter <= leave).then(|| (at(enter), at(leave)))
}
