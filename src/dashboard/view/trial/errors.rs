//! What a trial gets wrong: which classes for which, how often, and the documents where it was surest.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::dashboard::feed::{ClassErrors, Errors, Want};
use crate::dashboard::format;
use crate::dashboard::ledger::Trial;
use crate::dashboard::model::Model;
use crate::dashboard::theme::{Role, Theme};
use crate::dashboard::view::table::{Column, Table, that_fit};
use crate::dashboard::view::{Zones, bar, put, put_notice, split_top};
use crate::store::SweepKey;

/// Columns of a cell of the confusion matrix.
const CELL: u16 = 6;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    sweep: SweepKey,
    trial: &Trial,
    zones: &mut Zones,
) {
    let theme = model.theme;
    let errors = model.data.errors(&Want::Errors { sweep, trial: trial.id, folds: trial.folds_done() });
    let Some(errors) = errors else {
        put_notice(frame.buffer_mut(), area, theme, &["reading …"]);
        return;
    };
    if errors.documents == 0 {
        let lines = ["no finished fold of it has given predictions", "", "they come with the end of each fold"];
        put_notice(frame.buffer_mut(), area, theme, &lines);
        return;
    }
    let classes = errors.classes.len() as u16;
    let top = (classes + 2).clamp(4, (area.height / 2).max(4));
    let [summary, above, below] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(top), Constraint::Fill(1)]).areas(area);
    let name = errors.classes.iter().map(|class| format::width(&class.name)).max().unwrap_or(0).clamp(5, 14) as u16;
    let matrix = name + 2 + classes * CELL;
    let cells = errors.confusion.as_ref().filter(|_| matrix + name + 32 <= area.width);
    let part = f64::from(errors.wrong) / f64::from(errors.documents);
    let legend = if cells.is_some() { "; a row is what is true, a column what was answered" } else { "" };
    let text = format!(
        " {} of {} out-of-fold answers are wrong ({:.1} %){legend}",
        errors.wrong,
        errors.documents,
        part * 100.0
    );
    put(frame.buffer_mut(), summary, Line::styled(text, theme.dim()));
    match cells {
        Some(cells) => {
            let [left, right] = Layout::horizontal([Constraint::Length(matrix + 2), Constraint::Fill(1)]).areas(above);
            confusion(frame, left, theme, errors, cells, name);
            classes_of(frame, right, theme, errors, name);
        }
        None => classes_of(frame, above, theme, errors, name),
    }
    mistakes(frame, below, model, errors, zones);
}

/// Rows are what is true, columns what was answered.
fn confusion(frame: &mut Frame<'_>, area: Rect, theme: Theme, errors: &Errors, cells: &[Vec<u32>], name: u16) {
    let buffer = frame.buffer_mut();
    let column = |class: usize| area.x + 1 + name + 1 + class as u16 * CELL;
    let [names, rows] = split_top(area, 1);
    for (class, of) in errors.classes.iter().enumerate() {
        let place = Rect { x: column(class), y: names.y, width: CELL, height: 1 };
        put(buffer, place, Line::styled(format::fit(&of.name, usize::from(CELL) - 1), theme.dim()).right_aligned());
    }
    for ((row, of), counts) in rows.rows().zip(&errors.classes).zip(cells) {
        put(buffer, row, Line::raw(format!(" {}", format::fit(&of.name, name.into()))));
        let all: u32 = counts.iter().sum();
        for (class, count) in counts.iter().enumerate() {
            let place = Rect { x: column(class), width: CELL, ..row };
            let part = if all > 0 { f64::from(*count) / f64::from(all) } else { 0.0 };
            let is_right = errors.classes[class].name == of.name;
            let style = match (count, is_right) {
                (0, _) => theme.faint(),
                (_, true) => theme.role(Role::Good),
                (_, false) if part >= 0.1 => theme.role(Role::Bad),
                (_, false) => theme.role(Role::Warn),
            };
            let text = if *count == 0 { "·".to_owned() } else { count.to_string() };
            put(buffer, place, Line::styled(text, style).right_aligned());
        }
    }
}

fn classes_of(frame: &mut Frame<'_>, area: Rect, theme: Theme, errors: &Errors, name: u16) {
    let title = format!(" {:<width$}  recall  prec.     F1    docs", "class", width = usize::from(name));
    put(frame.buffer_mut(), area, Line::styled(title, theme.dim()));
    let mut classes: Vec<&ClassErrors> = errors.classes.iter().collect();
    let room = usize::from(area.height) - 1;
    if classes.len() > room {
        // where not all fit, those with the most to gain
        classes.sort_by(|a, b| a.f1().total_cmp(&b.f1()));
    }
    for (row, class) in area.rows().skip(1).zip(classes) {
        let key = format::fit(&class.name, name.into());
        let gap = " ".repeat(usize::from(name) - format::width(&key) + 2);
        let mut spans = vec![Span::raw(format!(" {key}{gap}"))];
        for value in [class.recall(), class.precision(), class.f1()] {
            spans.push(Span::styled(format!("{value:>6.3} "), theme.text()));
        }
        spans.push(Span::styled(format!("{:>6}", class.support), theme.dim()));
        let used = spans.iter().map(Span::width).sum::<usize>() as u16 + 2;
        if row.width > used + 6 {
            spans.push(Span::styled(
                format!("  {}", bar::length(theme, class.f1(), usize::from(row.width - used).min(20))),
                theme.scale(class.f1()),
            ));
        }
        put(frame.buffer_mut(), row, Line::from(spans));
    }
}

fn mistakes(frame: &mut Frame<'_>, area: Rect, model: &Model, errors: &Errors, zones: &mut Zones) {
    let theme = model.theme;
    if errors.mistakes.is_empty() {
        return;
    }
    let wide = |text: &str| format::width(text) as u16;
    let label =
        errors.mistakes.iter().map(|it| wide(&it.label).max(wide(&it.predicted))).max().unwrap_or(0).clamp(8, 20);
    let document = area.width.saturating_sub(2 * label + 24).clamp(12, 60);
    let columns = [
        Column::left("document", document, 255),
        Column::left("is", label, 240),
        Column::left("answered", label, 230),
        Column::right("sure", 6, 220),
        Column::right("fold", 4, 100),
    ];
    let shown = that_fit(&columns, area.width);
    let table =
        Table { theme, columns: &columns, shown: &shown, cursor: &model.trial.mistakes, rows: errors.mistakes.len() };
    table.render(frame, area, zones, |row, column| {
        let mistake = &errors.mistakes[row];
        match column {
            0 => vec![Span::raw(format::fit_end(&mistake.document, document.into()))],
            1 => vec![Span::styled(format::fit(&mistake.label, label.into()), theme.role(Role::Good))],
            2 => vec![Span::styled(format::fit(&mistake.predicted, label.into()), theme.role(Role::Bad))],
            3 => vec![Span::raw(format!("{:.3}", mistake.confidence))],
            _ => vec![Span::styled(mistake.fold.to_string(), theme.dim())],
        }
    });
}
