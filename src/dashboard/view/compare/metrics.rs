//! All validation metrics at the best epochs, side by side.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::{Grid, style_of};
use crate::dashboard::format;
use crate::dashboard::model::{Lineup, Model, finals_of};
use crate::dashboard::theme::{Glyphs, Role};
use crate::dashboard::view::{put, put_notice, split_top};
use crate::metrics;
use crate::spec::Direction;

/// Columns of a mean with its error, and of one alone; and of the sign of the best.
const BOTH: usize = 17;
const ALONE: usize = 9;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>) {
    let theme = model.theme;
    let names = lineup.metrics(&model.data);
    if names.is_empty() {
        let is_read = lineup.all.iter().all(|it| model.data.finals(&finals_of(it)).is_some());
        let text = if is_read { "no fold is finished: there is no last epoch yet" } else { "reading …" };
        put_notice(frame.buffer_mut(), area, theme, &[text]);
        return;
    }
    let longest = names.iter().map(|name| format::width(name)).max().unwrap_or(0).max(14);
    let has_room = lineup.all.len() * (BOTH + 2) + longest + 2 <= area.width.into();
    let grid = Grid::of(model, lineup, area.width, longest, if has_room { BOTH } else { ALONE });
    let [title, body] = split_top(area, 1);
    put(frame.buffer_mut(), title, grid.title(model, lineup, "at best epochs"));
    let plus_minus = theme.plus_minus();
    let star = if theme.glyphs == Glyphs::Ascii { "*" } else { "★" };
    Grid::render(frame, body, model, names.len(), |row| {
        let name = names[row];
        let finals: Vec<_> = lineup
            .all
            .iter()
            .map(|it| model.data.finals(&finals_of(it))?.iter().find(|metric| metric.name == name))
            .collect();
        let means = finals.iter().flatten().map(|metric| metric.mean).filter(|mean| mean.is_finite());
        let best = direction(lineup, name)
            .and_then(|direction| means.reduce(|best, mean| if direction.better(mean, best) { mean } else { best }));
        grid.row(theme, name, |n| {
            let Some(metric) = finals[n] else { return vec![Span::styled("-", theme.faint())] };
            let is_best = best == Some(metric.mean) && lineup.all.len() > 1;
            let style = if is_best { theme.role(Role::Good).patch(theme.bold()) } else { style_of(theme, model, n) };
            let mut spans = vec![Span::styled(format::score(metric.mean), style)];
            if let (Some(error), true) = (metric.se, has_room) {
                spans.push(Span::styled(format!(" {plus_minus}{}", format::score(error)), theme.dim()));
            }
            spans.push(Span::styled(format!(" {}", if is_best { star } else { " " }), style));
            spans
        })
    });
}

/// Which way a metric is better: of those of one class by their kind; none where nobody knows.
fn direction(lineup: &Lineup<'_>, name: &str) -> Option<Direction> {
    let outline = lineup.all[lineup.reference].outline;
    let kind = name.split('/').next().unwrap_or(name);
    match kind {
        _ if name == outline.objective => Some(outline.direction),
        "loss" => Some(Direction::Minimize),
        "precision" | "recall" | "f1" => Some(Direction::Maximize),
        _ => metrics::direction(kind),
    }
}
