//! The folds of a trial, paired with those of the best one.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::fold_name;
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Run, Standing, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::dashboard::model::{Cursor, Model};
use crate::dashboard::theme::{Role, Theme};
use crate::dashboard::view::table::{Column, Table, fit, widen};
use crate::dashboard::view::{Zones, differs, put, put_notice, run_sign, split_top, wrapped};
use crate::store::RunState;

/// Columns of the comparison.
const OF_BEST: usize = 3;
const DIFFERENCE: usize = 4;
const WHY: usize = 10;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    ledger: &Ledger,
    trial: &Trial,
    zones: &mut Zones,
) {
    let theme = model.theme;
    let runs: Vec<&Run> = trial.runs.iter().collect();
    if runs.is_empty() {
        put_notice(frame.buffer_mut(), area, theme, &["no fold of it has been started yet"]);
        return;
    }
    let [list, sum] = split_top(area, area.height.saturating_sub(2));
    let mut columns = [
        Column::left("fold", 6, 255),
        Column::left("state", 13, 240),
        Column::right("score", 8, 250),
        Column::right("best's", 8, 200),
        Column::right("difference", 10, 220),
        Column::right("best epoch", 10, 120),
        Column::right("epochs", 6, 110),
        Column::right("time", 7, 180),
        Column::left("device", 8, 100),
        Column::right("memory", 8, 90),
        Column::left("why", 24, 150),
    ];
    let is_best = ledger.standing(trial) == Standing::Best;
    // it is not compared with itself, and most runs ended as they should
    let has_why = runs.iter().any(|run| run.why.is_some());
    let is_told = |column: &usize| match *column {
        OF_BEST | DIFFERENCE => !is_best,
        WHY => has_why,
        _ => true,
    };
    let shown = fit((0..columns.len()).filter(is_told).collect(), &columns, list.width);
    widen(&mut columns, &shown, WHY, list.width);
    let mut cursor = Cursor::default();
    let chosen = model.trial.run(trial).filter(|_| model.trial.fold.is_some());
    let row = chosen.and_then(|chosen| runs.iter().position(|run| std::ptr::eq(*run, chosen)));
    cursor.select(row.unwrap_or(usize::MAX));
    let table = Table { theme, columns: &columns, shown: &shown, cursor: &cursor, rows: runs.len() };
    table.render(frame, list, zones, |row, column| cell(model, ledger, runs[row], column));
    for (row, line) in sum.rows().zip(wrapped(&summary(theme, ledger, trial), usize::from(sum.width) - 2)) {
        put(frame.buffer_mut(), row, Line::styled(format!(" {line}"), theme.dim()));
    }
}

fn cell<'a>(model: &Model, ledger: &Ledger, run: &'a Run, column: usize) -> Vec<Span<'a>> {
    let theme = model.theme;
    let number = |number: Option<u32>| vec![Span::raw(number.map(|number| number.to_string()).unwrap_or_default())];
    match column {
        0 => {
            let attempt = if run.attempt > 1 { format!(" #{}", run.attempt) } else { String::new() };
            vec![Span::raw(format!("{}{attempt}", fold_name(run)))]
        }
        1 => {
            let (sign, style) = run_sign(theme, run.state);
            vec![Span::styled(format!("{sign} {}", format!("{:?}", run.state).to_lowercase()), style)]
        }
        2 => vec![Span::styled(run.score.map(format::score).unwrap_or_default(), theme.bold())],
        OF_BEST => vec![Span::styled(of_best(ledger, run).map(format::score).unwrap_or_default(), theme.dim())],
        DIFFERENCE => difference(model, ledger, run),
        5 => number(run.best_epoch),
        6 => number(run.epochs),
        7 => vec![Span::styled(run.seconds(model.now).map(format::duration).unwrap_or_default(), theme.dim())],
        8 => vec![Span::styled(run.device.as_deref().unwrap_or_default(), theme.dim())],
        9 => vec![Span::styled(run.peak_memory_mb.map(|mb| format!("{mb} MB")).unwrap_or_default(), theme.dim())],
        _ => vec![Span::styled(run.why.as_deref().unwrap_or_default(), theme.role(Role::Warn))],
    }
}

/// What the best trial scored on the same fold.
fn of_best(ledger: &Ledger, run: &Run) -> Option<f64> {
    let best = ledger.best()?;
    best.newest_runs().find(|its| its.fold == run.fold && its.state == RunState::Finished)?.score
}

fn difference<'a>(model: &Model, ledger: &Ledger, run: &Run) -> Vec<Span<'a>> {
    let pair = run.score.zip(of_best(ledger, run)).filter(|_| run.state == RunState::Finished);
    let Some((own, best)) = pair else { return Vec::new() };
    let style =
        if ledger.direction.better(best, own) { model.theme.role(Role::Warn) } else { model.theme.role(Role::Good) };
    vec![Span::styled(format!("{:+.4}", own - best), style)]
}

/// The mean of the differences, and whether chance explains it.
fn summary(theme: Theme, ledger: &Ledger, trial: &Trial) -> String {
    if ledger.standing(trial) == Standing::Best {
        return "this is the best trial: the others are measured against it".to_owned();
    }
    let Some((best, comparison)) = ledger.best().zip(ledger.against_best(trial)) else {
        return "there is nothing to compare it with yet".to_owned();
    };
    let p = comparison.p.map(|p| format!(", p {} (corrected, paired)", format::chance(p))).unwrap_or_default();
    let folds = format::counted(comparison.folds, "fold");
    format!("less trial {}, the best, on {folds}: {}{p}", best.id, differs(theme, &comparison))
}

/// Fold, score and difference, one row a fold.
pub(super) fn compact(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    ledger: &Ledger,
    trial: &Trial,
    zones: &mut Zones,
) {
    let theme = model.theme;
    let best = ledger.best().filter(|best| best.id != trial.id);
    let title =
        best.map_or_else(|| " fold     score".to_owned(), |best| format!(" fold     score   less trial {}", best.id));
    put(frame.buffer_mut(), area, Line::styled(title, theme.dim()));
    let waiting = (ledger.folds as usize).saturating_sub(trial.newest_runs().count());
    for ((row, run), index) in area.rows().skip(1).zip(trial.newest_runs()).zip(0..) {
        let (sign, style) = run_sign(theme, run.state);
        let mut spans = vec![
            Span::styled(format!(" {:<4} ", fold_name(run)), theme.series(index)),
            Span::styled(sign, style),
            Span::raw(format!(" {:>7}", run.score.map(format::score).unwrap_or_default())),
        ];
        if best.is_some() {
            spans.push(Span::raw("   "));
            spans.extend(difference(model, ledger, run));
        }
        put(frame.buffer_mut(), row, Line::from(spans));
        if model.trial.fold == Some(index) {
            frame.buffer_mut().set_style(row, theme.selected());
        }
        zones.add(row, Msg::Move(Move::To(index)));
    }
    if let (true, Some(row)) = (waiting > 0, area.rows().nth(1 + trial.newest_runs().count())) {
        put(frame.buffer_mut(), row, Line::styled(format!(" {waiting} to come"), theme.dim()));
    }
}
