//! Curves over each other: of each trial the mean over its folds with a band, or each fold.

use std::collections::{BTreeMap, BTreeSet};

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{letter, style_of};
use crate::crossval::standard_error;
use crate::dashboard::chart::{Axis, Band, Chart, Mark, Plot, Series, smoothed};
use crate::dashboard::format;
use crate::dashboard::message::Msg;
use crate::dashboard::model::{CompareMsg, Compared, Lineup, Model, OverFolds};
use crate::dashboard::theme::Glyphs;
use crate::dashboard::view::{Zones, put, put_notice, split_top};
use crate::protocol::Split;
use crate::store::Sample;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>, zones: &mut Zones) {
    let theme = model.theme;
    let view = &model.compare;
    let drawn = lineup.drawn();
    let metric = view.metric(lineup);
    let trials: Vec<Curves> = drawn.iter().map(|it| Curves::of(model, it, metric, drawn.len())).collect();
    let (lines, bands) = lines(model, &trials);
    let [title, plot] = split_top(area, 1);
    put(frame.buffer_mut(), title, headline(model, metric, &trials, title, zones));
    if trials.iter().all(Curves::is_empty) {
        let is_read = trials.iter().all(|trial| trial.is_read);
        let text = if is_read { "nothing has been measured of it" } else { "reading …" };
        put_notice(frame.buffer_mut(), plot, theme, &[text, "", "m draws the next metric"]);
        return;
    }
    draw(frame, plot, model, (lines, &bands), "epoch", zones);
}

/// What is drawn of one trial.
struct Curves {
    /// Split, then the samples of a run.
    runs: Vec<(Split, Vec<(f64, f64)>)>,
    k: u32,
    is_read: bool,
}

impl Curves {
    fn of(model: &Model, it: &Compared<'_>, metric: &str, drawn: usize) -> Self {
        let wants = model.compare.curves(&model.data, it, metric, drawn);
        let samples: Vec<(Split, Option<&[Sample]>)> =
            wants.iter().map(|(split, want)| (*split, model.data.curve(want))).collect();
        let is_read = samples.iter().all(|(_, samples)| samples.is_some());
        let runs = samples.into_iter().map(|(split, samples)| (split, by_epoch(samples.unwrap_or_default())));
        Self { runs: runs.collect(), k: it.ledger.k, is_read }
    }

    fn is_empty(&self) -> bool {
        self.runs.iter().all(|(_, points)| points.is_empty())
    }

    fn splits(&self) -> Vec<Split> {
        let mut splits: Vec<Split> = self.runs.iter().map(|(split, _)| *split).collect();
        splits.sort_by_key(|split| *split != Split::Train);
        splits.dedup();
        splits
    }

    /// Mean over the runs at each epoch, with its corrected standard error.
    fn mean(&self, split: Split) -> Vec<(f64, f64, f64)> {
        let mut by_epoch: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        let runs = self.runs.iter().filter(|(of, points)| *of == split && !points.is_empty());
        let count = runs.clone().count();
        for (epoch, value) in runs.flat_map(|(_, points)| points) {
            by_epoch.entry(*epoch as u64).or_default().push(*value);
        }
        // a mean over the few that trained longest would be one of other folds
        let enough = by_epoch.into_iter().filter(|(_, values)| 2 * values.len() >= count);
        enough
            .map(|(epoch, values)| {
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                (epoch as f64, mean, standard_error(&values, self.k).unwrap_or(0.0))
            })
            .collect()
    }
}

/// The mean of the samples of each epoch.
fn by_epoch(samples: &[Sample]) -> Vec<(f64, f64)> {
    let epochs = samples.chunk_by(|a, b| a.epoch == b.epoch);
    epochs
        .map(|of_epoch| {
            let sum: f64 = of_epoch.iter().map(|sample| sample.value).sum();
            (f64::from(of_epoch[0].epoch), sum / of_epoch.len() as f64)
        })
        .collect()
}

/// Of those that do not stand out first: what is looked at lies above.
fn lines(model: &Model, trials: &[Curves]) -> (Vec<Drawn>, Vec<Band>) {
    let (theme, view) = (model.theme, &model.compare);
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by_key(|n| view.chosen == Some(*n));
    let (mut lines, mut bands) = (Vec::new(), Vec::new());
    let smooth = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        let values = smoothed(points.iter().map(|(_, value)| *value), view.smoothing());
        points.into_iter().zip(values).map(|((x, _), value)| (x, value)).collect()
    };
    for n in order {
        let style = style_of(theme, model, n);
        for split in trials[n].splits() {
            let mark = if split == Split::Train { Mark::Dashes } else { Mark::Line };
            if view.over_folds == OverFolds::Each {
                let runs = trials[n].runs.iter().filter(|(of, _)| *of == split);
                lines.extend(
                    runs.map(|(_, points)| Drawn { n, series: Series { points: smooth(points.clone()), style, mark } }),
                );
                continue;
            }
            let mean = trials[n].mean(split);
            let is_chosen = view.chosen.is_none_or(|chosen| chosen == n);
            if split != Split::Train && view.smoothing() == 0.0 && is_chosen {
                let band = mean.iter().map(|(x, mean, error)| (*x, mean - error, mean + error));
                bands.push(Band { points: band.collect(), style });
            }
            let points = smooth(mean.into_iter().map(|(x, mean, _)| (x, mean)).collect());
            lines.push(Drawn { n, series: Series { points, style, mark } });
        }
    }
    (lines, bands)
}

fn headline<'a>(model: &Model, metric: &'a str, trials: &[Curves], area: Rect, zones: &mut Zones) -> Line<'a> {
    let (theme, view) = (model.theme, &model.compare);
    zones.add(Rect { width: format::width(metric) as u16 + 1, ..area }, Msg::Compare(CompareMsg::Metrics));
    let mut spans = vec![Span::styled(format!(" {metric}"), theme.bold())];
    let has = |split| trials.iter().any(|trial| trial.splits().contains(&split));
    let (line, dashes) = if theme.glyphs == Glyphs::Ascii { ("-", ":") } else { ("─", "╌") };
    for (split, text) in
        [(Split::Validation, format!("  {line} validation")), (Split::Train, format!("  {dashes} train"))]
    {
        if has(split) {
            spans.push(Span::styled(text, theme.dim()));
        }
    }
    let how = if view.over_folds == OverFolds::Each {
        "  each fold"
    } else if theme.glyphs == Glyphs::Ascii {
        "  mean +- se of the folds"
    } else {
        "  mean ± se of the folds"
    };
    spans.push(Span::styled(how, theme.dim()));
    if view.smoothing() > 0.0 {
        spans.push(Span::styled(format!("  smoothed {}", view.smoothing()), theme.dim()));
    }
    if view.is_log_y {
        spans.push(Span::styled("  log y", theme.dim()));
    }
    Line::from(spans)
}

/// A line that belongs to the n-th of what is compared.
pub(super) struct Drawn {
    pub n: usize,
    pub series: Series,
}

/// Draws lines with the letters of what they belong to at their ends, and below them their values at the cursor, or
/// the last ones.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (lines, bands): (Vec<Drawn>, &[Band]),
    x_title: &str,
    zones: &mut Zones,
) {
    let (theme, view) = (model.theme, &model.compare);
    let [area, legend] = split_top(area, area.height.saturating_sub(1));
    let (names, series): (Vec<usize>, Vec<Series>) = lines.into_iter().map(|line| (line.n, line.series)).unzip();
    let points = || series.iter().flat_map(|series| &series.points);
    // epochs, or trials
    let x = Axis::around(points().map(|(x, _)| *x), false, 0.0).map(Axis::whole);
    let ends = bands.iter().flat_map(|band| &band.points).flat_map(|(_, low, high)| [*low, *high]);
    let y = Axis::around(points().map(|(_, y)| *y).chain(ends), view.is_log_y, 0.03);
    let Some((x, y)) = x.zip(y) else {
        let text = if view.is_log_y { "a logarithm has no zero: y goes back" } else { "there is no number here" };
        put_notice(frame.buffer_mut(), area, theme, &[text]);
        return;
    };
    let cursor = view.at.map(|part| x.at(part));
    let chart = Chart { theme, series: &series, bands, x, y, x_title, cursor };
    let Some(plot) = chart.render(frame.buffer_mut(), area) else { return };
    for column in plot.area.left()..plot.area.right() {
        let part = (f64::from(column - plot.area.x) + 0.5) / f64::from(plot.area.width);
        let strip = Rect { x: column, width: 1, ..plot.area };
        zones.add(strip, Msg::Compare(CompareMsg::CursorAt((part * 1000.0) as u16)));
    }
    let shown: BTreeSet<usize> = names.iter().copied().collect();
    let main = |n: usize| {
        let lines = names.iter().zip(&series).filter(move |(of, _)| **of == n);
        let (whole, dashed): (Vec<_>, Vec<_>) = lines.map(|(_, line)| line).partition(|line| line.mark == Mark::Line);
        if whole.is_empty() { dashed } else { whole }
    };
    let mut values = Vec::new();
    let mut taken = Vec::new();
    for n in shown {
        let lines = main(n);
        let at_cursor = lines.iter().filter_map(|line| value_at(&line.points, cursor));
        let (count, sum) = at_cursor.fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
        let value = if count > 0 { format::score(sum / f64::from(count)) } else { "-".to_owned() };
        values.push(letter(theme, model, n));
        values.push(Span::styled(format!(" {value}   "), style_of(theme, model, n)));
        let last = lines.iter().find_map(|line| line.points.iter().rev().find(|(_, y)| y.is_finite()));
        if let Some((x, y)) = last.filter(|_| view.chosen.is_none_or(|chosen| chosen == n)) {
            sign(frame, &plot, (*x, *y), &letter(theme, model, n), &mut taken);
        }
    }
    if let Some(at) = cursor {
        values.push(Span::styled(format!("at {x_title} {}", format::number((at * 10.0).round() / 10.0)), theme.dim()));
    }
    values.insert(0, Span::raw(" "));
    put(frame.buffer_mut(), legend, Line::from(values));
}

/// The value that was reached at the cursor; without one the last.
fn value_at(points: &[(f64, f64)], cursor: Option<f64>) -> Option<f64> {
    let mut known = points.iter().filter(|(_, value)| value.is_finite());
    let reached = known.clone().rev().find(|(x, _)| cursor.is_none_or(|at| *x <= at));
    reached.or_else(|| known.next()).map(|(_, value)| *value)
}

/// A letter where a line ends; where another one stands, above or below it.
fn sign(frame: &mut Frame<'_>, plot: &Plot, (x, y): (f64, f64), letter: &Span<'_>, taken: &mut Vec<(u16, u16)>) {
    let Some(column) = plot.column(x) else { return };
    let last = plot.area.height.saturating_sub(1);
    let row = ((1.0 - plot.y.part(y)) * f64::from(last)).round().clamp(0.0, f64::from(last)) as u16;
    let near = [0, 1, -1, 2, -2, 3, -3].into_iter().filter_map(|by: i16| row.checked_add_signed(by));
    let place = near.filter(|row| *row <= last).map(|row| (column, plot.area.y + row)).find(|at| !taken.contains(at));
    if let Some((x, y)) = place {
        frame.buffer_mut().set_span(x, y, letter, 1);
        taken.push((x, y));
    }
}
