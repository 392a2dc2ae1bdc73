//! What is seen: functions of the model, and what a click on them means.

mod bar;
mod compare;
mod lanes;
mod machine;
mod overlay;
mod search;
mod steer;
mod sweeps;
mod table;
mod trial;
mod trials;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::format;
use super::keys::{self, Binding};
use super::ledger::Trial;
use super::message::{Msg, Screen};
use super::model::{Line as Input, Model};
use super::theme::{Glyphs, Role, Theme};
use crate::crossval::Comparison;
use crate::store::{GivenUp, Outline, RunState, SweepState, TrialState};

/// Smaller than this nothing can be read.
const LEAST: (u16, u16) = (60, 20);

/// Where a click means what; later ones lie above.
#[derive(Clone, Debug, Default)]
pub struct Zones(Vec<(Rect, Option<Msg>)>);

impl Zones {
    pub fn add(&mut self, area: Rect, msg: Msg) {
        self.0.push((area, Some(msg)));
    }

    /// A click there means nothing, whatever lies below.
    pub fn block(&mut self, area: Rect) {
        self.0.push((area, None));
    }

    pub fn at(&self, position: Position) -> Option<Msg> {
        self.0.iter().rev().find(|(area, _)| area.contains(position)).and_then(|(_, msg)| msg.clone())
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model) -> Zones {
    let mut zones = Zones::default();
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(frame, area);
        return zones;
    }
    let [header, tabs, body, footer] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(area);
    draw_header(frame, header, model);
    draw_tabs(frame, tabs, model, &mut zones);
    match model.screen {
        Screen::Sweeps => sweeps::render(frame, body, model, &mut zones),
        Screen::Trials => trials::render(frame, body, model, &mut zones),
        Screen::Trial => trial::render(frame, body, model, &mut zones),
        Screen::Compare => compare::render(frame, body, model, &mut zones),
        Screen::Lanes => lanes::render(frame, body, model, &mut zones),
        Screen::Search => search::render(frame, body, model, &mut zones),
        Screen::Machine => machine::render(frame, body, model, &mut zones),
    }
    draw_footer(frame, footer, model, &mut zones);
    overlay::render(frame, body, model, &mut zones);
    draw_toast(frame, area, model);
    if model.theme.glyphs == Glyphs::Ascii {
        spell_out(frame.buffer_mut());
    }
    zones
}

/// Signs and lines in the letters that every terminal has, those in names and documents too.
fn spell_out(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let letter = match cell.symbol() {
            "…" => "~",
            "“" | "”" => "\"",
            "·" => ".",
            "–" | "─" | "╌" | "━" | "┄" => "-",
            "×" => "x",
            "│" | "┃" | "┆" => "|",
            "←" => "<",
            "→" => ">",
            "↑" => "^",
            "↓" => "v",
            "╭" | "╮" | "╰" | "╯" | "┌" | "┐" | "└" | "┘" | "├" | "┤" | "┬" | "┴" | "┼" => {
                "+"
            }
            _ => continue,
        };
        cell.set_symbol(letter);
    }
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let lines = [
        format!("the terminal has {}x{}", area.width, area.height),
        format!("{}x{} is the least", LEAST.0, LEAST.1),
        "q quits".to_owned(),
    ];
    for (row, text) in area.rows().zip(lines) {
        put(frame.buffer_mut(), row, Line::raw(format::fit(&text, row.width.into())).centered());
    }
}

/// The open sweep in one line; else how many there are. What is wrong with the database comes first.
fn draw_header(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    if let Some(alarm) = &model.alarm {
        let text = format::fit(&format!(" ! {alarm}"), area.width.into());
        put(frame.buffer_mut(), area, Line::styled(text, model.theme.role(Role::Bad).patch(model.theme.bold())));
        return;
    }
    let open = model.open_sweep().filter(|_| model.screen != Screen::Sweeps);
    let (left, right) = open.map_or_else(|| all_header(model), |outline| sweep_header(outline, model, area.width));
    let (left, right) = (Line::from(left), Line::from(right).right_aligned());
    // where both do not fit, the left one says more
    if left.width() + right.width() + 2 <= area.width.into() {
        put(frame.buffer_mut(), area, right);
    }
    let room = Rect { width: area.width.min(left.width() as u16), ..area };
    put(frame.buffer_mut(), room, left);
}

fn all_header<'a>(model: &Model) -> (Vec<Span<'a>>, Vec<Span<'a>>) {
    let sweeps = model.data.outlines.iter().flat_map(|outlines| outlines.values());
    let (all, live) = sweeps.fold((0, 0), |(all, live), outline| (all + 1, live + u32::from(outline.is_live())));
    let count = match (&model.data.outlines, all) {
        (None, _) => "reading …".to_owned(),
        (_, 1) => "1 sweep".to_owned(),
        _ => format!("{all} sweeps"),
    };
    let live = if live > 0 { format!(", {live} running") } else { String::new() };
    let database = Span::styled(format!("{} ", model.database), model.theme.dim());
    (vec![Span::styled(format!(" {count}{live}"), model.theme.bold())], vec![database])
}

fn sweep_header<'a>(outline: &'a Outline, model: &Model, width: u16) -> (Vec<Span<'a>>, Vec<Span<'a>>) {
    let theme = model.theme;
    let (sign, word, style) = standing(theme, outline);
    let bar = if width >= 100 { 16 } else { 8 };
    let mut left = vec![
        Span::styled(format!(" {} ", format::fit(&outline.name, usize::from(width) / 4)), theme.bold()),
        Span::styled(format!("{sign} {word}"), style),
        Span::raw("  "),
    ];
    left.extend(bar::progress(theme, outline.progress(), bar));
    left.push(Span::styled(format!(" {}", counted_trials(outline)), theme.dim()));
    if width >= 100 {
        left.push(Span::styled(" trials", theme.dim()));
    }
    left.push(failures(theme, outline));
    if let Some(best) = outline.best() {
        let what = if width >= 100 { format!("  best {} ", outline.objective) } else { "  best ".to_owned() };
        left.push(Span::styled(what, theme.dim()));
        left.push(Span::styled(format::score(best.score), theme.role(Role::Good)));
        if width >= 100 {
            left.push(Span::styled(format!(" (trial {})", best.trial), theme.dim()));
        }
    }
    let right = match model.seconds_left(outline) {
        Some(left) => format!("{} left ", format::duration(left)),
        None if outline.is_lost() => format!("`sweep resume {}` ", format::fit(&outline.name, 24)),
        None if outline.is_live() && outline.started.is_some() => {
            format!("for {} ", format::duration(outline.seconds(model.now)))
        }
        None if outline.started.is_some() => format!("took {} ", format::duration(outline.seconds(model.now))),
        None => " ".to_owned(),
    };
    (left, vec![Span::styled(right, theme.dim())])
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let buffer = frame.buffer_mut();
    buffer.set_style(area, theme.faint());
    let is_wide = area.width >= 80;
    let mut x = area.x + u16::from(is_wide);
    for screen in Screen::ALL {
        let is_active = *screen == model.screen;
        let style = if is_active { theme.active() } else { theme.dim() };
        let gap = if is_wide { " " } else { "" };
        let text = format!("{}{gap}{}", screen.number(), screen.title());
        let width = format::width(&text) as u16;
        if x + width > area.right() {
            break;
        }
        let tab = Rect { x, width, height: 1, ..area };
        put(buffer, tab, Line::styled(text, style));
        zones.add(tab, Msg::Go(*screen));
        x += width + if is_wide { 3 } else { 1 };
    }
}

/// The keys that matter here.
fn draw_footer(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let buffer = frame.buffer_mut();
    // how to get help and out is always seen; the screen's own keys as far as there is room
    let hints = |table: &'static [Binding]| table.iter().filter_map(|binding| Some((binding, binding.hint?)));
    let width =
        |(binding, hint): (&Binding, &str)| (format::width(&first_key(binding)) + 1 + format::width(hint)) as u16;
    let general: u16 = hints(keys::global()).map(|it| width(it) + 2).sum();
    let (mut x, end) = (area.x + 1, area.right().saturating_sub(general));
    let mut put_hint = |x: u16, (binding, hint): (&'static Binding, &'static str)| {
        let zone = Rect { x, width: width((binding, hint)), height: 1, ..area };
        let spans =
            vec![Span::styled(first_key(binding), theme.active()), Span::styled(format!(" {hint}"), theme.dim())];
        put(buffer, zone, Line::from(spans));
        zones.add(zone, binding.msg.clone());
        x + zone.width + 2
    };
    let here = |binding: &Binding| match &binding.msg {
        Msg::Search(msg) => model.search.heeds(msg),
        Msg::Trial(msg) => model.trial.heeds(msg),
        _ => true,
    };
    for it in hints(keys::of_screen(model.screen)).filter(|(binding, _)| here(binding)) {
        if x + width(it) + 2 > end {
            break;
        }
        x = put_hint(x, it);
    }
    let mut x = end;
    for it in hints(keys::global()) {
        x = put_hint(x, it);
    }
}

/// What is to be said in passing: over the keys, and as many lines above them as it needs.
fn draw_toast(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    use ratatui::widgets::{Clear, Widget};
    let Some(toast) = &model.toast else { return };
    let style = model.theme.role(if toast.is_error { Role::Bad } else { Role::Accent });
    let lines = wrapped(&toast.text, usize::from(area.width) - 2);
    let height = (lines.len() as u16).min(area.height / 3);
    let place = Rect { y: area.bottom() - height, height, ..area };
    Clear.render(place, frame.buffer_mut());
    for (row, line) in place.rows().zip(lines) {
        put(frame.buffer_mut(), row, Line::styled(format!(" {line}"), style));
    }
}

/// Broken at blanks into lines of so many columns; a longer word is cut.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = format::fit(word, columns);
        match lines.last_mut() {
            Some(line) if format::width(line) + 1 + format::width(&word) <= columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

fn first_key(binding: &Binding) -> String {
    binding.keys.first().map(|key| key.name()).unwrap_or_default()
}

/// A line of text in one row; what breaks lines is a blank.
fn put(buffer: &mut Buffer, area: Rect, mut line: Line<'_>) {
    use ratatui::widgets::Widget;
    for span in line.spans.iter_mut().filter(|span| span.content.contains(char::is_control)) {
        span.content = format::in_a_line(&span.content).into_owned().into();
    }
    let (area, is_cut) = (Rect { height: area.height.min(1), ..area }, line.width() > usize::from(area.width));
    line.render(area, buffer);
    // of a narrow one a sign is left, which says more
    if is_cut && area.width > 3 && area.height > 0 {
        let last = area.right() - 1;
        // half of a wide letter is no letter
        if last > area.x && format::width(buffer[(last - 1, area.y)].symbol()) > 1 {
            buffer[(last - 1, area.y)].set_symbol(" ");
        }
        buffer[(last, area.y)].set_symbol("…");
    }
}

/// What is typed, with its cursor; what stands in front of it says what it is for.
fn put_input(buffer: &mut Buffer, area: Rect, theme: Theme, prompt: &str, input: &Input, is_typing: bool) {
    let (before, after) = input.parts();
    let room = usize::from(area.width).saturating_sub(format::width(prompt) + 1);
    let before = format::fit_end(before, room);
    let mut spans = vec![Span::styled(prompt.to_owned(), theme.active()), Span::raw(before)];
    if is_typing {
        let mut rest = after.chars();
        let under = rest.next().unwrap_or(' ');
        spans.push(Span::styled(under.to_string(), Style::new().reversed()));
        spans.push(Span::raw(rest.collect::<String>()));
    } else {
        spans.push(Span::raw(after.to_owned()));
    }
    put(buffer, area, Line::from(spans));
}

/// A few words in the middle of an empty place.
fn put_notice(buffer: &mut Buffer, area: Rect, theme: Theme, lines: &[&str]) {
    let top = area.height.saturating_sub(lines.len() as u16) / 3;
    for (row, text) in area.rows().skip(top.into()).zip(lines) {
        put(buffer, row, Line::styled(format::fit(text, row.width.into()), theme.dim()).centered());
    }
}

/// A difference with its error, in words: `-0.0055 ± 0.0048`.
fn differs(theme: Theme, comparison: &Comparison) -> String {
    let error = comparison.difference_se.map(|error| format!(" {} {}", theme.plus_minus(), format::score(error)));
    format!("{:+.4}{}", comparison.difference, error.unwrap_or_default())
}

/// Trials that are decided, of all.
fn counted_trials(outline: &Outline) -> String {
    format!("{}/{}", outline.decided(), outline.trials())
}

/// How many trials have failed, where any has.
fn failures<'a>(theme: Theme, outline: &Outline) -> Span<'a> {
    let (sign, style) = trial_sign(theme, TrialState::Failed);
    Span::styled(if outline.failed > 0 { format!(" {sign}{}", outline.failed) } else { String::new() }, style)
}

/// The sign of a sweep, its word, and their colour.
fn standing(theme: Theme, outline: &Outline) -> (&'static str, &'static str, Style) {
    if outline.is_lost() {
        let sign = if theme.glyphs == Glyphs::Ascii { "!" } else { "†" };
        return (sign, "lost", theme.role(Role::Bad));
    }
    let (sign, style) = sweep_sign(theme, outline.head.state);
    (sign, sweep_word(outline.head.state), style)
}

fn sweep_word(state: SweepState) -> &'static str {
    match state {
        SweepState::Running => "running",
        SweepState::Paused => "paused",
        SweepState::Finished => "finished",
        SweepState::Stopped => "stopped",
        SweepState::Failed => "failed",
    }
}

fn trial_word(state: TrialState) -> &'static str {
    match state {
        TrialState::Waiting => "waiting",
        TrialState::Running => "running",
        TrialState::Finished => "finished",
        TrialState::Pruned => "pruned",
        TrialState::Failed => "failed",
        TrialState::Cancelled => "cancelled",
    }
}

/// The sign of a state, and its colour.
fn sweep_sign(theme: Theme, state: SweepState) -> (&'static str, Style) {
    let (sign, ascii, style) = match state {
        SweepState::Running => ("▸", ">", theme.role(Role::Accent)),
        SweepState::Paused => ("‖", "=", theme.role(Role::Warn)),
        SweepState::Finished => ("✓", "+", theme.role(Role::Good)),
        SweepState::Stopped => ("■", "#", theme.role(Role::Warn)),
        SweepState::Failed => ("✗", "x", theme.role(Role::Bad)),
    };
    (if theme.glyphs == Glyphs::Ascii { ascii } else { sign }, style)
}

fn trial_sign(theme: Theme, state: TrialState) -> (&'static str, Style) {
    run_sign(
        theme,
        match state {
            TrialState::Waiting => RunState::Waiting,
            TrialState::Running => RunState::Running,
            TrialState::Finished => RunState::Finished,
            TrialState::Pruned => RunState::Pruned,
            TrialState::Failed => RunState::Failed,
            TrialState::Cancelled => RunState::Cancelled,
        },
    )
}

/// The sign of a trial's state, its colour, and its word: who gave it up is told.
fn trial_state(theme: Theme, trial: &Trial) -> (&'static str, Style, &'static str) {
    if (trial.state, trial.given_up) == (TrialState::Pruned, Some(GivenUp::Race)) {
        let (sign, style) = raced_out(theme);
        return (sign, style, "raced out");
    }
    let (sign, style) = trial_sign(theme, trial.state);
    (sign, style, trial_word(trial.state))
}

/// The sign of what the race ended.
fn raced_out(theme: Theme) -> (&'static str, Style) {
    (if theme.glyphs == Glyphs::Ascii { "/" } else { "⊘" }, theme.role(Role::Warn))
}

fn run_sign(theme: Theme, state: RunState) -> (&'static str, Style) {
    let (sign, ascii, style) = match state {
        RunState::Waiting => ("·", ".", theme.dim()),
        RunState::Running => ("▸", ">", theme.role(Role::Accent)),
        RunState::Finished => ("✓", "+", theme.role(Role::Good)),
        RunState::Pruned => ("↓", "v", theme.role(Role::Warn)),
        RunState::Failed => ("✗", "x", theme.role(Role::Bad)),
        RunState::Cancelled => ("–", "-", theme.dim()),
        RunState::Interrupted => ("■", "#", theme.role(Role::Warn)),
    };
    (if theme.glyphs == Glyphs::Ascii { ascii } else { sign }, style)
}

/// Of a trial that counts in nothing.
fn excluded_sign(theme: Theme) -> &'static str {
    if theme.glyphs == Glyphs::Ascii { "0" } else { "∅" }
}

/// So many rows at the top, and the rest.
fn split_top(area: Rect, rows: u16) -> [Rect; 2] {
    Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(area)
}
