//! Best so far, what is left to gain, and what would be tried next.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::{Kind, Zones, basis, fate, put, put_notice};
use crate::dashboard::chart::{Axis, Chart, Mark, Plot, Series};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Model, SearchMsg, of_space};
use crate::dashboard::theme::{Glyphs, Role};
use crate::search::Proposal;
use crate::store::{Outline, TrialState};

/// There is room for so many trials from the first on.
const FEWEST: usize = 6;

/// More trials than this are dots, not signs.
const SIGNS: usize = 300;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (outline, ledger): (&Outline, &Ledger),
    zones: &mut Zones,
) {
    let [best, stop, next, plot, cursor] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(if area.width >= 130 { 1 } else { 2 }),
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    put(frame.buffer_mut(), best, standing(model, outline, ledger, best.width));
    put_wrapped(frame, stop, left_to_gain(model, outline, ledger));
    put_wrapped(frame, next, to_be_tried(model, outline));
    let trials: Vec<&Trial> = of_space(ledger).collect();
    let drawn = Drawn::of(model, outline, ledger, &trials);
    if drawn.best_so_far.is_empty() {
        let text = if trials.is_empty() { "no trial has been proposed yet" } else { "no trial has finished yet" };
        put_notice(frame.buffer_mut(), plot, model.theme, &[text]);
    } else if let Some(plot) = drawn.render(frame, plot, model) {
        for column in plot.area.left()..plot.area.right() {
            let place = plot.numbers(column, plot.area.y).0.round().clamp(0.0, trials.len() as f64 - 1.0) as usize;
            let strip = Rect { x: column, width: 1, ..plot.area };
            zones.add(strip, Msg::Search(SearchMsg::TrialAt(place)));
        }
    }
    put(frame.buffer_mut(), cursor, under_cursor(model, ledger, &trials, cursor.width));
}

/// Words on as many rows as there are, each a column from the edge.
fn put_wrapped(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    use ratatui::widgets::{Paragraph, Wrap};
    let area = Rect { x: area.x + 1, width: area.width - 1, ..area };
    frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), area);
}

fn standing<'a>(model: &Model, outline: &Outline, ledger: &Ledger, width: u16) -> Line<'a> {
    let theme = model.theme;
    let mut spans = vec![Span::raw(" ")];
    if let Some((best, score)) = ledger.best().and_then(|best| Some((best, best.score?))) {
        let (sign, style) = Kind::Best.sign(theme);
        spans.push(Span::styled(format!("{sign} "), style));
        spans.push(Span::styled(format::score(score), theme.bold()));
        let plus_minus = theme.plus_minus();
        let error = best.score_se.map(|error| format!(" {plus_minus}{}", format::score(error))).unwrap_or_default();
        spans.push(Span::styled(format!("{error} trial {}  ", best.id), theme.dim()));
    }
    for (count, kind, word) in [
        (outline.finished, Kind::Finished, "finished"),
        (outline.given_up, Kind::GivenUp, "given up"),
        (outline.failed, Kind::Failed, "failed"),
    ] {
        if count > 0 || kind == Kind::Finished {
            let (sign, style) = kind.sign(theme);
            spans.push(Span::styled(format!(" {sign} "), style));
            spans.push(Span::raw(format!("{count} {word}")));
        }
    }
    if let Some(baseline) = outline.baseline.filter(|_| width >= 80) {
        let line = if theme.glyphs == Glyphs::Ascii { "-" } else { "╌" };
        spans.push(Span::styled(format!("  {line} baseline {}", format::score(baseline)), theme.dim()));
    }
    Line::from(spans)
}

/// The stopping estimate.
fn left_to_gain<'a>(model: &Model, outline: &'a Outline, ledger: &Ledger) -> Line<'a> {
    let theme = model.theme;
    let sign = |utf8, ascii| if theme.glyphs == Glyphs::Ascii { ascii } else { utf8 };
    let Some(study) = model.data.outlook(outline.head.key) else {
        let text = match (&outline.head.converged, model.data.spec(outline.head.key)) {
            (Some(why), _) => format!(" {} could stop: {why}", sign("✓", "+")),
            (None, Some(Err(_))) => {
                " left to gain: unknown, the sweep file cannot be understood by this version".into()
            }
            (None, _) => " left to gain: computing …".into(),
        };
        return Line::styled(text, theme.dim());
    };
    let basis = basis(study, outline, ledger);
    let basis = if basis.is_empty() { basis } else { format!(" ({basis})") };
    let mut spans = match study.told.prospect {
        Ok(prospect) => {
            let numbers = format!(
                "another trial should gain about {}, the noise of cross-validation is {}",
                figure(prospect.gain),
                figure(prospect.noise)
            );
            if prospect.is_within_noise() {
                let word = if outline.is_live() { "could stop now" } else { "nothing was left to find" };
                vec![Span::styled(format!(" {} {word}: ", sign("✓", "+")), theme.role(Role::Good)), Span::raw(numbers)]
            } else {
                vec![
                    Span::styled(format!(" {} worth going on: ", sign("▸", ">")), theme.role(Role::Accent)),
                    Span::raw(numbers),
                ]
            }
        }
        Err(why) => vec![Span::styled(format!(" left to gain: unknown, {why}"), theme.dim())],
    };
    spans.push(Span::styled(basis, theme.dim()));
    Line::from(spans)
}

/// Two significant digits.
fn figure(x: f64) -> String {
    let digits = if x > 0.0 { (1.0 - x.log10().floor()).clamp(0.0, 8.0) as usize } else { 1 };
    format!("{x:.digits$}")
}

fn to_be_tried<'a>(model: &Model, outline: &Outline) -> Line<'a> {
    let theme = model.theme;
    let Some(study) = model.data.outlook(outline.head.key) else { return Line::default() };
    let spec = crate::dashboard::model::spec(&model.data, outline.head.key);
    let learns = if spec.is_some_and(|spec| !spec.search.warm_start.is_empty()) {
        "; the sweep itself also learns from earlier ones"
    } else {
        ""
    };
    match &study.told.next {
        Proposal::Point { point, why } => {
            let word = if outline.is_live() { "next" } else { "would be next" };
            let values = point.iter().map(|(name, value)| format!("{}={}", short(name), text(value)));
            Line::from(vec![
                Span::styled(format!(" {word}: "), theme.role(Role::Accent)),
                Span::raw(values.collect::<Vec<_>>().join(" ")),
                Span::styled(format!("  ({why}{learns})"), theme.dim()),
            ])
        }
        Proposal::Exhausted { why } => Line::styled(format!(" nothing is left to try: {why}"), theme.dim()),
    }
}

/// The last part of a dotted key.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            // three digits say where it is
            let rounded = format!("{number:.2e}").parse().unwrap_or(number);
            format::number(if number.fract() == 0.0 { number } else { rounded })
        }
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn under_cursor<'a>(model: &Model, ledger: &Ledger, trials: &[&'a Trial], width: u16) -> Line<'a> {
    let theme = model.theme;
    let Some(trial) = model.search.trial.and_then(|place| trials.get(place)) else { return Line::default() };
    let (sign, style) = Kind::of(ledger, trial).sign(theme);
    let score = trial.score_so_far().map(format::score).unwrap_or_default();
    let settings = ledger.parameters.iter().enumerate().filter_map(|(number, name)| {
        let setting = format::setting(trial.setting(number));
        (setting != "-").then(|| format!("{}={setting}", short(name)))
    });
    let why = trial.why.as_deref().map(|why| format!("{why}  ")).unwrap_or_default();
    let rest = format!("{}  {why}{}", fate(trial), settings.collect::<Vec<_>>().join(" "));
    let head = format!("trial {} {score} ", trial.id);
    let room = usize::from(width).saturating_sub(format::width(&head) + 4);
    Line::from(vec![
        Span::styled(format!(" {sign} "), style),
        Span::styled(head, theme.bold()),
        Span::styled(format::fit(&rest, room), theme.dim()),
    ])
}

/// What is drawn, in scores or as regret.
struct Drawn {
    best_so_far: Vec<(f64, f64)>,
    /// Trials with a score.
    scores: Vec<(f64, f64, Kind)>,
    /// Those without one.
    bare: Vec<(f64, Kind)>,
    baseline: Option<f64>,
    x: Axis,
    /// None where there is no number to draw.
    y: Option<Axis>,
    y_title: String,
    cursor: Option<f64>,
}

impl Drawn {
    fn of(model: &Model, outline: &Outline, ledger: &Ledger, trials: &[&Trial]) -> Self {
        let is_regret = model.search.is_regret;
        let prospect = model.data.outlook(outline.head.key).and_then(|study| study.told.prospect.ok());
        let best = ledger.best().and_then(|best| best.score);
        // below the best there is still what can be expected of another trial
        let left = prospect.map_or(0.0, |prospect| prospect.gain);
        let regret = |score: f64| best.map_or(f64::NAN, |best| (best - score).abs() + left);
        let shown = |score: f64| if is_regret { regret(score) } else { score };
        let (mut best_so_far, mut scores, mut bare) = (Vec::new(), Vec::new(), Vec::new());
        let mut record: Option<f64> = None;
        for (place, trial) in trials.iter().enumerate() {
            let (x, kind) = (place as f64, Kind::of(ledger, trial));
            match trial.score_so_far().filter(|score| score.is_finite()) {
                Some(score) => scores.push((x, shown(score), kind)),
                None if kind != Kind::Open || trial.state == TrialState::Running => bare.push((x, kind)),
                None => {}
            }
            if let Some(score) = trial.score.filter(|score| kind != Kind::Open && score.is_finite())
                && record.is_none_or(|record| ledger.direction.better(score, record))
            {
                best_so_far.extend(record.map(|record| (x, shown(record))));
                record = Some(score);
                best_so_far.push((x, shown(score)));
            }
        }
        best_so_far.extend(record.map(|record| ((trials.len() - 1) as f64, shown(record))));
        let baseline = outline.baseline.map(shown);
        let x = Axis { low: -0.5, high: trials.len().max(FEWEST) as f64 - 0.5, is_log: false, is_whole: true };
        let y = range(&scores, baseline, ledger.direction.gain(1.0) > 0.0 && !is_regret, is_regret);
        let objective = &outline.objective;
        let y_title = if is_regret {
            let left = if left > 0.0 { " and what is left to gain" } else { "" };
            format!("{objective} below the best{left} (log)")
        } else {
            objective.clone()
        };
        let cursor = model.search.trial.map(|place| place as f64);
        Self { best_so_far, scores, bare, baseline, x, y, y_title, cursor }
    }

    fn render(&self, frame: &mut Frame<'_>, area: Rect, model: &Model) -> Option<Plot> {
        let theme = model.theme;
        let Some(y) = self.y else {
            let text = "every score is the best one: there is no regret to draw";
            put_notice(frame.buffer_mut(), area, theme, &[text]);
            return None;
        };
        let [title, area] = crate::dashboard::view::split_top(area, 1);
        put(frame.buffer_mut(), title, Line::styled(format!(" {}", self.y_title), theme.dim()));
        let mut series = Vec::new();
        let (low, high) = (self.x.low, self.x.high);
        series.extend(self.baseline.map(|baseline| Series {
            // dashes are every other piece
            points: (0..=40).map(|part| (low + (high - low) * f64::from(part) / 40.0, baseline)).collect(),
            style: theme.dim(),
            mark: Mark::Dashes,
        }));
        let are_signs = self.scores.len() <= SIGNS;
        if !are_signs {
            let points = self.scores.iter().map(|(x, score, _)| (*x, *score)).collect();
            series.push(Series { points, style: theme.series(0), mark: Mark::Dots });
        }
        series.push(Series { points: self.best_so_far.clone(), style: theme.role(Role::Good), mark: Mark::Line });
        let chart = Chart { theme, series: &series, bands: &[], x: self.x, y, x_title: "trial", cursor: self.cursor };
        let plot = chart.render(frame.buffer_mut(), area)?;
        let buffer = frame.buffer_mut();
        for (x, score, kind) in &self.scores {
            let (sign, style) = kind.sign(theme);
            match plot.cell(*x, *score) {
                Some(cell) if are_signs || *kind != Kind::Finished => {
                    buffer.set_string(cell.0, cell.1, sign, style);
                }
                Some(_) => {}
                // far beyond the others: at the edge
                None => put_at_edge(buffer, &plot, *x, *score, style, theme.glyphs),
            }
        }
        for (x, kind) in &self.bare {
            let (sign, style) = kind.sign(theme);
            if let Some(column) = plot.column(*x) {
                buffer.set_string(column, plot.area.bottom() - 1, sign, style);
            }
        }
        Some(plot)
    }
}

fn put_at_edge(
    buffer: &mut ratatui::buffer::Buffer,
    plot: &Plot,
    x: f64,
    score: f64,
    style: ratatui::style::Style,
    glyphs: Glyphs,
) {
    let Some(column) = plot.column(x) else { return };
    let is_above = score > plot.y.high;
    let sign = match (is_above, glyphs) {
        (true, Glyphs::Ascii) => "^",
        (true, _) => "▴",
        (false, Glyphs::Ascii) => "_",
        (false, _) => "▾",
    };
    let row = if is_above { plot.area.top() } else { plot.area.bottom() - 1 };
    buffer.set_string(column, row, sign, style);
}

/// Around all scores, but a few that are far worse than the others.
fn range(scores: &[(f64, f64, Kind)], baseline: Option<f64>, up: bool, is_log: bool) -> Option<Axis> {
    let mut sorted: Vec<f64> = scores.iter().map(|(_, score, _)| *score).filter(|score| score.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let all = sorted.len();
    if all >= 10 && !is_log {
        let (worst, best) = if up { (sorted[0], sorted[all - 1]) } else { (sorted[all - 1], sorted[0]) };
        let near = if up { sorted[all / 5] } else { sorted[all - 1 - all / 5] };
        // a fifth of them must not press the others together
        let least = best + 2.0 * (near - best);
        let is_far = (worst - best).abs() > (least - best).abs() && near != best;
        if is_far {
            sorted.retain(|score| if up { *score >= least } else { *score <= least });
        }
    }
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    let span = (high - low).max(f64::MIN_POSITIVE);
    // a baseline far away is a number above, not half of the picture
    let baseline = baseline.filter(|it| is_log || (low - span..=high + span).contains(it));
    Axis::around(sorted.into_iter().chain(baseline), is_log, 0.05)
}
