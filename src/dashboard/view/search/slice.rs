//! One parameter against the score: the trials, and what the model says of it averaged over the others.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::scale::Scale;
use super::{Kind, basis, put, put_notice, put_waiting};
use crate::dashboard::chart::{Axis, Band, Chart, Mark, Plot, Series};
use crate::dashboard::format;
use crate::dashboard::ledger::Ledger;
use crate::dashboard::model::{Model, SearchView, of_space, spec};
use crate::dashboard::theme::{Glyphs, Role};
use crate::search::insight::{Importance, Place};
use crate::store::Outline;

/// Half the width of what is said of one name, in columns of names.
const HALF: f64 = 0.3;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, (outline, ledger): (&Outline, &Ledger)) {
    let theme = model.theme;
    let sweep = outline.head.key;
    let Some(spec) = spec(&model.data, sweep) else {
        put_waiting(frame.buffer_mut(), area, model, outline);
        return;
    };
    let known = SearchView::parameters(&model.data, sweep);
    let chosen = model.search.parameter(&known);
    let free = known.get(chosen).and_then(|name| spec.search.space.parameters().iter().find(|free| free.name == *name));
    let Some(free) = free else {
        put_notice(frame.buffer_mut(), area, theme, &["no parameter varies"]);
        return;
    };
    let [title, plot, note] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    let importance = model.data.insight(sweep).and_then(|study| {
        let insight = study.told.as_ref().ok()?;
        insight.parameters.iter().find(|importance| importance.parameter == free.name)
    });
    put(
        frame.buffer_mut(),
        title,
        headline(model, outline, (chosen, known.len()), &free.name, importance, title.width),
    );
    put(frame.buffer_mut(), note, remark(model, outline, ledger, importance, note.width));
    let Some(number) = ledger.parameters.iter().position(|name| *name == free.name) else {
        put_notice(frame.buffer_mut(), plot, theme, &["no trial has a value of it yet"]);
        return;
    };
    let scale = Scale::of(&free.domain);
    let mut points = Vec::new();
    for trial in of_space(ledger) {
        if let Some((x, score)) = scale.part(trial.setting(number)).zip(trial.score_so_far()) {
            points.push((x, score, Kind::of(ledger, trial)));
        }
    }
    draw(frame, plot, model, &scale, &mut points, importance);
}

fn headline<'a>(
    model: &Model,
    outline: &Outline,
    (chosen, all): (usize, usize),
    name: &str,
    importance: Option<&Importance>,
    width: u16,
) -> Line<'a> {
    let theme = model.theme;
    let arrows = if theme.glyphs == Glyphs::Ascii { ("<", ">") } else { ("◂", "▸") };
    let mut spans = vec![
        Span::styled(format!(" {} ", arrows.0), theme.active()),
        Span::styled(format::fit_end(name, usize::from(width) / 2), theme.bold()),
        Span::styled(format!(" {} ", arrows.1), theme.active()),
        Span::styled(format!("{}/{all}  ", chosen + 1), theme.dim()),
        Span::styled(outline.objective.clone(), theme.dim()),
    ];
    if let Some(importance) = importance.filter(|_| width >= 80) {
        let percent = importance.total.median * 100.0;
        spans.push(Span::styled(format!("  matters {percent:.0} % of the variance"), theme.dim()));
        if importance.active < 0.995 {
            let active = importance.active * 100.0;
            spans.push(Span::styled(format!(", has a value in {active:.0} % of the space"), theme.dim()));
        }
    }
    Line::from(spans)
}

/// What the model says, or why it says nothing.
fn remark<'a>(
    model: &Model,
    outline: &Outline,
    ledger: &Ledger,
    importance: Option<&Importance>,
    width: u16,
) -> Line<'a> {
    let theme = model.theme;
    let text = match (model.data.insight(outline.head.key), importance) {
        (None, _) => "the model: computing …".to_owned(),
        (Some(study), Some(importance)) => {
            let best = importance.effect.get(importance.best);
            let best = best.map(|best| {
                let value = best.value.as_f64().map_or_else(|| best.value.to_string(), format::number);
                let there = best.predicted;
                let [score, low, high] = [there.score, there.low, there.high].map(format::score);
                format!("typical score, best at {}: {score} ({low} to {high})", value.trim_matches('"'))
            });
            let basis = basis(study, outline, ledger);
            let basis = if basis.is_empty() { basis } else { format!("  {basis}") };
            format!("{}{basis}", best.unwrap_or_default())
        }
        (Some(study), None) => study.told.as_ref().err().map(|why| format!("no model: {why}")).unwrap_or_default(),
    };
    let line = if theme.glyphs == Glyphs::Ascii { "-" } else { "─" };
    Line::from(vec![
        Span::styled(format!(" {line} "), theme.role(Role::Good)),
        Span::styled(format::fit(&text, usize::from(width).saturating_sub(3)), theme.dim()),
    ])
}

fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    scale: &Scale,
    points: &mut [(f64, f64, Kind)],
    importance: Option<&Importance>,
) {
    let theme = model.theme;
    let effect = importance.map(|importance| importance.effect.as_slice()).unwrap_or_default();
    let curve = Curve::of(scale, effect);
    let seen: Vec<f64> = points.iter().map(|(_, score, _)| *score).filter(|score| score.is_finite()).collect();
    let least = seen.iter().copied().fold(f64::INFINITY, f64::min);
    let most = seen.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // what the model makes of places that nobody has seen must not flatten what has been seen
    let reach = (least - (most - least), most + (most - least));
    let modelled = curve.line.iter().map(|(_, score)| *score).filter(|score| (reach.0..=reach.1).contains(score));
    let Some(y) = Axis::around(seen.iter().copied().chain(modelled), false, 0.05) else {
        put_notice(frame.buffer_mut(), area, theme, &["no trial has a score yet"]);
        return;
    };
    // the axis of the chart is drawn in the numbers of the scale, or bare where names are written below it
    let (x, place): (Axis, Box<dyn Fn(f64) -> f64>) = match scale {
        Scale::Number(axis) => (axis.zoomed(-0.02, 1.02), Box::new(|part| axis.at(part))),
        Scale::Names(_) => (Axis { low: 0.0, high: 1.0, is_log: false, is_whole: false }, Box::new(|part| part)),
    };
    let line = curve.line.iter().map(|(part, score)| (place(*part), *score)).collect();
    let bands: Vec<Band> = curve
        .bands
        .iter()
        .map(|band| Band {
            points: band.iter().map(|(part, low, high)| (place(*part), *low, *high)).collect(),
            style: theme.faint(),
        })
        .collect();
    let series = [Series { points: line, style: theme.role(Role::Good), mark: Mark::Line }];
    let chart = Chart { theme, series: &series, bands: &bands, x, y, x_title: "", cursor: None };
    let Some(plot) = chart.render(frame.buffer_mut(), area) else { return };
    if let Scale::Names(names) = scale {
        put_names(frame.buffer_mut(), model, area, &plot, names);
    }
    points.sort_by_key(|(_, _, kind)| *kind == Kind::Best);
    for (part, score, kind) in points {
        if let Some((column, row)) = plot.cell(place(*part), *score) {
            let (sign, style) = kind.sign(theme);
            frame.buffer_mut().set_string(column, row, sign, style);
        }
    }
}

/// In place of the numbers below the axis.
fn put_names(buffer: &mut Buffer, model: &Model, area: Rect, plot: &Plot, names: &[String]) {
    let theme = model.theme;
    let below = Rect { y: plot.area.bottom() + 1, height: 1, ..area };
    buffer.set_string(area.x, below.y, " ".repeat(area.width.into()), theme.text());
    let rule = if theme.glyphs == Glyphs::Ascii { "-" } else { "─" };
    buffer.set_string(plot.area.x, plot.area.bottom(), rule.repeat(plot.area.width.into()), theme.faint());
    let width = usize::from(plot.area.width) / names.len().max(1);
    for (place, name) in names.iter().enumerate() {
        let x = plot.area.x + (place * usize::from(plot.area.width) / names.len()) as u16;
        let cell = Rect { x, width: width.max(1) as u16, ..below };
        let text = format::fit(name, width.saturating_sub(1).max(1));
        put(buffer, cell, Line::styled(text, theme.dim()).centered());
    }
}

/// The effect of a parameter, and what it may be: of names one by one.
#[derive(Default)]
struct Curve {
    /// NaN is a gap.
    line: Vec<(f64, f64)>,
    bands: Vec<Vec<(f64, f64, f64)>>,
}

impl Curve {
    fn of(scale: &Scale, effect: &[Place]) -> Self {
        let placed = effect.iter().filter_map(|place| Some((scale.part_of(&place.value)?, place.predicted)));
        match scale {
            Scale::Number(_) => {
                let (line, band) = placed
                    .map(|(part, it)| ((part, it.score), (part, it.low, it.high)))
                    .unzip::<_, _, Vec<_>, Vec<_>>();
                Self { line, bands: vec![band] }
            }
            Scale::Names(names) => {
                let half = HALF / names.len().max(1) as f64;
                let mut curve = Self::default();
                for (part, it) in placed {
                    let (from, to) = (part - half, part + half);
                    curve.line.extend([(from, it.score), (to, it.score), (f64::NAN, f64::NAN)]);
                    curve.bands.push(vec![(from, it.low, it.high), (to, it.low, it.high)]);
                }
                curve
            }
        }
    }
}
