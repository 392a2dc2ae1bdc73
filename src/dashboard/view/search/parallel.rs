//! All parameters side by side, a line a trial, the better the brighter.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::scale::Scale;
use super::{Kind, Zones, put, put_notice};
use crate::dashboard::chart::{Axis, Chart, Mark, Series};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::dashboard::model::{Model, SearchView, of_space, spec};
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::store::{Outline, TrialState};

/// Lines that can still be told from each other: the best trials, and an even spread of the others.
const LINES: usize = 400;
/// Columns that an axis needs.
const WIDTH: u16 = 10;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (outline, ledger): (&Outline, &Ledger),
    zones: &mut Zones,
) {
    let theme = model.theme;
    let axes = Axes::of(model, outline, ledger);
    let trials = drawn(ledger);
    if axes.0.len() < 2 || trials.is_empty() {
        let text = if trials.is_empty() { "no trial has finished yet" } else { "no parameter varies" };
        put_notice(frame.buffer_mut(), area, theme, &[text]);
        return;
    }
    let [names, tops, plot, bottoms, note] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    let shown = axes.seen(area.width, model.search.axis);
    let chosen = model.search.axis.min(axes.0.len() - 1);
    let columns = columns(plot, shown.len());
    draw_lines(frame.buffer_mut(), plot, model, ledger, &axes, (&shown, &columns), &trials);
    let width = usize::from(plot.width) / shown.len() - 1;
    for (place, column) in shown.iter().zip(&columns) {
        let axis = &axes.0[*place];
        draw_axis(frame.buffer_mut(), plot, *column, theme, model.search.brush.filter(|_| *place == chosen));
        let style = if *place == chosen { theme.active() } else { theme.bold() };
        let texts = [(names, format::fit_end(axis.short(), width), style)].into_iter().chain([
            (tops, format::fit(&axis.scale.text_at(1.0), width), theme.dim()),
            (bottoms, format::fit(&axis.scale.text_at(0.0), width), theme.dim()),
        ]);
        for (row, text, style) in texts {
            let wide = format::width(&text) as u16;
            let x = column.saturating_sub(wide / 2).min(area.right().saturating_sub(wide)).max(area.x);
            put(frame.buffer_mut(), Rect { x, width: wide, ..row }, Line::styled(text, style));
        }
        let half = (width / 2) as u16;
        let x = column.saturating_sub(half).max(area.x);
        let strip = Rect { x, width: (width as u16).min(area.right() - x), height: area.height - 1, ..area };
        zones.add(strip, Msg::Move(Move::To(*place)));
    }
    put(frame.buffer_mut(), note, remark(model, ledger, &axes, &trials, (shown.len(), note.width)));
}

struct ParallelAxis {
    name: String,
    /// Of the ledger's parameters; none: the score.
    parameter: Option<usize>,
    scale: Scale,
}

impl ParallelAxis {
    fn short(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    fn part(&self, trial: &Trial) -> Option<f64> {
        match (self.parameter, &self.scale) {
            (Some(parameter), scale) => scale.part(trial.setting(parameter)),
            (None, Scale::Number(axis)) => trial.score.map(|score| axis.part(score)),
            (None, Scale::Names(_)) => None,
        }
    }
}

/// The parameters, and the score as the last.
struct Axes(Vec<ParallelAxis>);

impl Axes {
    fn of(model: &Model, outline: &Outline, ledger: &Ledger) -> Self {
        let sweep = outline.head.key;
        let spec = spec(&model.data, sweep);
        let known = SearchView::parameters(&model.data, sweep);
        // without the sweep file the points say what varies
        let names = if known.is_empty() { ledger.parameters.clone() } else { known };
        let mut axes: Vec<ParallelAxis> = Vec::new();
        for name in names {
            let Some(parameter) = ledger.parameters.iter().position(|known| *known == name) else { continue };
            let free = spec.and_then(|spec| spec.search.space.parameters().iter().find(|free| free.name == name));
            let scale = free.map_or_else(
                || Scale::around(of_space(ledger).map(|trial| trial.setting(parameter))),
                |free| Scale::of(&free.domain),
            );
            axes.push(ParallelAxis { name, parameter: Some(parameter), scale });
        }
        let scores =
            of_space(ledger).filter(|trial| trial.state == TrialState::Finished).filter_map(|trial| trial.score);
        if let Some(axis) = Axis::around(scores, false, 0.0) {
            let scale = Scale::Number(axis);
            axes.push(ParallelAxis { name: outline.objective.clone(), parameter: None, scale });
        }
        Self(axes)
    }

    /// Those that there is room for: the score, and a window of the others with the chosen one in it.
    fn seen(&self, width: u16, chosen: usize) -> Vec<usize> {
        let score = self.0.len() - 1;
        let room = usize::from(width / WIDTH).clamp(2, self.0.len()) - 1;
        let first = if chosen < score { (chosen + 1).saturating_sub(room) } else { 0 };
        (first..(first + room).min(score)).chain([score]).collect()
    }
}

/// Finished trials, the worst first.
fn drawn(ledger: &Ledger) -> Vec<&Trial> {
    let finished = of_space(ledger).filter(|trial| trial.state == TrialState::Finished && trial.score.is_some());
    let mut trials: Vec<&Trial> = finished.collect();
    let gain = |trial: &Trial| trial.score.map_or(f64::NEG_INFINITY, |score| ledger.direction.gain(score));
    trials.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
    if trials.len() <= LINES {
        return trials;
    }
    let (best, rest) = (trials.split_off(trials.len() - LINES / 2), trials);
    let spread = (0..LINES / 2).map(|place| rest[place * rest.len() / (LINES / 2)]);
    spread.chain(best).collect()
}

fn columns(plot: Rect, axes: usize) -> Vec<u16> {
    let margin = WIDTH / 2;
    let span = plot.width.saturating_sub(2 * margin);
    let between = axes.max(2) - 1;
    (0..axes).map(|axis| plot.x + margin + (axis * usize::from(span) / between) as u16).collect()
}

fn draw_lines(
    buffer: &mut Buffer,
    plot: Rect,
    model: &Model,
    ledger: &Ledger,
    axes: &Axes,
    (shown, columns): (&[usize], &[u16]),
    trials: &[&Trial],
) {
    let theme = model.theme;
    let last = trials.len().max(2) as f64 - 1.0;
    let line = |(rank, trial): (usize, &&Trial)| {
        let places = shown.iter().zip(columns).map(|(axis, column)| {
            let x = f64::from(column - plot.x) + 0.5;
            axes.0[*axis].part(trial).map_or((f64::NAN, f64::NAN), |part| (x, part))
        });
        let is_best = ledger.best().is_some_and(|best| best.id == trial.id);
        let style = match (is_chosen(model, axes, trial), is_best) {
            (false, _) => theme.faint(),
            (true, true) => theme.role(Role::Good).patch(theme.bold()),
            (true, false) => theme.scale(rank as f64 / last),
        };
        (is_chosen(model, axes, trial), Series { points: places.collect(), style, mark: Mark::Line })
    };
    let mut lines: Vec<(bool, Series)> = trials.iter().enumerate().map(line).collect();
    // what is not in the range lies below
    lines.sort_by_key(|(is_chosen, _)| *is_chosen);
    let series: Vec<Series> = lines.into_iter().map(|(_, series)| series).collect();
    let x = Axis { low: 0.0, high: f64::from(plot.width), is_log: false, is_whole: false };
    let y = Axis { low: 0.0, high: 1.0, is_log: false, is_whole: false };
    let chart = Chart { theme, series: &series, bands: &[], x, y, x_title: "", cursor: None };
    chart.render_bare(buffer, plot);
    // without colours the best one is known by its signs
    let Some(best) = ledger.best() else { return };
    let (sign, style) = Kind::Best.sign(theme);
    for (axis, column) in shown.iter().zip(columns) {
        if let Some(part) = axes.0[*axis].part(best) {
            let down = ((1.0 - part).clamp(0.0, 1.0) * f64::from(plot.height)) as u16;
            let row = plot.y + down.min(plot.height - 1);
            buffer.set_string((column + 1).min(plot.right() - 1), row, sign, style);
        }
    }
}

fn is_chosen(model: &Model, axes: &Axes, trial: &Trial) -> bool {
    let axis = &axes.0[model.search.axis.min(axes.0.len() - 1)];
    let Some((low, high)) = model.search.brush else { return true };
    // what lies at the ends is in it
    axis.part(trial).is_some_and(|part| (low - 1e-9..=high + 1e-9).contains(&part))
}

fn draw_axis(buffer: &mut Buffer, plot: Rect, column: u16, theme: Theme, brush: Option<(f64, f64)>) {
    let (line, thick) = if theme.glyphs == Glyphs::Ascii { ("|", "#") } else { ("│", "┃") };
    for y in plot.top()..plot.bottom() {
        let part = 1.0 - (f64::from(y - plot.y) + 0.5) / f64::from(plot.height);
        let is_in = brush.is_some_and(|(low, high)| (low..=high).contains(&part));
        let (sign, style) = if is_in { (thick, theme.active()) } else { (line, theme.dim()) };
        buffer.set_string(column, y, sign, style);
    }
}

/// What the range chooses, or what there is to see.
fn remark<'a>(
    model: &Model,
    ledger: &Ledger,
    axes: &Axes,
    trials: &[&Trial],
    (shown, width): (usize, u16),
) -> Line<'a> {
    let theme = model.theme;
    let axis = &axes.0[model.search.axis.min(axes.0.len() - 1)];
    let text = if let Some((low, high)) = model.search.brush {
        let chosen: Vec<&Trial> = trials.iter().copied().filter(|trial| is_chosen(model, axes, trial)).collect();
        let scores = || chosen.iter().filter_map(|trial| trial.score);
        let mean = scores().sum::<f64>() / scores().count().max(1) as f64;
        let best = chosen.last().and_then(|best| best.score);
        let range = format!("{} {} to {}", axis.short(), axis.scale.text_at(low), axis.scale.text_at(high));
        match best {
            Some(best) => format!(
                "{range}: {} of {} trials, mean {}, best {}",
                chosen.len(),
                trials.len(),
                format::score(mean),
                format::score(best)
            ),
            None => format!("{range}: no trial"),
        }
    } else {
        let finished = of_space(ledger).filter(|trial| trial.state == TrialState::Finished).count();
        let part = if finished > trials.len() {
            format!("{} of {finished} trials, the best among them", trials.len())
        } else {
            format!("{finished} trials, the best brightest")
        };
        let hidden = axes.0.len() - shown;
        let more = if hidden > 0 { format!("; {hidden} more axes to the sides") } else { String::new() };
        format!("{part}; Space chooses a range of {}{more}", axis.short())
    };
    let (sign, style) = Kind::Best.sign(theme);
    let best = ledger.best().map(|best| format!(" trial {}  ", best.id)).unwrap_or_default();
    let room = usize::from(width).saturating_sub(format::width(&best) + 3);
    Line::from(vec![
        Span::styled(format!(" {sign}"), style),
        Span::raw(best),
        Span::styled(format::fit(&text, room), theme.dim()),
    ])
}
