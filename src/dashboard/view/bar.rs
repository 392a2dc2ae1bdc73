//! Small pictures in a row of text: how far something is, and how it went.

use ratatui::text::Span;

use crate::dashboard::theme::{Glyphs, Role, Theme};

const EIGHTHS: [&str; 9] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const HEIGHTS_ASCII: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// A bar of so many columns, filled to a part from 0 to 1.
pub(super) fn progress(theme: Theme, part: f64, width: usize) -> [Span<'static>; 2] {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    let (full, rest) = if theme.glyphs == Glyphs::Ascii { ("#", ".") } else { ("━", "─") };
    let done = (part * width as f64).round() as usize;
    [Span::styled(full.repeat(done), theme.role(Role::Accent)), Span::styled(rest.repeat(width - done), theme.faint())]
}

/// A value from 0 to 1 as the height of one cell.
pub(super) fn height(theme: Theme, part: f64) -> &'static str {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    let step = (part * 7.0).round() as usize;
    if theme.glyphs == Glyphs::Ascii { HEIGHTS_ASCII[step] } else { HEIGHTS[step] }
}

/// A horizontal bar in eighths of a column.
pub(super) fn length(theme: Theme, part: f64, width: usize) -> String {
    let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
    if theme.glyphs == Glyphs::Ascii {
        return "#".repeat((part * width as f64).round() as usize);
    }
    let eighths = (part * width as f64 * 8.0).round() as usize;
    let rest = if eighths.is_multiple_of(8) { "" } else { EIGHTHS[eighths % 8] };
    format!("{}{rest}", "█".repeat(eighths / 8))
}

/// A curve in one row, from its lowest to its highest value.
pub(super) fn sparkline(theme: Theme, values: &[f64]) -> String {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let part = |value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
    values.iter().map(|value| if value.is_finite() { height(theme, part(*value)) } else { " " }).collect()
}
