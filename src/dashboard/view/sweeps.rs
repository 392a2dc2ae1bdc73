//! All sweeps of the database.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::table::{Column, Table, that_fit, widen};
use super::{Zones, bar, counted_trials, failures, put, put_input, put_notice, standing};
use crate::dashboard::format;
use crate::dashboard::model::Model;
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::store::Outline;

const NAME: usize = 0;
const STATE: usize = 1;
const PROGRESS: usize = 2;
const TRIALS: usize = 3;
const OBJECTIVE: usize = 4;
const BEST: usize = 5;
const CURVE: usize = 6;
const TIME: usize = 7;
const SAMPLER: usize = 8;
const STARTED: usize = 9;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let rows = model.sweeps.rows(&model.data);
    let has_filter = model.sweeps.is_typing || !model.sweeps.filter.text().is_empty();
    let [filter, list, detail] =
        Layout::vertical([Constraint::Length(u16::from(has_filter)), Constraint::Fill(1), Constraint::Length(2)])
            .areas(area);
    if has_filter {
        put_input(frame.buffer_mut(), filter, theme, " / ", &model.sweeps.filter, model.sweeps.is_typing);
    }
    if rows.is_empty() {
        let lines: &[&str] = match (&model.data.outlines, has_filter) {
            (None, _) => &["reading …"],
            (_, true) => &["no sweep is called so", "", "Esc shows all"],
            _ => &["no sweep has been recorded in this database yet", "", "sweep run sweeps/lr.toml  starts one"],
        };
        put_notice(frame.buffer_mut(), list, theme, lines);
        return;
    }
    let mut columns = columns(theme, &rows, list.width);
    // a mark stands in front of a name
    columns[NAME].width += if model.sweeps.marks.is_empty() { 0 } else { 2 };
    let shown = that_fit(&columns, list.width);
    widen(&mut columns, &shown, CURVE, list.width);
    columns[CURVE].width = columns[CURVE].width.min(52);
    let curve = usize::from(columns[CURVE].width);
    let bar = usize::from(columns[PROGRESS].width) - 5;
    let table = Table { theme, columns: &columns, shown: &shown, cursor: &model.sweeps.cursor, rows: rows.len() };
    table.render(frame, list, zones, |row, column| cell(model, rows[row], column, (bar, curve)));
    if let Some(outline) = rows.get(model.sweeps.cursor.selected()) {
        let [first, second] = Layout::vertical([Constraint::Length(1); 2]).areas(detail);
        put(frame.buffer_mut(), first, sentence(model, outline, first.width.into()));
        let reason = outline.head.why.as_ref().or(outline.head.converged.as_ref());
        let reason = format::fit(&format!(" {}", reason.map_or("", String::as_str)), second.width.into());
        put(frame.buffer_mut(), second, Line::styled(reason, theme.dim()));
    }
}

/// What became of its trials, and what they are measured against.
fn sentence<'a>(model: &Model, outline: &Outline, width: usize) -> Line<'a> {
    if outline.is_lost() {
        let text = format!("nobody runs it, its coordinator is gone: `sweep resume {}` goes on with it", outline.name);
        return Line::from(vec![
            Span::styled(format!(" {}: ", outline.name), model.theme.bold()),
            Span::styled(text, model.theme.role(Role::Bad)),
        ]);
    }
    let counts = [
        (outline.finished, "finished"),
        (outline.given_up, "given up"),
        (outline.failed, "failed"),
        (outline.cancelled, "killed"),
    ];
    let mut parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if !outline.under_way().is_empty() {
        parts.push(format!("{} going on", format::counted(outline.under_way().len(), "run")));
    }
    parts.push(format!("{} a trial", format::counted(outline.folds as usize, "fold")));
    if let Some(baseline) = outline.baseline {
        parts.push(format!("baseline {}", format::score(baseline)));
    }
    parts.push(format!("on {}", outline.host));
    let text = format::fit(&parts.join(", "), width.saturating_sub(format::width(&outline.name) + 4));
    Line::from(vec![
        Span::styled(format!(" {}: ", outline.name), model.theme.bold()),
        Span::styled(text, model.theme.dim()),
    ])
}

fn columns(theme: Theme, rows: &[&Outline], width: u16) -> Vec<Column> {
    let longest = |text: &dyn Fn(&Outline) -> usize, least: usize| {
        rows.iter().map(|outline| text(outline)).max().unwrap_or(0).max(least) as u16
    };
    vec![
        Column::left("sweep", longest(&|it| format::width(&it.name), 5).min(width / 4), 255),
        Column::left("state", 10, 200),
        Column::left("progress", if width >= 100 { 17 } else { 13 }, 180),
        Column::right("trials", longest(&|it| counted_trials(it).len() + failures(theme, it).width(), 6), 150),
        Column::left("objective", longest(&|it| format::width(&it.objective), 9).min(16), 80),
        Column::right("best", 8, 250),
        Column::left("best so far", 12, 120),
        Column::right("time", 11, 170),
        Column::left("sampler", 7, 60),
        Column::right("started", 8, 90),
    ]
}

fn cell<'a>(model: &Model, outline: &'a Outline, column: usize, (bar, curve): (usize, usize)) -> Vec<Span<'a>> {
    let theme = model.theme;
    match column {
        NAME if model.sweeps.marks.contains(&outline.head.key) => {
            let mark = if theme.glyphs == Glyphs::Ascii { "* " } else { "● " };
            vec![Span::styled(mark, theme.role(Role::Accent)), Span::styled(outline.name.as_str(), theme.active())]
        }
        NAME => vec![Span::styled(outline.name.as_str(), theme.bold())],
        STATE => {
            let (sign, word, style) = standing(theme, outline);
            vec![Span::styled(format!("{sign} {word}"), style)]
        }
        PROGRESS => {
            let part = outline.progress();
            let mut spans = Vec::from(bar::progress(theme, part, bar));
            spans.push(Span::styled(format!(" {:>3.0}%", (part * 100.0).floor()), theme.dim()));
            spans
        }
        TRIALS => vec![Span::raw(counted_trials(outline)), failures(theme, outline)],
        OBJECTIVE => vec![Span::styled(outline.objective.as_str(), theme.dim())],
        BEST => match outline.best() {
            Some(best) => vec![Span::styled(format::score(best.score), theme.bold())],
            None => vec![Span::styled("-", theme.faint())],
        },
        CURVE => vec![Span::styled(bar::sparkline(theme, &best_so_far(outline, curve)), theme.role(Role::Good))],
        TIME => time(model, outline),
        SAMPLER => vec![Span::styled(outline.sampler.as_str(), theme.dim())],
        STARTED => {
            vec![Span::styled(format::age(outline.started.unwrap_or(outline.created), model.now), theme.dim())]
        }
        _ => Vec::new(),
    }
}

/// What is left of a live one at its pace; what an old one took.
fn time(model: &Model, outline: &Outline) -> Vec<Span<'static>> {
    let theme = model.theme;
    match model.seconds_left(outline) {
        Some(left) => {
            vec![Span::styled(format::duration(left), theme.role(Role::Accent)), Span::styled(" left", theme.dim())]
        }
        None => vec![Span::styled(format::duration(outline.seconds(model.now)), theme.dim())],
    }
}

/// The best score after each of so many equal parts of the finished trials; the curve rises when it gets better.
fn best_so_far(outline: &Outline, width: usize) -> Vec<f64> {
    let width = width.min(outline.finished.max(1) as usize);
    if outline.improvements.is_empty() {
        return Vec::new();
    }
    let after = |place: usize| {
        let trials = ((place + 1) as f64 / width as f64 * f64::from(outline.finished)).round() as u32;
        outline.improvements.iter().take_while(|improvement| improvement.nth <= trials).last()
    };
    (0..width).map(|place| after(place).map_or(f64::NAN, |best| outline.direction.gain(best.score))).collect()
}
