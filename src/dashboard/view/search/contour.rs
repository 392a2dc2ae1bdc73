//! Two parameters and what the model says of their scores, averaged over the others, as a map.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::scale::Scale;
use super::{Kind, basis, put, put_notice, put_unknown, put_waiting};
use crate::dashboard::format;
use crate::dashboard::ledger::Ledger;
use crate::dashboard::model::{Model, of_space, spec, told};
use crate::dashboard::theme::{Glyphs, Theme};
use crate::search::insight::Pair;
use crate::spec::Direction;
use crate::store::Outline;

/// More trials than this would hide the map: the best of them are shown.
const TRIALS: usize = 150;

/// From the worst to the best, so that it is read without colours.
const SHADES: [&str; 6] = [" ", "·", "░", "▒", "▓", "█"];
const SHADES_ASCII: [&str; 6] = [" ", ".", ":", "+", "%", "@"];

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, (outline, ledger): (&Outline, &Ledger)) {
    let (theme, sweep) = (model.theme, outline.head.key);
    let (Some(spec), Some(study)) = (spec(&model.data, sweep), model.data.insight(sweep)) else {
        put_waiting(frame.buffer_mut(), area, model, outline);
        return;
    };
    if let Err(why) = study.told {
        put_unknown(frame.buffer_mut(), area, model, why);
        return;
    }
    let Some(names) = model.search.pair(&model.data, sweep) else {
        put_notice(frame.buffer_mut(), area, theme, &["it takes two parameters that vary"]);
        return;
    };
    let [title, map, note] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    put(frame.buffer_mut(), title, headline(theme, &names, title.width));
    let (pair, is_turned) = match told(&model.data, sweep, &names) {
        Some(Ok(pair)) => pair,
        Some(Err(why)) => return put_unknown(frame.buffer_mut(), map, model, why),
        None => return put_notice(frame.buffer_mut(), map, theme, &["computing …"]),
    };
    let domain = |name: &String| spec.search.space.parameters().iter().find(|free| free.name == *name);
    let [Some(across), Some(up)] = names.each_ref().map(domain) else { return };
    let scales = [Scale::of(&across.domain), Scale::of(&up.domain)];
    let Some(grid) = Grid::of(pair, is_turned, &scales, spec.search.direction) else { return };
    let plot = frame_of(frame.buffer_mut(), map, theme, &scales);
    grid.render(frame.buffer_mut(), plot, theme, &scales);
    put_trials(frame.buffer_mut(), plot, theme, ledger, &names, &scales);
    let basis = basis(study, outline, ledger);
    put(frame.buffer_mut(), note, legend(theme, &grid, pair, &basis, note.width));
}

fn headline<'a>(theme: Theme, names: &[String; 2], width: u16) -> Line<'a> {
    let (across, up) = if theme.glyphs == Glyphs::Ascii { ("<>", "^v") } else { ("◂▸", "▴▾") };
    let [x, y] = names.each_ref().map(|name| format::fit_end(name, usize::from(width) / 2 - 8));
    Line::from(vec![
        Span::styled(format!(" {across} "), theme.active()),
        Span::styled(x, theme.bold()),
        Span::styled(format!("  {up} "), theme.active()),
        Span::styled(y, theme.bold()),
    ])
}

/// What the marks mean, and how far the two belong together.
fn legend<'a>(theme: Theme, grid: &Grid, pair: &Pair, basis: &str, width: u16) -> Line<'a> {
    let shades = if theme.glyphs == Glyphs::Ascii { SHADES_ASCII } else { SHADES };
    let mut spans = vec![Span::styled(format!(" {} ", format::score(grid.worst)), theme.dim())];
    for (step, shade) in shades.iter().enumerate() {
        spans.push(Span::styled(shade.repeat(2), theme.scale((step as f64 + 0.5) / shades.len() as f64)));
    }
    spans.push(Span::styled(format!(" {}", format::score(grid.best)), theme.dim()));
    let (sign, style) = Kind::Best.sign(theme);
    spans.push(Span::styled(format!("  {sign}"), style));
    spans.push(Span::styled(" best", theme.dim()));
    let it = pair.interaction;
    let [low, median, high] = [it.low, it.median, it.high].map(|share| share * 100.0);
    let together = format!("  together {median:.0} % ({low:.0} to {high:.0})  {basis}");
    let used: usize = spans.iter().map(Span::width).sum();
    spans.push(Span::styled(format::fit(&together, usize::from(width).saturating_sub(used)), theme.dim()));
    Line::from(spans)
}

/// What is predicted at the crossings of values.
struct Grid {
    /// Where the values lie, ascending.
    parts: [Vec<f64>; 2],
    /// By the places across and up, more is better; NaN where there is no such point.
    gains: Vec<Vec<f64>>,
    worst: f64,
    best: f64,
    least: f64,
    most: f64,
}

impl Grid {
    fn of(pair: &Pair, is_turned: bool, scales: &[Scale; 2], direction: Direction) -> Option<Self> {
        let [first, second] = &pair.values;
        let values = if is_turned { [second, first] } else { [first, second] };
        let place = |scale: &Scale, values: &[serde_json::Value]| {
            values.iter().map(|value| scale.part_of(value).unwrap_or(f64::NAN)).collect::<Vec<f64>>()
        };
        let parts = [place(&scales[0], values[0]), place(&scales[1], values[1])];
        let gain = |across: usize, up: usize| {
            let cell = if is_turned { pair.scores[up][across] } else { pair.scores[across][up] };
            cell.map_or(f64::NAN, |cell| direction.gain(cell.score))
        };
        let gains: Vec<Vec<f64>> =
            (0..parts[0].len()).map(|across| (0..parts[1].len()).map(|up| gain(across, up)).collect()).collect();
        let known = || gains.iter().flatten().copied().filter(|gain| gain.is_finite());
        let (least, most) = (known().reduce(f64::min)?, known().reduce(f64::max)?);
        Some(Self { parts, gains, worst: direction.gain(least), best: direction.gain(most), least, most })
    }

    fn render(&self, buffer: &mut Buffer, area: Rect, theme: Theme, scales: &[Scale; 2]) {
        let shades = if theme.glyphs == Glyphs::Ascii { SHADES_ASCII } else { SHADES };
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                let across = (f64::from(x - area.x) + 0.5) / f64::from(area.width);
                let up = 1.0 - (f64::from(y - area.y) + 0.5) / f64::from(area.height);
                let gain = self.at(across, up, scales);
                if !gain.is_finite() {
                    buffer.set_string(x, y, if theme.glyphs == Glyphs::Ascii { "/" } else { "╱" }, theme.faint());
                    continue;
                }
                let part = if self.most > self.least { (gain - self.least) / (self.most - self.least) } else { 0.5 };
                let step = ((part * shades.len() as f64) as usize).min(shades.len() - 1);
                buffer.set_string(x, y, shades[step], theme.scale(part));
            }
        }
    }

    /// Between numbers it goes evenly, between names not at all.
    fn at(&self, across: f64, up: f64, scales: &[Scale; 2]) -> f64 {
        let [a, b] = [between(&self.parts[0], across, &scales[0]), between(&self.parts[1], up, &scales[1])];
        let corner = |i: usize, j: usize| self.gains[i][j];
        let along = |i: usize| mixed(corner(i, b.0), corner(i, b.1), b.2);
        mixed(along(a.0), along(a.1), a.2)
    }
}

/// What is not there has no weight.
fn mixed(low: f64, high: f64, part: f64) -> f64 {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => low + (high - low) * part,
        _ if part < 0.5 => low,
        _ => high,
    }
}

/// The values on both sides of a place, and how far it is from the first to the second.
fn between(parts: &[f64], at: f64, scale: &Scale) -> (usize, usize, f64) {
    let last = parts.len() - 1;
    if matches!(scale, Scale::Names(_)) {
        let nearest = (0..=last).min_by(|a, b| (parts[*a] - at).abs().total_cmp(&(parts[*b] - at).abs())).unwrap_or(0);
        return (nearest, nearest, 0.0);
    }
    let above = parts.iter().position(|part| *part >= at).unwrap_or(last);
    let below = above.saturating_sub(1);
    let span = parts[above] - parts[below];
    let part = if span > 0.0 { ((at - parts[below]) / span).clamp(0.0, 1.0) } else { 0.0 };
    (below, above, part)
}

/// Draws the axes; what is inside of them comes back.
fn frame_of(buffer: &mut Buffer, area: Rect, theme: Theme, [across, up]: &[Scale; 2]) -> Rect {
    let (line, corner, rule) = if theme.glyphs == Glyphs::Ascii { ("|", "+", "-") } else { ("│", "└", "─") };
    let rows = area.height.saturating_sub(2).max(1);
    let ticks = up.ticks(usize::from(rows / 2).max(2));
    let most = usize::from(area.width / 4);
    let gutter = ticks.iter().map(|(_, text)| format::width(text)).max().unwrap_or(0).min(most) as u16 + 1;
    let plot = Rect { x: area.x + gutter + 1, width: area.width - gutter - 2, height: rows, ..area };
    for y in plot.rows() {
        buffer.set_string(plot.x - 1, y.y, line, theme.faint());
    }
    for (part, text) in &ticks {
        let text = format::fit(text, most);
        let y = row_at(plot, *part);
        let x = plot.x - 1 - (format::width(&text) as u16).min(gutter);
        buffer.set_string(x, y, &text, theme.dim());
    }
    buffer.set_string(plot.x - 1, plot.bottom(), corner, theme.faint());
    buffer.set_string(plot.x, plot.bottom(), rule.repeat(plot.width.into()), theme.faint());
    let ticks = across.ticks(usize::from(plot.width / 10).max(2));
    let room = usize::from(plot.width) / ticks.len().max(1);
    let mut free = area.x;
    for (part, text) in &ticks {
        let text = format::fit(text, room.max(4));
        let width = format::width(&text) as u16;
        let x = column_at(plot, *part).saturating_sub(width / 2).min(area.right().saturating_sub(width)).max(area.x);
        if x >= free {
            buffer.set_string(x, plot.bottom() + 1, &text, theme.dim());
            free = x + width + 1;
        }
    }
    plot
}

fn row_at(plot: Rect, part: f64) -> u16 {
    plot.y + (((1.0 - part).clamp(0.0, 1.0) * f64::from(plot.height)) as u16).min(plot.height - 1)
}

fn column_at(plot: Rect, part: f64) -> u16 {
    plot.x + ((part.clamp(0.0, 1.0) * f64::from(plot.width)) as u16).min(plot.width - 1)
}

fn put_trials(
    buffer: &mut Buffer,
    plot: Rect,
    theme: Theme,
    ledger: &Ledger,
    names: &[String; 2],
    [across, up]: &[Scale; 2],
) {
    let number = |name: &String| ledger.parameters.iter().position(|known| known == name);
    let [Some(x), Some(y)] = names.each_ref().map(number) else { return };
    let mut trials: Vec<_> = of_space(ledger).filter(|trial| Kind::of(ledger, trial) != Kind::Open).collect();
    // the best one comes last, and so above
    let gain = |score: Option<f64>| score.map_or(f64::NEG_INFINITY, |score| ledger.direction.gain(score));
    trials.sort_by(|a, b| gain(a.score).total_cmp(&gain(b.score)));
    for trial in trials.iter().skip(trials.len().saturating_sub(TRIALS)) {
        let places = across.part(trial.setting(x)).zip(up.part(trial.setting(y)));
        let Some((part_x, part_y)) = places else { continue };
        let kind = Kind::of(ledger, trial);
        let (sign, _) = kind.sign(theme);
        // on a ground of all colours only brightness stands out
        let style = if kind == Kind::Best { Style::new().reversed().bold() } else { theme.text().bold() };
        buffer.set_string(column_at(plot, part_x), row_at(plot, part_y), sign, style);
    }
}
