//! Trials beside each other: a list of them, and a sheet of what they are compared in.

mod curves;
mod folds;
mod metrics;
mod parameters;
mod progress;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::table::{Column, Table, that_fit};
use super::trials::score;
use super::{Zones, differs, put, put_notice, trial_state};
use crate::crossval::{Comparison, SIGNIFICANCE};
use crate::dashboard::format;
use crate::dashboard::message::Msg;
use crate::dashboard::model::{CompareMsg, Compared, Cursor, Lineup, MOST_DRAWN, Model, Sheet};
use crate::dashboard::theme::{Glyphs, Role, Theme};

/// From this width on there is room for parameters and folds beside the curves.
const WIDE: u16 = 96;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let lineup = model.lineup();
    if lineup.all.is_empty() {
        let note = if lineup.is_read { lineup.note.as_str() } else { "reading …" };
        let nothing = if lineup.is_read { "nothing has finished that could be compared" } else { "" };
        put_notice(frame.buffer_mut(), area, theme, &[note, "", nothing]);
        return;
    }
    let most = if area.height >= 24 { 9 } else { 4 };
    let rows = (lineup.all.len() as u16).min(most);
    let [note, list, sheets, body] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows + 1),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    put(frame.buffer_mut(), note, sentence(model, &lineup, note.width));
    draw_list(frame, list, model, &lineup, zones);
    draw_sheets(frame, sheets, model, zones);
    let is_chart = matches!(model.sheet(), Sheet::Progress | Sheet::Curves);
    let side = if is_chart && body.width >= WIDE { parameters::width(&lineup, body.width / 2) } else { 0 };
    let [left, _, body] =
        Layout::horizontal([Constraint::Length(side), Constraint::Length(u16::from(side > 0)), Constraint::Fill(1)])
            .areas(body);
    if side > 0 {
        let needed = lineup.parameters(model.compare.shows_all).len() as u16 + 2;
        let [above, below] = super::split_top(left, needed.min(left.height / 2));
        parameters::render(frame, above, model, &lineup);
        folds::render(frame, below, model, &lineup);
    }
    match model.sheet() {
        Sheet::Progress => progress::render(frame, body, model, &lineup, zones),
        Sheet::Curves => curves::render(frame, body, model, &lineup, zones),
        Sheet::Folds => folds::render(frame, body, model, &lineup),
        Sheet::Parameters => parameters::render(frame, body, model, &lineup),
        Sheet::Metrics => metrics::render(frame, body, model, &lineup),
    }
}

/// The letter of the n-th one, in its colour; beyond the letters its number.
fn letter(theme: Theme, model: &Model, n: usize) -> Span<'static> {
    let text = if n < 26 { char::from(b'a' + n as u8).to_string() } else { (n + 1).to_string() };
    Span::styled(text, style_of(theme, model, n))
}

/// Of what belongs to the n-th one: where one is chosen, the others step back.
fn style_of(theme: Theme, model: &Model, n: usize) -> Style {
    if model.compare.chosen.is_some_and(|chosen| chosen != n) { theme.faint() } else { theme.series(n) }
}

fn name_of(it: &Compared<'_>, is_mixed: bool) -> String {
    let trial = if it.trial.id.is_baseline() { "baseline".to_owned() } else { it.trial.id.to_string() };
    if is_mixed { format!("{}/{trial}", it.outline.name) } else { trial }
}

/// What is compared; or what there is to say of the chosen one.
fn sentence<'a>(model: &Model, lineup: &Lineup<'_>, width: u16) -> Line<'a> {
    let theme = model.theme;
    let is_mixed = lineup.is_mixed();
    let chosen = model.compare.chosen.and_then(|row| Some((row, lineup.all.get(row)?)));
    let Some((row, it)) = chosen else {
        let unseen = lineup.all.len().saturating_sub(MOST_DRAWN);
        let drawn = if unseen > 0 { format!("; the first {MOST_DRAWN} are drawn") } else { String::new() };
        let reading = if lineup.is_read { "" } else { ", reading …" };
        let text = format!(" {}{drawn}{reading}", lineup.note);
        return Line::styled(format::fit(&text, width.into()), theme.dim());
    };
    let reference = &lineup.all[lineup.reference];
    let name = format!(" {}: ", name_of(it, is_mixed));
    let of = name_of(reference, is_mixed);
    let (text, style) = if row == lineup.reference {
        ("the others are measured against it".to_owned(), theme.dim())
    } else {
        match model.compare.against(lineup, it) {
            Err(why) => (format!("not paired with {of}: {why}"), theme.role(Role::Warn)),
            Ok(None) => (format!("no fold is finished both of it and of {of}"), theme.dim()),
            Ok(Some(comparison)) => (verdict(theme, &comparison, &of), theme.dim()),
        }
    };
    let room = usize::from(width).saturating_sub(format::width(&name));
    Line::from(vec![Span::styled(name, theme.bold()), Span::styled(format::fit(&text, room), style)])
}

fn verdict(theme: Theme, comparison: &Comparison, of: &str) -> String {
    let chance = match comparison.p {
        Some(p) if p < SIGNIFICANCE => format!(", p {}: more than chance", format::chance(p)),
        Some(p) => format!(", p {}: chance may explain it", format::chance(p)),
        None => ", a single fold: no test".to_owned(),
    };
    format!("{} against {of} on {}{chance}", differs(theme, comparison), format::counted(comparison.folds, "fold"))
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>, zones: &mut Zones) {
    let theme = model.theme;
    let is_mixed = lineup.is_mixed();
    let reference = &lineup.all[lineup.reference];
    let longest = lineup.all.iter().map(|it| format::width(&name_of(it, is_mixed))).max().unwrap_or(0);
    let less = format!("less {}", format::fit(&name_of(reference, is_mixed), 12));
    let columns = [
        Column::left("", 2, 255),
        Column::left("trial", (longest.clamp(5, 24)) as u16, 254),
        Column::left("state", if area.width < 80 { 1 } else { 11 }, 180),
        Column::left("score", 18, 250),
        Column::right(less.clone(), format::width(&less).max(9) as u16, 240),
        Column::right("se", 6, 200),
        Column::right("p", 7, 230),
        Column::right("folds", 5, 150),
        Column::left("", 32, 100),
    ];
    let shown = that_fit(&columns, area.width);
    let mut cursor = Cursor::default();
    cursor.select(model.compare.chosen.unwrap_or(usize::MAX));
    // without a choice the list stays at its beginning
    let room = usize::from(area.height.saturating_sub(1));
    let rows = if model.compare.chosen.is_some() { lineup.all.len() } else { lineup.all.len().min(room) };
    let table = Table { theme, columns: &columns, shown: &shown, cursor: &cursor, rows };
    table.render(frame, area, zones, |row, column| {
        let it = &lineup.all[row];
        let against = model.compare.against(lineup, it);
        let paired = against.as_ref().ok().and_then(Option::as_ref).filter(|_| row != lineup.reference);
        match column {
            0 => vec![letter(theme, model, row), sign_of(model, row)],
            1 => vec![Span::styled(format::fit_end(&name_of(it, is_mixed), 24), theme.bold())],
            2 => {
                let (sign, style, word) = trial_state(theme, it.trial);
                let word = if area.width < 80 { String::new() } else { format!(" {word}") };
                vec![Span::styled(format!("{sign}{word}"), style)]
            }
            3 => score(theme, it.ledger, it.trial),
            4 if row == lineup.reference => vec![Span::styled("reference", theme.dim())],
            4 if against.is_err() => vec![Span::styled("unpaired", theme.role(Role::Warn))],
            4 => paired.map(|it| difference(theme, reference, it.difference)).unwrap_or_default(),
            5 => vec![Span::styled(
                paired.and_then(|it| it.difference_se).map(format::score).unwrap_or_default(),
                theme.dim(),
            )],
            6 => paired.and_then(|it| it.p).map(|p| vec![chance(theme, p)]).unwrap_or_default(),
            7 => vec![Span::styled(paired.map(|it| it.folds.to_string()).unwrap_or_default(), theme.dim())],
            _ => match against {
                Err(why) => vec![Span::styled(format::fit(&why, 32), theme.role(Role::Warn))],
                Ok(_) => Vec::new(),
            },
        }
    });
}

/// Whether it is drawn, and how it is known among the curves.
fn sign_of<'a>(model: &Model, row: usize) -> Span<'a> {
    let theme = model.theme;
    let sign = match (row < MOST_DRAWN, theme.glyphs) {
        (false, _) => " ",
        (true, Glyphs::Ascii) => "-",
        (true, _) => "━",
    };
    Span::styled(sign, style_of(theme, model, row))
}

/// Better or worse than the reference.
fn difference<'a>(theme: Theme, reference: &Compared<'_>, difference: f64) -> Vec<Span<'a>> {
    let gain = reference.outline.direction.gain(difference);
    let style = match gain.partial_cmp(&0.0) {
        Some(std::cmp::Ordering::Greater) => theme.role(Role::Good),
        Some(std::cmp::Ordering::Less) => theme.role(Role::Warn),
        _ => theme.dim(),
    };
    vec![Span::styled(format!("{difference:+.4}"), style)]
}

/// Bold where it is more than chance.
fn chance<'a>(theme: Theme, p: f64) -> Span<'a> {
    let text = format::chance(p);
    let text = text.strip_prefix("= ").unwrap_or(&text).to_owned();
    Span::styled(text, if p < SIGNIFICANCE { theme.bold() } else { theme.dim() })
}

fn draw_sheets(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let mut x = area.x + 1;
    for sheet in Sheet::ALL {
        let text = format!("{} {}", key_of(sheet), sheet.title());
        let width = format::width(&text) as u16;
        let place = Rect { x, width: width.min(area.right().saturating_sub(x)), ..area };
        let style = if sheet == model.sheet() { theme.active() } else { theme.dim() };
        put(frame.buffer_mut(), place, Line::styled(text, style));
        zones.add(place, Msg::Compare(CompareMsg::Sheet(sheet)));
        x += width + 2;
    }
}

fn key_of(sheet: Sheet) -> char {
    match sheet {
        Sheet::Progress => 'b',
        Sheet::Curves => 'c',
        Sheet::Folds => 'f',
        Sheet::Parameters => 'p',
        Sheet::Metrics => 'v',
    }
}

/// A table of one column for each of them, beside the names of the rows.
struct Grid {
    /// Columns of the names.
    name: usize,
    /// Columns of each of them.
    cell: usize,
    /// Those that are seen.
    seen: std::ops::Range<usize>,
}

impl Grid {
    fn of(model: &Model, lineup: &Lineup<'_>, width: u16, name: usize, cell: usize) -> Self {
        let name = name.min(usize::from(width) / 2);
        let room = (usize::from(width).saturating_sub(name + 2) / (cell + 2)).max(1);
        let first = model.compare.scrolled.min(lineup.all.len().saturating_sub(room));
        Self { name, cell, seen: first..(first + room).min(lineup.all.len()) }
    }

    /// The names of what is compared, above their columns.
    fn title<'a>(&self, model: &Model, lineup: &Lineup<'_>, text: &str) -> Line<'a> {
        let theme = model.theme;
        let is_mixed = lineup.is_mixed();
        let mut spans = vec![Span::styled(self.padded(text), theme.dim())];
        for n in self.seen.clone() {
            let name = format::fit_end(&name_of(&lineup.all[n], is_mixed), self.cell.saturating_sub(2));
            let pad = self.cell.saturating_sub(format::width(&name) + 2);
            spans.push(Span::raw(" ".repeat(pad + 2)));
            spans.push(letter(theme, model, n));
            spans.push(Span::styled(format!(" {name}"), theme.bold()));
        }
        if self.seen.len() < lineup.all.len() {
            spans.push(Span::styled(" …", theme.dim()));
        }
        Line::from(spans)
    }

    /// A row; cells are cut and padded to their columns.
    fn row<'a>(&self, theme: Theme, name: &str, cells: impl Fn(usize) -> Vec<Span<'a>>) -> Line<'a> {
        let mut spans = vec![Span::styled(self.padded(name), theme.text())];
        for n in self.seen.clone() {
            let cell = cells(n);
            let width: usize = cell.iter().map(Span::width).sum();
            spans.push(Span::raw(" ".repeat(self.cell.saturating_sub(width) + 2)));
            spans.extend(cell);
        }
        Line::from(spans)
    }

    fn padded(&self, name: &str) -> String {
        let name = format::fit_end(name, self.name);
        let pad = self.name.saturating_sub(format::width(&name));
        format!(" {name}{}", " ".repeat(pad))
    }

    /// Draws the rows that are scrolled to.
    fn render<'a>(frame: &mut Frame<'_>, area: Rect, model: &Model, count: usize, row: impl Fn(usize) -> Line<'a>) {
        let seen = model.compare.rows.view(count, area.height.into());
        for (place, index) in area.rows().zip(seen) {
            put(frame.buffer_mut(), place, row(index));
        }
    }
}
