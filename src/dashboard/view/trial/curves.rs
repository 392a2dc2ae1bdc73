//! Curves of every fold, over each other.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{fold_name, folds, parameters};
use crate::dashboard::chart::{Axis, Chart, Mark, Series, smoothed};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::dashboard::model::{Model, TrialMsg};
use crate::dashboard::theme::{Glyphs, Theme};
use crate::dashboard::view::{Zones, put, put_notice};
use crate::protocol::Split;
use crate::store::{Outline, Sample};

/// From this width on there is room for parameters and folds beside the curves.
const WIDE: u16 = 96;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (outline, ledger, trial): (&Outline, &Ledger, &Trial),
    zones: &mut Zones,
) {
    let side = if area.width >= WIDE { 36 } else { 0 };
    let [left, _, right] =
        Layout::horizontal([Constraint::Length(side), Constraint::Length(u16::from(side > 0)), Constraint::Fill(1)])
            .areas(area);
    if side > 0 {
        let needed = (ledger.parameters.len() as u16 + 2).min(left.height / 2 + 1);
        let [above, below] = crate::dashboard::view::split_top(left, needed);
        parameters::compact(frame, above, model, ledger, trial);
        folds::compact(frame, below, model, ledger, trial, zones);
    }
    let [title, legend, plot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)]).areas(right);
    let curves = Curves::of(model, outline, trial);
    put(frame.buffer_mut(), title, headline(model, outline, &curves, zones, title));
    if curves.lines.iter().all(|line| line.points.is_empty()) {
        let is_read = curves.lines.iter().all(|line| line.is_read);
        let text = if is_read { "nothing has been measured of it yet" } else { "reading …" };
        put_notice(frame.buffer_mut(), plot, model.theme, &[text]);
        return;
    }
    draw(frame, plot, legend, model, trial, &curves, zones);
}

/// What is drawn of one run.
struct Curve {
    /// Among the newest runs.
    fold: usize,
    split: Split,
    points: Vec<(f64, f64)>,
    is_read: bool,
}

struct Curves {
    lines: Vec<Curve>,
    by_steps: bool,
}

impl Curves {
    fn of(model: &Model, outline: &Outline, trial: &Trial) -> Self {
        let view = &model.trial;
        let by_steps = view.by_steps(&model.data, outline, trial);
        let x = |sample: &Sample| if by_steps { sample.step as f64 } else { f64::from(sample.epoch) };
        let line = |(fold, split, want)| {
            let samples = model.data.curve(&want);
            let points = samples.unwrap_or_default().iter().map(|sample| (x(sample), sample.value)).collect();
            Curve { fold, split, points, is_read: samples.is_some() }
        };
        Self { lines: view.curves(&model.data, outline, trial).into_iter().map(line).collect(), by_steps }
    }

    fn x_title(&self) -> &'static str {
        if self.by_steps { "step" } else { "epoch" }
    }
}

fn headline<'a>(model: &Model, outline: &'a Outline, curves: &Curves, zones: &mut Zones, area: Rect) -> Line<'a> {
    let (theme, view) = (model.theme, &model.trial);
    let metric = view.metric(outline).to_owned();
    zones.add(Rect { width: format::width(&metric) as u16 + 1, ..area }, Msg::Trial(TrialMsg::Metrics));
    let mut spans = vec![Span::styled(format!(" {metric}"), theme.bold())];
    let has = |split| curves.lines.iter().any(|line| line.split == split);
    let (line, dashes) = if theme.glyphs == Glyphs::Ascii { ("-", ":") } else { ("─", "╌") };
    if has(Split::Validation) {
        spans.push(Span::styled(format!("  {line} validation"), theme.dim()));
    }
    if has(Split::Train) {
        spans.push(Span::styled(format!("  {dashes} train"), theme.dim()));
    }
    if view.smoothing() > 0.0 {
        spans.push(Span::styled(format!("  smoothed {}", view.smoothing()), theme.dim()));
    }
    for (is_log, axis) in [(view.is_log_y, "y"), (view.is_log_x, "x")] {
        if is_log {
            spans.push(Span::styled(format!("  log {axis}"), theme.dim()));
        }
    }
    let (low, high) = view.window;
    if high - low < 1.0 {
        spans.push(Span::styled(format!("  zoom {:.0}x", 1.0 / (high - low)), theme.dim()));
    }
    Line::from(spans)
}

fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    legend: Rect,
    model: &Model,
    trial: &Trial,
    curves: &Curves,
    zones: &mut Zones,
) {
    let (theme, view) = (model.theme, &model.trial);
    let xs = curves.lines.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let Some(x) = Axis::around(xs, view.is_log_x, 0.0) else {
        let text = "a logarithm has no zero: x goes back";
        put_notice(frame.buffer_mut(), area, theme, &[text]);
        return;
    };
    // epochs, or steps
    let x = x.whole().zoomed(view.window.0, view.window.1);
    let series = series(theme, model, curves);
    let seen = series.iter().flat_map(|series| &series.points).filter(|(at, _)| (0.0..=1.0).contains(&x.part(*at)));
    let Some(y) = Axis::around(seen.map(|(_, value)| *value), view.is_log_y, 0.03) else {
        let text = if view.is_log_y { "a logarithm has no zero: y goes back" } else { "there is no number here" };
        put_notice(frame.buffer_mut(), area, theme, &[text]);
        return;
    };
    let cursor = view.cursor.map(|part| x.at(part));
    let chart = Chart { theme, series: &series, bands: &[], x, y, x_title: curves.x_title(), cursor };
    let plot = chart.render(frame.buffer_mut(), area);
    if let Some(plot) = plot {
        // a click sets the cursor to its column
        for column in plot.area.left()..plot.area.right() {
            let part = (f64::from(column - plot.area.x) + 0.5) / f64::from(plot.area.width);
            let strip = Rect { x: column, width: 1, ..plot.area };
            zones.add(strip, Msg::Trial(TrialMsg::CursorAt((part * 1000.0) as u16)));
        }
    }
    put(frame.buffer_mut(), legend, values(theme, model, trial, curves, cursor, legend.width));
    for (fold, place) in fold_places(trial, legend).into_iter().enumerate() {
        zones.add(place, Msg::Move(Move::To(fold)));
    }
}

/// Of folds that do not stand out first: what is looked at lies above.
fn series(theme: Theme, model: &Model, curves: &Curves) -> Vec<Series> {
    let view = &model.trial;
    let is_chosen = |fold: usize| view.fold.is_none_or(|chosen| chosen == fold);
    let style = |line: &Curve| if is_chosen(line.fold) { theme.series(line.fold) } else { theme.faint() };
    let mut lines: Vec<&Curve> = curves.lines.iter().collect();
    lines.sort_by_key(|line| (is_chosen(line.fold), line.split == Split::Validation));
    let mut series = Vec::new();
    for line in lines {
        let mark = if line.split == Split::Train { Mark::Dashes } else { Mark::Line };
        if view.smoothing() > 0.0 {
            series.push(Series { points: line.points.clone(), style: theme.faint(), mark: Mark::Dots });
            let smooth = smoothed(line.points.iter().map(|(_, value)| *value), view.smoothing());
            let points = line.points.iter().zip(smooth).map(|((x, _), value)| (*x, value)).collect();
            series.push(Series { points, style: style(line), mark });
        } else {
            series.push(Series { points: line.points.clone(), style: style(line), mark });
        }
    }
    series
}

/// Columns of one fold in the legend.
const FOLD: usize = 11;

/// Each fold in its colour, with its value at the cursor or its last one.
fn values<'a>(
    theme: Theme,
    model: &Model,
    trial: &Trial,
    curves: &Curves,
    cursor: Option<f64>,
    width: u16,
) -> Line<'a> {
    let main =
        if curves.lines.iter().any(|line| line.split == Split::Validation) { Split::Validation } else { Split::Train };
    let mut spans = vec![Span::raw(" ")];
    for (fold, run) in trial.newest_runs().enumerate() {
        let of_fold = curves
            .lines
            .iter()
            .filter(|line| line.fold == fold && (line.split == main || line.split == Split::Machine));
        let points = of_fold.flat_map(|line| &line.points);
        let point = match cursor {
            Some(at) => points.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs())),
            None => points.last(),
        };
        let is_chosen = model.trial.fold.is_none_or(|chosen| chosen == fold);
        let style: Style = if is_chosen { theme.series(fold) } else { theme.faint() };
        let value = point.map_or_else(|| "-".to_owned(), |(_, value)| format::score(*value));
        let text = format!("{}:{value}", fold_name(run));
        spans.push(Span::styled(format!("{text:<FOLD$}"), style));
    }
    if let Some(at) = cursor {
        let used: usize = spans.iter().map(Span::width).sum();
        let text = format!("at {} {}", curves.x_title(), format::number((at * 10.0).round() / 10.0));
        if used + format::width(&text) < usize::from(width) {
            spans.push(Span::styled(text, theme.dim()));
        }
    }
    Line::from(spans)
}

fn fold_places(trial: &Trial, legend: Rect) -> Vec<Rect> {
    let place = |fold: usize| {
        let x = (legend.x + 1 + (fold * FOLD) as u16).min(legend.right());
        Rect { x, width: (FOLD as u16).min(legend.right() - x), ..legend }
    };
    (0..trial.newest_runs().count()).map(place).collect()
}
