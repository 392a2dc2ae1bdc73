//! Line charts: many series on linear or logarithmic axes, with bands, gaps and a cursor.

mod axis;
mod raster;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

pub use axis::Axis;
use raster::Raster;

use super::format;
use super::theme::{Glyphs, Theme};

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// From left to right; NaN is a gap.
    pub points: Vec<(f64, f64)>,
    pub style: Style,
    pub mark: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Line,
    /// Points alone.
    Dots,
    /// Every other part of the line.
    Dashes,
}

/// What lies between two curves over the same places: x, low, high.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    pub points: Vec<(f64, f64, f64)>,
    pub style: Style,
}

#[derive(Clone, Debug)]
pub struct Chart<'a> {
    pub theme: Theme,
    /// Later ones lie above.
    pub series: &'a [Series],
    pub bands: &'a [Band],
    pub x: Axis,
    pub y: Axis,
    /// Written at the end of the axis.
    pub x_title: &'a str,
    /// A line from top to bottom, at this x.
    pub cursor: Option<f64>,
}

/// Where a chart has been drawn: from cells to numbers and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plot {
    pub area: Rect,
    pub x: Axis,
    pub y: Axis,
}

impl Plot {
    /// The numbers in the middle of a cell.
    pub fn numbers(&self, column: u16, row: u16) -> (f64, f64) {
        let across = (f64::from(column - self.area.x) + 0.5) / f64::from(self.area.width);
        let down = (f64::from(row - self.area.y) + 0.5) / f64::from(self.area.height);
        (self.x.at(across), self.y.at(1.0 - down))
    }

    /// The cell where a point is; none outside.
    pub fn cell(&self, x: f64, y: f64) -> Option<(u16, u16)> {
        let down = 1.0 - self.y.part(y);
        let is_inside = (0.0..=1.0).contains(&down);
        let row = || self.area.y + ((down * f64::from(self.area.height)) as u16).min(self.area.height - 1);
        is_inside.then(|| Some((self.column(x)?, row())))?
    }

    /// The column where an x is; none outside.
    pub fn column(&self, x: f64) -> Option<u16> {
        let part = self.x.part(x);
        let is_inside = (0.0..=1.0).contains(&part);
        is_inside.then(|| self.area.x + ((part * f64::from(self.area.width)) as u16).min(self.area.width - 1))
    }
}

impl Chart<'_> {
    /// Draws it with its axes; none where there is no room.
    pub fn render(&self, buffer: &mut Buffer, area: Rect) -> Option<Plot> {
        if area.height < 4 || area.width < 16 {
            return None;
        }
        let rows = area.height - 2;
        let ticks = self.y.ticks(usize::from(rows / 3).clamp(2, 8));
        let labels = axis::labels(&ticks);
        let gutter = labels.iter().map(|label| format::width(label)).max().unwrap_or(0) as u16 + 1;
        let plot = Plot {
            area: Rect { x: area.x + gutter + 1, y: area.y, width: area.width - gutter - 1, height: rows },
            x: self.x,
            y: self.y,
        };
        self.draw_y(buffer, area, &plot, &ticks, &labels);
        self.draw_x(buffer, area, &plot);
        if let Some(column) = self.cursor.and_then(|x| plot.column(x)) {
            let sign = if self.theme.glyphs == Glyphs::Ascii { "|" } else { "│" };
            for y in plot.area.top()..plot.area.bottom() {
                buffer.set_string(column, y, sign, self.theme.faint());
            }
        }
        self.draw_curves(buffer, &plot);
        Some(plot)
    }

    /// The curves alone, on all of an area.
    pub fn render_bare(&self, buffer: &mut Buffer, area: Rect) {
        self.draw_curves(buffer, &Plot { area, x: self.x, y: self.y });
    }

    fn draw_curves(&self, buffer: &mut Buffer, plot: &Plot) {
        let mut raster = Raster::new(self.theme.glyphs, plot.area);
        let (width, height) = raster.size();
        let place = |x: f64, y: f64| {
            let (across, down) = (self.x.part(x) * (width - 1) as f64, (1.0 - self.y.part(y)) * (height - 1) as f64);
            (across.is_finite() && down.is_finite()).then_some((across, down))
        };
        for band in self.bands {
            for pair in band.points.windows(2) {
                let (left, right) = (pair[0], pair[1]);
                let Some(((from, _), (to, _))) = place(left.0, left.1).zip(place(right.0, right.1)) else { continue };
                for column in from.max(0.0).round() as usize..=(to.max(0.0).round() as usize).min(width) {
                    let part = if to > from { ((column as f64 - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 };
                    let low = (1.0 - self.y.part(left.1 + (right.1 - left.1) * part)) * (height - 1) as f64;
                    let high = (1.0 - self.y.part(left.2 + (right.2 - left.2) * part)) * (height - 1) as f64;
                    // every other dot: what lies above stays readable
                    for row in high.max(0.0).round() as usize..=(low.max(0.0).round() as usize).min(height) {
                        if (row + column).is_multiple_of(3) {
                            raster.shade(column, row, band.style);
                        }
                    }
                }
            }
        }
        for series in self.series {
            let mut last = None;
            for (index, (x, y)) in series.points.iter().enumerate() {
                let Some(here) = place(*x, *y) else {
                    last = None;
                    continue;
                };
                match (last, series.mark) {
                    (Some(from), Mark::Line) => raster.line(from, here, series.style),
                    (Some(from), Mark::Dashes) if index % 2 == 1 => raster.line(from, here, series.style),
                    // a point alone between gaps is seen too
                    _ => raster.line(here, here, series.style),
                }
                last = Some(here);
            }
        }
        raster.render(buffer);
    }

    fn draw_y(&self, buffer: &mut Buffer, area: Rect, plot: &Plot, ticks: &[f64], labels: &[String]) {
        let (line, tick) = if self.theme.glyphs == Glyphs::Ascii { ("|", "+") } else { ("│", "┤") };
        let x = plot.area.x - 1;
        for y in plot.area.top()..plot.area.bottom() {
            buffer.set_string(x, y, line, self.theme.faint());
        }
        for (number, label) in ticks.iter().zip(labels) {
            let down = ((1.0 - self.y.part(*number)) * f64::from(plot.area.height - 1)).round();
            if (0.0..f64::from(plot.area.height)).contains(&down) {
                let y = plot.area.y + down as u16;
                buffer.set_string(x, y, tick, self.theme.faint());
                let gap = usize::from(x - area.x).saturating_sub(format::width(label) + 1);
                buffer.set_string(area.x + gap as u16, y, label, self.theme.dim());
            }
        }
    }

    fn draw_x(&self, buffer: &mut Buffer, area: Rect, plot: &Plot) {
        let is_ascii = self.theme.glyphs == Glyphs::Ascii;
        let (line, corner, tick) = if is_ascii { ("-", "+", "+") } else { ("─", "└", "┬") };
        let y = plot.area.bottom();
        buffer.set_string(plot.area.x - 1, y, corner, self.theme.faint());
        for x in plot.area.left()..plot.area.right() {
            buffer.set_string(x, y, line, self.theme.faint());
        }
        let title = u16::try_from(format::width(self.x_title)).unwrap_or(0);
        buffer.set_string(area.right().saturating_sub(title), y + 1, self.x_title, self.theme.dim());
        let ticks = self.x.ticks(usize::from(plot.area.width / 10).clamp(2, 10));
        let mut free = area.x;
        for (number, label) in ticks.iter().zip(axis::labels(&ticks)) {
            let Some(column) = plot.column(*number) else { continue };
            let width = format::width(&label) as u16;
            let start = column.saturating_sub(width / 2).max(area.x);
            if start < free || start + width + title + 1 > area.right() {
                continue;
            }
            buffer.set_string(column, y, tick, self.theme.faint());
            buffer.set_string(start, y + 1, &label, self.theme.dim());
            free = start + width + 1;
        }
    }
}

/// Exponential moving average of weight 0 (as it is) to below 1, without the pull to its beginning; gaps stay gaps.
pub fn smoothed(values: impl Iterator<Item = f64>, weight: f64) -> Vec<f64> {
    let (mut sum, mut norm) = (0.0, 0.0);
    values
        .map(|value| {
            if value.is_finite() {
                sum = sum * weight + value * (1.0 - weight);
                norm = norm * weight + (1.0 - weight);
                sum / norm
            } else {
                value
            }
        })
        .collect()
}
