//! How good the best trial was after so many trials, or so many seconds.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::curves::{Drawn, draw};
use super::style_of;
use crate::dashboard::chart::{Mark, Series};
use crate::dashboard::format;
use crate::dashboard::model::{Lineup, Model};
use crate::dashboard::view::{Zones, put, put_notice, split_top};
use crate::store::{Millis, Outline};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>, zones: &mut Zones) {
    let theme = model.theme;
    let by_seconds = model.compare.by_seconds;
    // several trials of one sweep have one curve, that of the first
    let mut sweeps: Vec<(usize, &Outline)> = Vec::new();
    for (n, it) in lineup.drawn().iter().enumerate() {
        if sweeps.iter().all(|(_, outline)| outline.head.key != it.outline.head.key) {
            sweeps.push((n, it.outline));
        }
    }
    let lines: Vec<Drawn> = sweeps
        .iter()
        .map(|(n, outline)| {
            let points = steps(outline, model.now, by_seconds);
            Drawn { n: *n, series: Series { points, style: style_of(theme, model, *n), mark: Mark::Line } }
        })
        .collect();
    let [title, plot] = split_top(area, 1);
    let reference = lineup.all[lineup.reference].outline;
    let what = if by_seconds { "seconds" } else { "finished trials" };
    let others = sweeps.iter().any(|(_, outline)| outline.objective != reference.objective);
    let warning = if others { ", of other objectives: not to be compared" } else { "" };
    let text = format!(" best {} by {what}{warning}", reference.objective);
    put(frame.buffer_mut(), title, Line::styled(format::fit(&text, title.width.into()), theme.bold()));
    if lines.iter().all(|line| line.series.points.is_empty()) {
        put_notice(frame.buffer_mut(), plot, theme, &["no trial is finished yet"]);
        return;
    }
    draw(frame, plot, model, (lines, &[]), if by_seconds { "s" } else { "trial" }, zones);
}

/// A level until it is bettered, the last one up to now or to the end.
fn steps(outline: &Outline, now: Millis, by_seconds: bool) -> Vec<(f64, f64)> {
    let start = outline.started.unwrap_or(outline.created);
    let seconds = |at: Millis| (at.0 - start.0).max(0) as f64 / 1000.0;
    let mut points: Vec<(f64, f64)> = Vec::new();
    for improvement in &outline.improvements {
        let x = if by_seconds { seconds(improvement.at) } else { f64::from(improvement.nth) };
        if let Some((_, level)) = points.last().copied() {
            points.push((x, level));
        }
        points.push((x, improvement.score));
    }
    if let Some((_, level)) = points.last().copied() {
        let until = if outline.is_live() { now } else { outline.head.ended.or(outline.head.touched).unwrap_or(now) };
        points.push((if by_seconds { seconds(until) } else { f64::from(outline.finished) }, level));
    }
    points
}
