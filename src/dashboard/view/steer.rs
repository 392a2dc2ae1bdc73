//! What is asked before an order is given.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::overlay::window;
use super::{Zones, put, put_input, wrapped};
use crate::dashboard::format;
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Ask, Field, Form, Purpose, SteerMsg};
use crate::dashboard::theme::{Role, Theme};

/// Columns that sentences are broken at.
const WIDTH: u16 = 64;

/// Lines that tell what is wrong, at most: the fields and the keys are needed, too.
const MOST_WRONG: usize = 3;

/// What follows, and whether it is meant.
pub(super) fn ask(frame: &mut Frame<'_>, area: Rect, theme: Theme, ask: &Ask, zones: &mut Zones) {
    let width = WIDTH.min(area.width);
    let lines = wrapped(&ask.consequence(), usize::from(width) - 4);
    let inside = window(frame, area, theme, &ask.title(), (width, lines.len() as u16 + 4), zones);
    let style = if ask.is_grave() { theme.role(Role::Bad) } else { theme.text() };
    let rows: Vec<Rect> = inside.rows().collect();
    for (row, line) in rows.iter().zip(&lines) {
        put(frame.buffer_mut(), *row, Line::styled(format!(" {line}"), style));
    }
    let Some(row) = rows.get(lines.len() + 1) else { return };
    let answers = [("y", " yes", Msg::Steer(SteerMsg::Sure)), ("n", " no", Msg::Back)];
    let mut x = row.x + 1;
    for (key, word, msg) in answers {
        let place = Rect { x, width: 1 + word.len() as u16, ..*row };
        let spans = vec![Span::styled(key, theme.active()), Span::styled(word, theme.dim())];
        put(frame.buffer_mut(), place, Line::from(spans));
        zones.add(place, msg);
        x += place.width + 3;
    }
}

/// Fields to fill in, with what each may be.
pub(super) fn form(frame: &mut Frame<'_>, area: Rect, theme: Theme, form: &Form, zones: &mut Zones) {
    let is_point = matches!(form.purpose, Purpose::Enqueue(_));
    let width = area.width.min(if is_point { 96 } else { WIDTH });
    let advice = wrapped(&form.advice(), usize::from(width) - 4);
    let problem = form.problem.as_deref().map(|why| cut(wrapped(why, usize::from(width) - 4))).unwrap_or_default();
    let around = advice.len() as u16 + problem.len() as u16 + 5;
    let height = form.fields.len().max(1) as u16 + around;
    let inside = window(frame, area, theme, &form.title(), (width, height), zones);
    let mut rows = inside.rows();
    for (line, row) in advice.iter().zip(&mut rows) {
        put(frame.buffer_mut(), row, Line::styled(format!(" {line}"), theme.dim()));
    }
    rows.next();
    if form.fields.is_empty() && problem.is_empty() {
        if let Some(row) = rows.next() {
            put(frame.buffer_mut(), row, Line::styled(" reading the sweep file …", theme.dim()));
        }
        return;
    }
    // the field that is typed into is always seen
    let room = usize::from((inside.height + 2).saturating_sub(around)).max(1);
    let first = (form.row + 1).saturating_sub(room);
    let name = form.fields.iter().map(|field| format::width(&field.name)).max().unwrap_or(0);
    let name = name.min(usize::from(width) / 3);
    // with its cursor, and a blank before what it may be
    let value = form.fields.iter().map(|field| format::width(field.line.text())).max().unwrap_or(0).clamp(6, 22) + 2;
    for (index, field) in form.fields.iter().enumerate().skip(first).take(room) {
        let Some(row) = rows.next() else { return };
        draw_field(frame, row, theme, field, (name, value, index == form.row));
    }
    rows.next();
    for (line, row) in problem.iter().zip(&mut rows) {
        put(frame.buffer_mut(), row, Line::styled(format!(" {line}"), theme.role(Role::Bad)));
    }
    if let Some(row) = rows.next() {
        let key = |key: &'static str| Span::styled(key, theme.active());
        let word = |word: &'static str| Span::styled(word, theme.dim());
        let mut spans = vec![Span::raw(" "), key("Enter"), word(" does it  "), key("Esc"), word(" leaves it")];
        if form.fields.len() > 1 {
            spans.extend([word("  "), key("↑ ↓"), word(" field")]);
        }
        if form.fields.get(form.row).is_some_and(Field::is_choice) {
            spans.extend([word("  "), key("← →"), word(" value")]);
        }
        put(frame.buffer_mut(), row, Line::from(spans));
        if room < form.fields.len() {
            let text = format!("{} to {} of {} ", first + 1, (first + room).min(form.fields.len()), form.fields.len());
            put(frame.buffer_mut(), row, Line::styled(text, theme.dim()).right_aligned());
        }
    }
}

/// The first lines, which say what is wrong; what is long is a list of values.
fn cut(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST_WRONG {
        lines.truncate(MOST_WRONG);
        lines[MOST_WRONG - 1].push('…');
    }
    lines
}

fn draw_field(
    frame: &mut Frame<'_>,
    row: Rect,
    theme: Theme,
    field: &Field,
    (name, value, is_typed): (usize, usize, bool),
) {
    let label = format::fit_end(&field.name, name);
    let prompt = format!(" {label}{}  ", " ".repeat(name - format::width(&label)));
    let bounds = field.domain.as_ref().map(ToString::to_string).unwrap_or_default();
    let (start, all) = (format::width(&prompt) as u16, row.width);
    // a text may be as long as there is room, a value is short
    let typed = if bounds.is_empty() { all.saturating_sub(1) } else { (start + value as u16).min(all) };
    put_input(frame.buffer_mut(), Rect { width: typed, ..row }, theme, &prompt, &field.line, is_typed);
    if !is_typed {
        let label = Rect { width: start.min(all), ..row };
        frame.buffer_mut().set_style(label, theme.text());
    }
    let hint = Rect { x: row.x + typed, width: all - typed, ..row };
    put(frame.buffer_mut(), hint, Line::styled(format::fit(&bounds, usize::from(hint.width)), theme.dim()));
}
