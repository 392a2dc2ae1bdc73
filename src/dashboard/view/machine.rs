//! The machine: what runs where, what it takes, what comes next, and what ran where before.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::table::{Column, Table, that_fit};
use super::{Zones, bar, put, put_notice, run_sign};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Run, Trial};
use crate::dashboard::machine::{Device, Machine, means};
use crate::dashboard::model::{Model, SlotRow, Span as Past};
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::store::{Millis, Outline, RunState, SweepState};
use crate::sweep::Stage;

const SLOT: usize = 0;
const RUN: usize = 1;
const DEVICE: usize = 2;
const SINCE: usize = 3;
const EPOCH: usize = 4;
const LOSS: usize = 5;
const CORES: usize = 6;
const MEMORY: usize = 7;

/// Columns of the bar of an epoch.
const BAR: usize = 12;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let Some((outline, ledger)) = model.open_sweep().zip(model.ledger()) else {
        let lines: &[&str] =
            if model.sweep.is_some() { &["reading …"] } else { &["no sweep is open", "", "1 lists them"] };
        put_notice(frame.buffer_mut(), area, model.theme, lines);
        return;
    };
    let slots = model.slots();
    let machine = model.data.machine(outline.head.key);
    let devices = machine.map_or(0, |machine| machine.devices.len()) as u16;
    let rows = (slots.len() as u16 + 1).min(area.height / 3).max(2);
    let [head, table, queue, gauges, lanes] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows),
        Constraint::Length(2),
        Constraint::Length((devices * 2 + 1).min(area.height / 3)),
        Constraint::Fill(1),
    ])
    .areas(area);
    put(frame.buffer_mut(), head, coordinator(model, outline, &slots));
    draw_slots(frame, table, model, outline, &slots, zones);
    put(frame.buffer_mut(), queue, next(model, queue.width));
    let past = past(model, outline, ledger, machine);
    if let Some((machine, past)) = machine.zip(past) {
        draw_gauges(frame, gauges, model, machine, past);
    }
    if let Some(past) = past {
        draw_lanes(frame, lanes, model, ledger, &slots, past);
    }
}

/// Who runs it, and what it is about.
fn coordinator<'a>(model: &Model, outline: &Outline, slots: &[SlotRow]) -> Line<'a> {
    let theme = model.theme;
    let mut spans = Vec::new();
    if outline.is_live() {
        let who = match model.machine.coordinator {
            Some(pid) if model.machine.is_told => format!(" process {pid} on {}", outline.host),
            _ => format!(" on {}", outline.host),
        };
        spans.push(Span::styled(who, theme.bold()));
        let (what, role) = match model.status().map(|status| status.state) {
            Some(Stage::Running) => ("running", Role::Good),
            Some(Stage::Paused) => ("paused: nothing is started", Role::Warn),
            Some(Stage::Stopping) => ("stopping: its runs come to their end", Role::Warn),
            Some(Stage::Killing) => ("its runs are being ended", Role::Bad),
            Some(Stage::Ended) => ("ended", Role::Good),
            None if model.machine.is_told => ("…", Role::Accent),
            None => ("no coordinator listens", Role::Warn),
        };
        spans.push(Span::styled(format!("  {what}"), theme.role(role)));
    } else {
        spans.push(Span::styled(format!(" ran on {}", outline.host), theme.bold()));
        let (state, style) = match outline.head.state {
            _ if outline.is_lost() => {
                let text = format!("lost: no coordinator, `sweep resume {}` goes on with it", outline.name);
                (text, theme.role(Role::Bad))
            }
            SweepState::Finished => ("finished".to_owned(), theme.dim()),
            _ => ("not running".to_owned(), theme.dim()),
        };
        spans.push(Span::styled(format!("  {state}"), style));
    }
    let wanted = model.status().map_or(slots.len(), |status| status.wanted_slots as usize);
    let busy = slots.iter().filter(|slot| slot.run.is_some()).count();
    let count = match (outline.is_live(), wanted) {
        (true, _) => format!("  {busy} of {wanted} slots busy"),
        (false, 1) => "  1 slot".to_owned(),
        (false, slots) => format!("  {slots} slots"),
    };
    spans.push(Span::styled(count, theme.dim()));
    Line::from(spans)
}

fn draw_slots(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    outline: &Outline,
    slots: &[SlotRow],
    zones: &mut Zones,
) {
    if slots.is_empty() {
        put_notice(frame.buffer_mut(), area, model.theme, &["no run has been started yet"]);
        return;
    }
    let device = slots.iter().map(|slot| format::width(&slot.device)).max().unwrap_or(0).clamp(6, 20) as u16;
    let columns = [
        Column::right("slot", 4, 255),
        Column::left("run", 9, 254),
        Column::left("device", device, 200),
        Column::right("since", 6, 210),
        Column::left("epoch", (BAR + 12) as u16, 190),
        Column::right("loss", 8, 180),
        Column::right("cores", 5, 150),
        Column::right("memory", 8, 160),
    ];
    let shown = that_fit(&columns, area.width);
    let cursor = &model.machine.cursor;
    let table = Table { theme: model.theme, columns: &columns, shown: &shown, cursor, rows: slots.len() };
    table.render(frame, area, zones, |row, column| cell(model, outline, &slots[row], column));
}

fn cell<'a>(model: &Model, outline: &Outline, slot: &SlotRow, column: usize) -> Vec<Span<'a>> {
    let theme = model.theme;
    let Some(run) = slot.run else {
        return match column {
            SLOT => vec![Span::raw(slot.slot.to_string())],
            DEVICE => vec![Span::styled(slot.device.clone(), theme.dim())],
            RUN => vec![Span::styled("-", theme.dim())],
            _ => Vec::new(),
        };
    };
    let progress = model.progress(run);
    let usage = model.data.machine(outline.head.key).and_then(|machine| machine.usage(run));
    match column {
        SLOT => vec![Span::raw(slot.slot.to_string())],
        RUN => {
            let (sign, style) = run_sign(theme, RunState::Running);
            vec![Span::styled(format!("{sign} {run}"), style)]
        }
        DEVICE => vec![Span::raw(slot.device.clone())],
        SINCE => {
            let seconds = slot.since.map(|since| (model.now.0 - since.0) as f64 / 1000.0);
            vec![Span::styled(seconds.map(format::duration).unwrap_or_default(), theme.dim())]
        }
        EPOCH => {
            let Some(progress) = progress else { return Vec::new() };
            let part = progress.step as f64 / progress.steps.max(1) as f64;
            let epochs = match progress.epochs {
                0 => format!(" {}/{}", progress.step, progress.steps),
                epochs => format!(" {}/{epochs}", progress.epoch),
            };
            bar::progress(theme, part, BAR).into_iter().chain([Span::styled(epochs, theme.dim())]).collect()
        }
        LOSS => {
            let loss = progress.map(|progress| progress.loss).filter(|loss| loss.is_finite());
            vec![Span::raw(loss.map(format::score).unwrap_or_default())]
        }
        CORES => {
            let cores = usage.and_then(|usage| usage.cores).map(|cores| format!("{cores:.1}"));
            vec![Span::styled(cores.unwrap_or_default(), theme.dim())]
        }
        MEMORY => {
            vec![Span::styled(usage.and_then(|usage| usage.memory).map(megabytes).unwrap_or_default(), theme.dim())]
        }
        _ => Vec::new(),
    }
}

/// What comes next, as far as it is known.
fn next<'a>(model: &Model, width: u16) -> Line<'a> {
    let theme = model.theme;
    let waiting = model.waiting();
    if waiting.is_empty() {
        let is_live = model.open_sweep().is_some_and(Outline::is_live);
        let text = if is_live { " next  whatever is drawn: no fold waits" } else { "" };
        return Line::styled(text, theme.dim());
    }
    let mut spans = vec![Span::styled(" next", theme.dim())];
    let mut used = 5;
    for (index, run) in waiting.iter().enumerate() {
        let text = format!("  {run}");
        let rest = format!("  and {} more", waiting.len() - index);
        if used + format::width(&text) + format::width(&rest) > usize::from(width) {
            spans.push(Span::styled(rest, theme.dim()));
            break;
        }
        used += format::width(&text);
        spans.push(Span::raw(text));
    }
    Line::from(spans)
}

/// From when to when is shown.
fn past(model: &Model, outline: &Outline, ledger: &Ledger, machine: Option<&Machine>) -> Option<(Millis, Millis)> {
    let runs = || ledger.trials.iter().flat_map(|trial| &trial.runs);
    let first = runs().filter_map(|run| run.started).min();
    let seen = machine.and_then(Machine::span);
    let first = [first, seen.map(|seen| seen.0)].into_iter().flatten().min()?;
    let last = if outline.is_live() {
        model.now
    } else {
        runs().filter_map(|run| run.ended).chain(seen.map(|seen| seen.1)).max()?
    };
    let length = match model.machine.span(outline) {
        Past::Minutes => 600_000,
        Past::Hour => 3_600_000,
        Past::All => i64::MAX,
    };
    Some((Millis(last.0.saturating_sub(length).max(first.0)), Millis(last.0.max(first.0 + 1000))))
}

/// Two rows a device: how busy it is, and how full.
fn draw_gauges(frame: &mut Frame<'_>, area: Rect, model: &Model, machine: &Machine, past: (Millis, Millis)) {
    let theme = model.theme;
    let name = machine.devices.keys().map(|name| format::width(name)).max().unwrap_or(0).clamp(4, 16);
    let room = usize::from(area.width).saturating_sub(name + 24).max(8);
    let mut rows = area.rows();
    for (device, gauges) in &machine.devices {
        let label = |text: &str| Span::styled(format!(" {:<name$} ", format::fit(text, name)), theme.bold());
        let (Some(busy), Some(full)) = (rows.next(), rows.next()) else { return };
        let parts = means(&gauges.utilisation, past, room);
        let now = gauges.utilisation.last().map(|(_, part)| format!("{:.0} %", part * 100.0)).unwrap_or_default();
        let power = gauges.power.map(|watts| format!("  {watts:.0} W")).unwrap_or_default();
        let mut spans = vec![label(device), Span::styled("busy ", theme.dim())];
        spans.extend(parts.into_iter().map(|part| heat(theme, part)));
        spans.push(Span::raw(format!(" {now}{power}")));
        put(frame.buffer_mut(), busy, Line::from(spans));
        let mut spans = vec![label(""), Span::styled("full ", theme.dim())];
        let total = gauges.memory_total.unwrap_or(f64::NAN);
        spans.extend(means(&gauges.memory, past, room).into_iter().map(|used| heat(theme, used / total)));
        spans.push(Span::raw(format!(" {}", memory(gauges))));
        put(frame.buffer_mut(), full, Line::from(spans));
    }
}

/// A part from 0 to 1 as the height of a cell; nothing where nothing was seen.
fn heat<'a>(theme: Theme, part: f64) -> Span<'a> {
    if part.is_finite() {
        Span::styled(bar::height(theme, part), theme.role(if part > 0.9 { Role::Good } else { Role::Accent }))
    } else {
        Span::raw(" ")
    }
}

/// `3.2 of 15.6 GB`
fn memory(device: &Device) -> String {
    let gigabytes = |mb: f64| format!("{:.1}", mb / 1024.0);
    match (device.memory.last(), device.memory_total) {
        (Some((_, used)), Some(total)) => format!("{}/{} GB", gigabytes(*used), gigabytes(total)),
        (Some((_, used)), None) => format!("{} GB", gigabytes(*used)),
        _ => String::new(),
    }
}

fn megabytes(mb: f64) -> String {
    if mb < 1024.0 { format!("{mb:.0} MB") } else { format!("{:.1} GB", mb / 1024.0) }
}

/// What ran where: a row a slot, from left to right as time goes.
fn draw_lanes(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    ledger: &Ledger,
    slots: &[SlotRow],
    past: (Millis, Millis),
) {
    let theme = model.theme;
    if area.height < 4 || area.width < 30 || slots.is_empty() {
        return;
    }
    let mut rows = area.rows();
    let Some(title) = rows.next() else { return };
    put(frame.buffer_mut(), title, Line::styled(" what ran where", theme.dim()));
    let room = usize::from(area.height) - 2;
    let left = 6;
    let width = area.width - left - 1;
    let place = |at: Millis| {
        let part = (at.0 - past.0.0) as f64 / (past.1.0 - past.0.0) as f64;
        (part * f64::from(width)).floor().clamp(0.0, f64::from(width - 1)) as u16
    };
    let first = model.machine.cursor.selected().saturating_sub(room - 1);
    let shown: Vec<(u32, Rect)> = slots.iter().skip(first).take(room).map(|slot| slot.slot).zip(&mut rows).collect();
    for (slot, row) in &shown {
        put(frame.buffer_mut(), *row, Line::styled(format!("{slot:>4}"), theme.dim()));
    }
    for trial in &ledger.trials {
        for run in &trial.runs {
            let (Some(slot), Some(from)) = (run.slot, run.started) else { continue };
            let until = run.ended.unwrap_or(if run.state == RunState::Running { model.now } else { from });
            if until < past.0 || from > past.1 {
                continue;
            }
            let Some((_, row)) = shown.iter().find(|(shown, _)| *shown == slot) else { continue };
            let (start, end) = (place(from.max(past.0)), place(until.min(past.1)));
            let lane = Rect { x: row.x + left + start, width: end - start + 1, ..*row };
            put(frame.buffer_mut(), lane, run_line(theme, trial, run, lane.width.into()));
        }
    }
    let Some(axis) = rows.next() else { return };
    let now = if model.open_sweep().is_some_and(Outline::is_live) { "now".to_owned() } else { "its end".to_owned() };
    let ago = format::duration((past.1.0 - past.0.0) as f64 / 1000.0);
    let before = if now == "now" { format!("{ago} ago") } else { format!("{ago} before") };
    let gap = usize::from(width).saturating_sub(before.len() + now.len());
    let axis = Rect { x: axis.x + left, width, ..axis };
    put(frame.buffer_mut(), axis, Line::styled(format!("{before}{}{now}", " ".repeat(gap)), theme.dim()));
}

/// Its name as far as there is room, then a line; how it ended where it did not finish.
fn run_line<'a>(theme: Theme, trial: &Trial, run: &Run, width: usize) -> Line<'a> {
    let style = theme.series(trial.id.0.unsigned_abs() as usize);
    let dash = if theme.glyphs == Glyphs::Ascii { "-" } else { "━" };
    // the last column is what keeps it apart from the run after it
    let inner = width.saturating_sub(1).max(1);
    let name = format!("{}/{}", trial.id, run.fold);
    let name = if format::width(&name) < inner { name } else { String::new() };
    let end = match run.state {
        RunState::Finished | RunState::Running => None,
        state => Some(run_sign(theme, state)),
    };
    let dashes = inner - format::width(&name) - usize::from(end.is_some());
    let mut spans = vec![Span::styled(format!("{name}{}", dash.repeat(dashes)), style)];
    spans.extend(end.map(|(sign, style)| Span::styled(sign, style)));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_the_unit_that_reads_best() {
        assert_eq!([512.0, 1024.0, 40_000.0].map(megabytes).join(" "), "512 MB 1.0 GB 39.1 GB");
    }
}
