//! How much each parameter matters, with what is left open.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::{Zones, basis, put, put_unknown, put_waiting};
use crate::dashboard::format;
use crate::dashboard::message::{Move, Msg};
use crate::dashboard::model::Model;
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::search::insight::{Importance, Insight, Interval};
use crate::store::Outline;

/// Below it, what is told is mostly what was believed before.
const LITTLE: f64 = 0.5;
/// A share of the variance that is worth a line.
const NOTABLE: f64 = 0.01;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, outline: &Outline, zones: &mut Zones) {
    let Some(study) = model.data.insight(outline.head.key) else {
        put_waiting(frame.buffer_mut(), area, model, outline);
        return;
    };
    let insight = match &study.told {
        Ok(insight) => insight,
        Err(why) => return put_unknown(frame.buffer_mut(), area, model, *why),
    };
    let notes = notes(model, outline, insight, model.ledger().map(|ledger| basis(study, outline, ledger)));
    let rows = (notes.len() as u16).min(area.height / 3);
    let [title, list, below] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(rows)]).areas(area);
    let theme = model.theme;
    let text = format!(
        " {} scores of {} points: shares of the variance of {}, 5 to 95 % in brackets",
        insight.scores, insight.points, outline.objective
    );
    put(frame.buffer_mut(), title, Line::styled(format::fit(&text, title.width.into()), theme.dim()));
    let chosen = model.search.parameter(&names(insight));
    let has_two = usize::from(list.height) >= 2 * insight.parameters.len();
    let height: u16 = if has_two { 2 } else { 1 };
    let room = usize::from(list.height / height).max(1);
    // the chosen one is among those that are seen
    let first = (chosen + 1).saturating_sub(room);
    for (place, importance) in insight.parameters.iter().enumerate().skip(first).take(room) {
        let y = list.y + (place - first) as u16 * height;
        let row = Rect { y, height: 1, ..list };
        put(frame.buffer_mut(), row, total(theme, importance, row.width));
        if has_two {
            put(frame.buffer_mut(), Rect { y: y + 1, ..row }, alone(theme, importance, row.width));
        }
        if place == chosen {
            frame.buffer_mut().set_style(row, theme.selected());
        }
        zones.add(Rect { height, ..row }, Msg::Move(Move::To(place)));
    }
    for (row, note) in below.rows().zip(notes) {
        put(frame.buffer_mut(), row, note);
    }
}

fn names(insight: &Insight) -> Vec<String> {
    insight.parameters.iter().map(|importance| importance.parameter.clone()).collect()
}

/// Columns of the name, and of the numbers.
fn columns(width: u16) -> (usize, usize) {
    if width >= 90 { (32, 20) } else { (20, 16) }
}

fn total<'a>(theme: Theme, importance: &Importance, width: u16) -> Line<'a> {
    let (name, numbers) = columns(width);
    let bar = usize::from(width).saturating_sub(name + numbers + 3);
    let fitted = format::fit_end(&importance.parameter, name);
    let gap = " ".repeat(name - format::width(&fitted));
    let mut spans = vec![Span::styled(format!(" {fitted}{gap} "), theme.bold())];
    spans.extend(bar_of(theme, importance.total, bar, true));
    spans.push(Span::raw(format!(" {:>numbers$}", percents(importance.total))));
    Line::from(spans)
}

fn alone<'a>(theme: Theme, importance: &Importance, width: u16) -> Line<'a> {
    let (name, numbers) = columns(width);
    let bar = usize::from(width).saturating_sub(name + numbers + 3);
    let part = if importance.active < 0.995 && name > 24 {
        format!("  in {:.0} % of the space", importance.active * 100.0)
    } else {
        String::new()
    };
    let mut spans = vec![Span::styled(format!(" {:<name$} ", format!("  alone{part}")), theme.dim())];
    spans.extend(bar_of(theme, importance.alone, bar, false));
    spans.push(Span::styled(format!(" {:>numbers$}", percents(importance.alone)), theme.dim()));
    Line::from(spans)
}

/// Full up to what is sure, then thinner to the median, then to what may be.
fn bar_of<'a>(theme: Theme, share: Interval, width: usize, is_main: bool) -> [Span<'a>; 4] {
    let at = |share: f64| ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    let (low, median, high) = (at(share.low), at(share.median), at(share.high));
    let [sure, likely, open, rest] = match (theme.glyphs, is_main) {
        (Glyphs::Ascii, true) => ["#", "=", "-", " "],
        (Glyphs::Ascii, false) => ["+", ":", ".", " "],
        (_, true) => ["█", "▓", "░", " "],
        (_, false) => ["▀", "▔", "┄", " "],
    };
    let style = if is_main { theme.role(Role::Accent) } else { theme.series(2) };
    [
        Span::styled(sure.repeat(low), style),
        Span::styled(likely.repeat(median.saturating_sub(low)), style),
        Span::styled(open.repeat(high.saturating_sub(median)), theme.dim()),
        Span::raw(rest.repeat(width - high.max(median))),
    ]
}

fn percents(Interval { low, median, high }: Interval) -> String {
    format!("{:.0} % ({:.0} to {:.0})", median * 100.0, low * 100.0, high * 100.0)
}

fn notes<'a>(model: &Model, outline: &Outline, insight: &Insight, basis: Option<String>) -> Vec<Line<'a>> {
    let theme = model.theme;
    let together = format!(" interactions {} belong to no parameter alone", percents(insight.interactions));
    let mut notes = vec![Line::raw(together)];
    let notable = insight.pairs.iter().filter(|pair| pair.interaction.low > NOTABLE);
    notes.extend(notable.map(|pair| {
        let [a, b] = pair.parameters.each_ref().map(|name| format::fit_end(name, 24));
        let times = if theme.glyphs == Glyphs::Ascii { "x" } else { "×" };
        Line::styled(format!("   {a} {times} {b}  {}", percents(pair.interaction)), theme.dim())
    }));
    let noise = format!(" noise {:.0} % of the variance of one fold's score", insight.noise * 100.0);
    notes.push(Line::raw(noise));
    if insight.known < LITTLE {
        let what = if outline.is_live() { "more trials will tell" } else { "more trials would tell" };
        let text = format!(" little is known yet, {:.0} % of what there is: {what}", insight.known * 100.0);
        notes.push(Line::styled(text, theme.role(Role::Warn)));
    }
    notes.extend(basis.filter(|basis| !basis.is_empty()).map(|basis| Line::styled(format!(" {basis}"), theme.dim())));
    notes
}
