//! The trials of the open sweep.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::table::{Column, Table, that_fit};
use super::{Zones, bar, differs, excluded_sign, put, put_input, put_notice, run_sign, trial_state};
use crate::dashboard::filter::{Field, end_of};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Setting, Standing, Trial};
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Model, TrialsMsg};
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::store::{RunState, SweepKey};

/// Trials whose parameters tell how wide a column has to be.
const SAMPLE: usize = 200;

/// Folds that a strip shows one by one.
const STRIP: usize = 12;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let ledger = model.sweep.and_then(|sweep| Some((sweep, model.data.ledger(sweep)?)));
    let Some((sweep, ledger)) = ledger else {
        let lines: &[&str] =
            if model.sweep.is_some() { &["reading …"] } else { &["no sweep is open", "", "1 lists them"] };
        put_notice(frame.buffer_mut(), area, theme, lines);
        return;
    };
    let trials = &model.trials;
    let has_filter = trials.is_typing || !trials.filter.text().is_empty();
    let [filter, list, detail] =
        Layout::vertical([Constraint::Length(u16::from(has_filter) * 2), Constraint::Fill(1), Constraint::Length(2)])
            .areas(area);
    if has_filter {
        filter_line(frame, filter, model, ledger);
    }
    if trials.rows().is_empty() {
        let lines: &[&str] = if ledger.trials.is_empty() {
            &["no trial has been proposed yet"]
        } else {
            &["no trial is like that", "", "Esc shows all"]
        };
        put_notice(frame.buffer_mut(), list, theme, lines);
        return;
    }
    let (fields, columns) = columns(model, ledger);
    let shown = that_fit(&columns, list.width);
    let range = ledger.score_range();
    let table = Table { theme, columns: &columns, shown: &shown, cursor: &trials.cursor, rows: trials.rows().len() };
    table.render(frame, list, zones, |row, column| {
        let trial = &ledger.trials[trials.rows()[row] as usize];
        cell(model, sweep, ledger, trial, fields[column], range)
    });
    if let Some(trial) = trials.selected(ledger) {
        let [first, second] = Layout::vertical([Constraint::Length(1); 2]).areas(detail);
        put(frame.buffer_mut(), first, sentence(theme, ledger, trial, first.width.into()));
        put(frame.buffer_mut(), second, particulars(theme, ledger, trial, usize::from(second.width)));
    }
}

/// What is typed, and below it how many trials pass or what is wrong, under the very letters.
fn filter_line(frame: &mut Frame<'_>, area: Rect, model: &Model, ledger: &Ledger) {
    let (theme, trials) = (model.theme, &model.trials);
    let [input, below] = super::split_top(area, 1);
    put_input(frame.buffer_mut(), input, theme, " / ", &trials.filter, trials.is_typing);
    let line = match &trials.error {
        Some(error) => {
            let start = format::width(&trials.filter.text()[..error.at.start]).min(usize::from(area.width / 2));
            let length = format::width(&trials.filter.text()[error.at.clone()]).clamp(1, 20);
            let what = format!("   {}{} {}", " ".repeat(start), "^".repeat(length), error.what);
            Line::styled(format::fit(&what, below.width.into()), theme.role(Role::Bad))
        }
        None => Line::styled(format!("   {} of {}", trials.rows().len(), ledger.trials.len()), theme.dim()),
    };
    put(frame.buffer_mut(), below, line);
}

/// What the columns show, and the columns.
fn columns(model: &Model, ledger: &Ledger) -> (Vec<Field>, Vec<Column>) {
    let trials = &model.trials;
    let hidden_left = |field: Field| matches!(field, Field::Parameter(index) if index < trials.scrolled);
    let shown = trials.columns(ledger).into_iter().filter(|(field, _, is_shown)| *is_shown && !hidden_left(*field));
    shown
        .map(|(field, name, _)| {
            let mut title = match field {
                Field::Parameter(index) => short_name(ledger, index, 18),
                _ => name,
            };
            if trials.sort == field {
                title.push_str(sort_sign(model.theme, trials.is_reversed));
            }
            let titled = format::width(&title) as u16;
            let column = match field {
                Field::Trial => Column::right(title, if ledger.baseline().is_some() { 8 } else { titled.max(6) }, 255),
                // where there is no room, the sign says it, and the line below the table in words
                Field::State if model.size.width < 80 => Column::left("", 1, 220),
                Field::State => Column::left(title, 11, 220),
                Field::Score => Column::left(title, 18, 250),
                Field::Folds => Column::left(title, titled.max(strip_width(ledger) as u16), 240),
                Field::Time => Column::right(title, titled.max(6), 100),
                Field::Parameter(index) => {
                    // the first ones are those that the file names first
                    let rank = 200_u8.saturating_sub(index.min(90) as u8);
                    let width = titled.max(widest(ledger, index));
                    if is_text(ledger, index) {
                        Column::left(title, width, rank)
                    } else {
                        Column::right(title, width, rank)
                    }
                }
                Field::Remarks => Column::left(title, titled.max(widest_remark(ledger)), 225),
                Field::Why => Column::left(title, 30, 90),
                Field::Error | Field::Standing => Column::left(title, titled, 1),
            };
            (field, column.on_click(Msg::Trials(TrialsMsg::Sort(field))))
        })
        .unzip()
}

/// The end of a parameter's dotted key, and more of it where others end alike; cut where it differs least.
pub(super) fn short_name(ledger: &Ledger, parameter: usize, columns: usize) -> String {
    let name = &ledger.parameters[parameter];
    let end = end_of(name);
    let is_shared = ledger.parameters.iter().filter(|other| end_of(other) == end).nth(1).is_some();
    format::fit_end(if is_shared { name } else { end }, columns)
}

pub(super) fn sort_sign(theme: Theme, is_reversed: bool) -> &'static str {
    match (theme.glyphs, is_reversed) {
        (Glyphs::Ascii, false) => " v",
        (Glyphs::Ascii, true) => " ^",
        (_, false) => " ↓",
        (_, true) => " ↑",
    }
}

fn widest(ledger: &Ledger, parameter: usize) -> u16 {
    let settings = ledger.trials.iter().take(SAMPLE).map(|trial| trial.setting(parameter));
    settings.map(|setting| format::width(&format::setting(setting))).max().unwrap_or(0).min(20) as u16
}

/// Of the sign, the tags and the beginning of the note.
fn widest_remark(ledger: &Ledger) -> u16 {
    let remarks = ledger.trials.iter().filter(|trial| trial.has_remarks()).take(SAMPLE);
    remarks.map(|trial| format::width(&remark(trial)) + 2).max().unwrap_or(0).min(20) as u16
}

/// Its tags and its note; that it is excluded a sign says.
fn remark(trial: &Trial) -> String {
    let note = trial.note.as_ref().map(|note| format!("“{note}”"));
    trial.tags.iter().map(ToString::to_string).chain(note).collect::<Vec<_>>().join(" ")
}

fn is_text(ledger: &Ledger, parameter: usize) -> bool {
    ledger.trials.iter().take(SAMPLE).any(|trial| matches!(trial.setting(parameter), Setting::Text(_)))
}

fn strip_width(ledger: &Ledger) -> usize {
    let folds = ledger.folds as usize;
    if folds <= STRIP { folds } else { 7 }
}

fn cell<'a>(
    model: &Model,
    sweep: SweepKey,
    ledger: &Ledger,
    trial: &'a Trial,
    field: Field,
    range: Option<(f64, f64)>,
) -> Vec<Span<'a>> {
    let theme = model.theme;
    match field {
        Field::Trial => {
            let is_marked = model.marks.contains(&(sweep, trial.id));
            let number = if trial.id.is_baseline() { "baseline".to_owned() } else { trial.id.to_string() };
            let mark = if theme.glyphs == Glyphs::Ascii { "*" } else { "●" };
            let mut spans = Vec::new();
            if is_marked {
                // never cut where the number is a long word
                spans.push(Span::styled(if trial.id.is_baseline() { "" } else { mark }, theme.role(Role::Accent)));
                spans.push(Span::raw(if trial.id.is_baseline() { "" } else { " " }));
            }
            spans.push(Span::styled(number, if is_marked { theme.active() } else { theme.text() }));
            spans
        }
        Field::State => {
            let (sign, style, word) = trial_state(theme, trial);
            vec![Span::styled(format!("{sign} {word}"), style)]
        }
        Field::Score => score(theme, ledger, trial),
        Field::Folds => strip(theme, ledger, trial, range),
        Field::Time => match trial.seconds(model.now) {
            Some(seconds) => vec![Span::styled(format::duration(seconds), theme.dim())],
            None => Vec::new(),
        },
        Field::Parameter(index) => {
            let setting = trial.setting(index);
            let style = if *setting == Setting::Absent { theme.faint() } else { theme.text() };
            vec![Span::styled(format::setting(setting), style)]
        }
        Field::Remarks if trial.has_remarks() => {
            let sign = if trial.excluded { excluded_sign(theme) } else { " " };
            let text = format!(" {}", format::fit(&remark(trial), 18));
            vec![Span::styled(sign, theme.role(Role::Warn)), Span::styled(text, theme.dim())]
        }
        Field::Why => vec![Span::styled(trial.why.as_deref().unwrap_or_default(), theme.dim())],
        Field::Remarks | Field::Error | Field::Standing => Vec::new(),
    }
}

/// Mean and standard error, and whether it can be told from the best; of an open trial what there is so far.
pub(super) fn score<'a>(theme: Theme, ledger: &Ledger, trial: &Trial) -> Vec<Span<'a>> {
    let Some(score) = trial.score else {
        let so_far = trial.score_so_far().map(|score| format!("({})", format::score(score)));
        return vec![Span::styled(so_far.unwrap_or_default(), theme.dim())];
    };
    let standing = ledger.standing(trial);
    let style = match standing {
        Standing::Best => theme.role(Role::Good).patch(theme.bold()),
        Standing::Tied => theme.role(Role::Good),
        Standing::Behind | Standing::Unknown => theme.text(),
    };
    let mut spans = vec![Span::styled(format::score(score), style)];
    if let Some(error) = trial.score_se {
        spans.push(Span::styled(format!(" {}{}", theme.plus_minus(), format::score(error)), theme.dim()));
    }
    let sign = match (standing, theme.glyphs) {
        (Standing::Best, Glyphs::Ascii) => " *",
        (Standing::Best, _) => " ★",
        (Standing::Tied, _) => " =",
        _ => "",
    };
    spans.push(Span::styled(sign, style));
    spans
}

/// One sign a fold: its score as height and colour, or its state.
fn strip<'a>(theme: Theme, ledger: &Ledger, trial: &Trial, range: Option<(f64, f64)>) -> Vec<Span<'a>> {
    let folds = ledger.folds as usize;
    if folds > STRIP {
        return vec![Span::styled(format!("{}/{folds}", trial.folds_done()), theme.dim())];
    }
    let (waiting, style) = run_sign(theme, RunState::Waiting);
    let mut spans = vec![Span::styled(waiting, style); folds];
    for (place, run) in trial.newest_runs().enumerate() {
        // in a single repeat a fold has its own place, whichever came first
        let place = if run.fold.repeat == 0 { run.fold.fold as usize } else { place };
        if let Some(span) = spans.get_mut(place) {
            *span = fold(theme, ledger, run.state, run.score, range);
        }
    }
    spans
}

/// The sign of one fold among scores of this range.
pub(super) fn fold<'a>(
    theme: Theme,
    ledger: &Ledger,
    state: RunState,
    score: Option<f64>,
    range: Option<(f64, f64)>,
) -> Span<'a> {
    match (state, score, range) {
        (RunState::Finished, Some(score), Some((low, high))) if score.is_finite() => {
            let part = if high > low { (score - low) / (high - low) } else { 1.0 };
            let good = if ledger.direction.better(1.0, 0.0) { part } else { 1.0 - part };
            Span::styled(bar::height(theme, good), theme.scale(good))
        }
        _ => {
            let (sign, style) = run_sign(theme, state);
            Span::styled(sign, style)
        }
    }
}

/// How the selected trial stands.
fn sentence<'a>(theme: Theme, ledger: &Ledger, trial: &Trial, width: usize) -> Line<'a> {
    let name = if trial.id.is_baseline() { " baseline: ".to_owned() } else { format!(" trial {}: ", trial.id) };
    let compared = |standing: &str| {
        ledger.against_best(trial).map(|it| {
            let p = it.p.map(|p| format!(", p {}", format::chance(p))).unwrap_or_default();
            format!("{standing}: {}{p}", differs(theme, &it))
        })
    };
    let stands = match ledger.standing(trial) {
        Standing::Best => Some("the best".to_owned()),
        Standing::Tied => compared("not told from the best"),
        Standing::Behind => compared("behind the best"),
        Standing::Unknown => None,
    };
    let stands = stands.unwrap_or_else(|| {
        format!("{}, {} of {} folds", trial_state(theme, trial).2, trial.folds_done(), ledger.folds)
    });
    let stands = format::fit(&stands, width.saturating_sub(format::width(&name)));
    let rest = width.saturating_sub(format::width(&name) + format::width(&stands) + 2);
    let mut spans = vec![Span::styled(name, theme.bold()), Span::styled(stands, theme.dim())];
    if trial.has_remarks() {
        spans.push(Span::styled(format!("  {}", format::fit(&trial.remarks(), rest)), theme.role(Role::Warn)));
    }
    Line::from(spans)
}

/// Why it is no more, or all its parameters.
fn particulars<'a>(theme: Theme, ledger: &Ledger, trial: &Trial, width: usize) -> Line<'a> {
    if let Some(why) = &trial.why {
        return Line::styled(format::fit(&format!(" {why}"), width), theme.role(Role::Warn));
    }
    let settings: Vec<String> = (0..ledger.parameters.len())
        .filter(|index| *trial.setting(*index) != Setting::Absent)
        .map(|index| format!("{} {}", short_name(ledger, index, usize::MAX), format::setting(trial.setting(index))))
        .collect();
    Line::styled(format::fit(&format!(" {}", settings.join("  ")), width), theme.dim())
}
