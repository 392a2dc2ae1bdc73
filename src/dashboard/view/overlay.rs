//! What lies above a screen: help, the command palette.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::{Zones, put, put_input, steer};
use crate::dashboard::format;
use crate::dashboard::keys::{self, Binding};
use crate::dashboard::message::{Msg, Screen};
use crate::dashboard::model::{Cursor, Model, Overlay, Palette};
use crate::dashboard::theme::{Glyphs, Theme};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    match &model.overlay {
        None => {}
        Some(Overlay::Help(cursor)) => help(frame, area, model, cursor, zones),
        Some(Overlay::Palette(palette)) => palette_of(frame, area, model, palette, zones),
        Some(Overlay::Columns(cursor)) => columns(frame, area, model, cursor, zones),
        Some(Overlay::Metrics(cursor)) => {
            let metrics: Vec<Line<'_>> =
                model.metrics().into_iter().map(|name| Line::raw(format!(" {name}"))).collect();
            choices(frame, area, model.theme, "Metric", metrics, cursor, zones);
        }
        Some(Overlay::Ask(ask)) => steer::ask(frame, area, model.theme, ask, zones),
        Some(Overlay::Form(form)) => steer::form(frame, area, model.theme, form, zones),
    }
}

/// A list, one line of which is to be chosen.
fn choices(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: Theme,
    title: &str,
    lines: Vec<Line<'_>>,
    cursor: &Cursor,
    zones: &mut Zones,
) {
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let inside = window(frame, area, theme, title, (width.max(24), lines.len() as u16 + 2), zones);
    let seen = cursor.window(lines.len(), inside.height.into());
    for ((row, line), index) in inside.rows().zip(lines.into_iter().skip(seen.start)).zip(seen) {
        put(frame.buffer_mut(), row, line);
        if index == cursor.selected() {
            frame.buffer_mut().set_style(row, theme.selected());
        }
        zones.add(row, Msg::Choose(index));
    }
}

/// The columns of the trials, each shown or not.
fn columns(frame: &mut Frame<'_>, area: Rect, model: &Model, cursor: &Cursor, zones: &mut Zones) {
    let theme = model.theme;
    let Some(ledger) = model.sweep.and_then(|sweep| model.data.ledger(sweep)) else { return };
    let columns = model.trials.columns(ledger);
    let lines = columns.into_iter().map(|(_, name, is_shown)| {
        let style = if is_shown { theme.text() } else { theme.dim() };
        Line::styled(format!(" [{}] {name}", if is_shown { "x" } else { " " }), style)
    });
    choices(frame, area, theme, "Columns", lines.collect(), cursor, zones);
}

/// A window in the middle with a title; what it leaves for its contents.
pub(super) fn window(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: Theme,
    title: &str,
    size: (u16, u16),
    zones: &mut Zones,
) -> Rect {
    let (width, height) = (size.0.min(area.width), size.1.min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 3, width, height };
    zones.add(area, Msg::Back);
    let buffer = frame.buffer_mut();
    Clear.render(place, buffer);
    let kind = if theme.glyphs == Glyphs::Ascii { BorderType::Plain } else { BorderType::Rounded };
    let block = Block::bordered()
        .border_type(kind)
        .border_style(theme.faint())
        .title(Span::styled(format!(" {title} "), theme.bold()));
    let inside = block.inner(place);
    block.render(place, buffer);
    zones.block(place);
    inside
}

/// All keys of this screen, then those of all screens.
fn help(frame: &mut Frame<'_>, area: Rect, model: &Model, cursor: &Cursor, zones: &mut Zones) {
    let theme = model.theme;
    let own = keys::of_screen(model.screen);
    let keys = |binding: &Binding| format::width(&binding.names());
    let column = own.iter().chain(keys::steering(model.screen)).chain(keys::global()).map(keys).max().unwrap_or(0);
    let line = |binding: &Binding| {
        let names = binding.names();
        let gap = " ".repeat(column - format::width(&names) + 2);
        Line::from(vec![Span::styled(format!(" {names}{gap}"), theme.active()), Span::raw(binding.help)])
    };
    let mut lines: Vec<Line<'_>> = own.iter().map(line).collect();
    if !own.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(keys::steering(model.screen).map(line));
    lines.push(Line::default());
    lines.extend(keys::global().iter().map(line));
    lines.push(Line::from(vec![
        Span::styled(format!(" {:column$}  ", format!("1 … {}", Screen::ALL.len())), theme.active()),
        Span::raw("to the screen of that number"),
    ]));
    lines.push(Line::from(vec![
        Span::styled(format!(" {:column$}  ", "mouse"), theme.active()),
        Span::raw("click rows, tabs, titles of columns; the wheel scrolls"),
    ]));
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let title = format!("Keys: {}", model.screen.title());
    let inside = window(frame, area, theme, &title, (width, lines.len() as u16 + 2), zones);
    let seen = cursor.view(lines.len(), inside.height.into());
    for (row, line) in inside.rows().zip(lines.into_iter().skip(seen.start)) {
        put(frame.buffer_mut(), row, line);
    }
}

fn palette_of(frame: &mut Frame<'_>, area: Rect, model: &Model, palette: &Palette, zones: &mut Zones) {
    let theme = model.theme;
    let entries = palette.entries(model);
    let width = (area.width - 4).min(76);
    let inside = window(frame, area, theme, "Commands", (width, area.height.min(18)), zones);
    let [line, list] = super::split_top(inside, 1);
    put_input(frame.buffer_mut(), line, theme, " : ", &palette.line, true);
    if entries.is_empty() {
        put(frame.buffer_mut(), list, Line::styled(" nothing is called so", theme.dim()));
        return;
    }
    for (row, index) in list.rows().zip(palette.cursor.window(entries.len(), list.height.into())) {
        let entry = &entries[index];
        let room = usize::from(row.width).saturating_sub(format::width(&entry.key) + 4);
        let text = Line::from(vec![Span::raw("   "), Span::raw(format::fit(&entry.text, room))]);
        let key = Line::from(vec![Span::styled(entry.key.clone(), theme.dim()), Span::raw(" ")]).right_aligned();
        put(frame.buffer_mut(), row, key);
        put(frame.buffer_mut(), Rect { width: text.width() as u16, ..row }, text);
        if index == palette.cursor.selected() {
            frame.buffer_mut().set_style(row, theme.selected());
        }
        zones.add(row, Msg::Choose(index));
    }
}
