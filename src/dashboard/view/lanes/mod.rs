//! Trials as lanes: what runs, what was given up, and why.

mod cell;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use super::table::{Column, GAP, Table};
use super::trials::{score, sort_sign};
use super::{Zones, bar, put, put_notice, trial_state};
use crate::dashboard::filter::Field;
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Run, Trial};
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Cell, LanesMsg, Model, cell as cell_at, id_of, samples};
use crate::dashboard::theme::{Depth, Glyphs, Role, Theme};
use crate::store::Outline;

/// From this height on the panel says more.
const TALL: u16 = 24;

/// Columns of the widest cell, with the gap after it.
const WIDEST: usize = 16;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let Some((outline, ledger)) = model.open_sweep().zip(model.ledger()) else {
        let lines: &[&str] =
            if model.sweep.is_some() { &["reading …"] } else { &["no sweep is open", "", "1 lists them"] };
        put_notice(frame.buffer_mut(), area, theme, lines);
        return;
    };
    let lanes = &model.lanes;
    let panel = if area.height >= TALL { 7 } else { 4 };
    let [title, list, panel] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(panel)]).areas(area);
    put(frame.buffer_mut(), title, headline(model, outline, title.width));
    if lanes.rows().is_empty() {
        let lines: &[&str] = if ledger.trials.is_empty() {
            &["no trial has been proposed yet"]
        } else {
            &["no trial is like that", "", "the filter is that of Trials: 2 shows it"]
        };
        put_notice(frame.buffer_mut(), list, theme, lines);
        return;
    }
    let grid = Grid::of(model, ledger, list);
    let columns = columns(model, &grid);
    let table =
        Table { theme, columns: &columns, shown: &[0, 1, 2, 3], cursor: &lanes.cursor, rows: lanes.rows().len() };
    table.render(frame, list, zones, |row, column| {
        let trial = &ledger.trials[lanes.rows()[row] as usize];
        match column {
            0 => name(model, outline, trial),
            1 => state(model, trial, list.width),
            2 if list.width < 80 => score(theme, ledger, trial).into_iter().filter(|it| !is_error(it)).collect(),
            2 => score(theme, ledger, trial),
            _ => {
                let folds = grid.places.clone();
                folds.flat_map(|place| grid.cell(model, outline, ledger, trial, place)).collect()
            }
        }
    });
    pick_out(frame, list, model, &grid, zones);
    draw_panel(frame, panel, model, outline, ledger);
}

/// The standard error of a score: where there is no room, the sign that follows says more.
fn is_error(span: &Span<'_>) -> bool {
    span.content.starts_with(" ±") || span.content.starts_with(" +-")
}

/// Where the cells are.
struct Grid {
    /// Of the first one.
    x: u16,
    /// Columns from one to the next.
    step: usize,
    /// Places that are seen.
    places: std::ops::Range<usize>,
    name: u16,
    state: u16,
    score: u16,
}

impl Grid {
    fn of(model: &Model, ledger: &Ledger, area: Rect) -> Self {
        let is_wide = area.width >= 80;
        let (state, score) = if is_wide { (11, 18) } else { (1, 8) };
        let name = if ledger.baseline().is_some() { 8 } else { 7 };
        let x = area.x + 1 + name + state + score + 3 * GAP;
        // the scrollbar has the last column
        let room = usize::from(area.right().saturating_sub(x + 2));
        let folds = model.lanes.shape.folds.max(1);
        let step = (room / folds).clamp(1, WIDEST);
        let seen = (room / step).min(folds);
        let first = model.lanes.place().saturating_sub(seen / 2).min(folds - seen);
        Self { x, step, places: first..first + seen, name, state, score }
    }

    /// Columns of a cell itself.
    fn width(&self) -> usize {
        self.step.saturating_sub(1).max(1)
    }

    fn columns(&self) -> u16 {
        (self.places.len() * self.step) as u16
    }

    fn cell<'a>(
        &self,
        model: &Model,
        outline: &Outline,
        ledger: &Ledger,
        trial: &Trial,
        place: usize,
    ) -> Vec<Span<'a>> {
        let shape = model.lanes.shape;
        let cell = cell_at(trial, shape.fold(place));
        let live = match cell {
            Cell::Run(run) if run.epochs.is_none() => {
                let measured = samples(&model.data, outline, trial, run).last().map(|sample| sample.epoch);
                let all = model.progress(id_of(trial, run)).map(|progress| progress.epochs).filter(|all| *all > 0);
                measured.map(|epoch| (epoch, all))
            }
            _ => None,
        };
        let mut spans = cell::draw(model, ledger, cell, live, self.width());
        spans.push(Span::raw(" ".repeat(self.step - self.width())));
        spans
    }

    /// Numbers of the folds above their cells, as many as there is room for.
    fn title(&self, model: &Model) -> String {
        let mut title = String::new();
        for (index, place) in self.places.clone().enumerate() {
            let gap = (index * self.step).checked_sub(title.len());
            let label = model.lanes.shape.fold(place).to_string();
            let fits = index == 0 || gap.is_some_and(|gap| gap > 0 || self.step > label.len());
            if let (Some(gap), true) = (gap, fits) {
                title.push_str(&" ".repeat(gap));
                title.push_str(&label);
            }
        }
        title
    }
}

fn columns(model: &Model, grid: &Grid) -> Vec<Column> {
    let titled = |title: &str, field: Field| {
        let sign = if model.lanes.sort == field { sort_sign(model.theme, model.lanes.is_reversed) } else { "" };
        format!("{title}{sign}")
    };
    // a sign alone has no room for a title
    let state = if grid.state > 1 { titled("state", Field::State) } else { String::new() };
    let sorts = |column: Column, field| column.on_click(Msg::Lanes(LanesMsg::Sort(field)));
    vec![
        sorts(Column::right(titled("trial", Field::Trial), grid.name, 255), Field::Trial),
        sorts(Column::left(state, grid.state, 255), Field::State),
        sorts(Column::left(titled("score", Field::Score), grid.score, 255), Field::Score),
        Column::left(grid.title(model), grid.columns(), 255),
    ]
}

fn name<'a>(model: &Model, outline: &Outline, trial: &Trial) -> Vec<Span<'a>> {
    let theme = model.theme;
    let is_marked = model.marks.contains(&(outline.head.key, trial.id));
    if trial.id.is_baseline() {
        return vec![Span::styled("baseline", if is_marked { theme.active() } else { theme.text() })];
    }
    let sign = if theme.glyphs == Glyphs::Ascii { "* " } else { "● " };
    let mark = Span::styled(if is_marked { sign } else { "" }, theme.role(Role::Accent));
    vec![mark, Span::styled(trial.id.to_string(), if is_marked { theme.active() } else { theme.text() })]
}

fn state<'a>(model: &Model, trial: &Trial, width: u16) -> Vec<Span<'a>> {
    let theme = model.theme;
    let (sign, style, word) = trial_state(theme, trial);
    let text = if width >= 80 { format!("{sign} {word}") } else { sign.to_owned() };
    vec![Span::styled(text, style)]
}

/// How many run, how they are sorted, and what the signs mean.
fn headline<'a>(model: &Model, outline: &Outline, width: u16) -> Line<'a> {
    let (theme, lanes) = (model.theme, &model.lanes);
    let order = match (lanes.sort, lanes.is_reversed) {
        (Field::Trial, true) => "the newest first",
        (Field::Trial, false) => "the oldest first",
        (Field::Score, false) => "the best first",
        (Field::Score, true) => "the worst first",
        (_, false) => "what runs first",
        (_, true) => "what runs last",
    };
    let filter = model.trials.filter.text();
    let only = if filter.is_empty() { String::new() } else { format!(" where {filter}") };
    let mut spans = vec![
        Span::styled(format!(" {}{only}", format::counted(lanes.rows().len(), "trial")), theme.bold()),
        Span::styled(format!(", {order}"), theme.dim()),
    ];
    if !outline.under_way().is_empty() {
        spans.push(Span::styled(
            format!(", {} running", format::counted(outline.under_way().len(), "fold")),
            theme.role(Role::Accent),
        ));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let legend = cell::legend(theme);
    let room = usize::from(width).saturating_sub(used + 2);
    let mut taken = 0;
    let seen: Vec<(Span<'_>, Span<'_>)> = legend
        .into_iter()
        .take_while(|(sign, word)| {
            taken += sign.width() + word.width();
            taken <= room
        })
        .collect();
    let taken: usize = seen.iter().map(|(sign, word)| sign.width() + word.width()).sum();
    spans.push(Span::raw(" ".repeat(usize::from(width).saturating_sub(used + taken))));
    spans.extend(seen.into_iter().flat_map(|(sign, word)| [sign, word]));
    Line::from(spans)
}

/// The cell under the cursor stands out, and each can be clicked.
fn pick_out(frame: &mut Frame<'_>, area: Rect, model: &Model, grid: &Grid, zones: &mut Zones) {
    let lanes = &model.lanes;
    let seen = lanes.cursor.window(lanes.rows().len(), usize::from(area.height.saturating_sub(1)));
    // where the row is reversed itself, the cell must be told otherwise
    let style = match model.theme.depth {
        Depth::Mono | Depth::Sixteen => {
            Style::new().remove_modifier(Modifier::REVERSED).add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        }
        Depth::Indexed | Depth::True => Style::new().add_modifier(Modifier::REVERSED),
    };
    for (y, row) in (area.y + 1..).zip(seen) {
        for (index, place) in grid.places.clone().enumerate() {
            let x = grid.x + (index * grid.step) as u16;
            let cell = Rect { x, y, width: grid.width() as u16, height: 1 };
            if row == lanes.cursor.selected() && place == lanes.place() {
                frame.buffer_mut().set_style(cell, style);
            }
            zones.add(cell, Msg::Lanes(LanesMsg::At { row, place }));
        }
    }
}

/// What lies under the cursor, in words.
fn draw_panel(frame: &mut Frame<'_>, area: Rect, model: &Model, outline: &Outline, ledger: &Ledger) {
    let theme = model.theme;
    let Some((trial, cell)) = model.lanes.under(ledger) else { return };
    let fold = model.lanes.shape.fold(model.lanes.place());
    let name = if trial.id.is_baseline() { "baseline".to_owned() } else { format!("trial {}", trial.id) };
    let (sign, style, word) = cell::state(theme, cell);
    let attempt = match cell {
        Cell::Run(run) if run.attempt > 1 => format!(", attempt {}", run.attempt),
        _ => String::new(),
    };
    let mut spans = vec![
        Span::styled(format!(" {name}, fold {fold}{attempt} "), theme.bold()),
        Span::styled(format!("{sign} {word}"), style),
    ];
    let particulars = match cell {
        Cell::Run(run) => particulars(model, outline, trial, run),
        _ => Vec::new(),
    };
    let is_wide = area.width >= 80;
    if is_wide {
        spans.extend(particulars.iter().map(|part| Span::styled(format!(", {part}"), theme.dim())));
    }
    let mut lines = vec![Line::from(spans)];
    if !is_wide && !particulars.is_empty() {
        lines.push(Line::styled(format!(" {}", particulars.join(", ")), theme.dim()));
    }
    let is_best = ledger.best().is_some_and(|best| best.id == trial.id);
    let standing = if is_best { ", the best" } else { "" };
    let folds = format!("{} of {} folds finished", trial.folds_done(), ledger.folds);
    if is_wide || particulars.is_empty() {
        lines.push(Line::styled(format!(" {name} {}{standing}: {folds}", word_of_trial(theme, trial)), theme.dim()));
    }
    let run_why = match cell {
        Cell::Run(run) => run.why.as_deref(),
        _ => None,
    };
    if let Some(curve) = curve(model, outline, trial, cell, area.width)
        && (run_why.or(trial.why.as_deref()).is_none() || area.height > 4)
    {
        lines.push(curve);
    }
    let used = (lines.len() as u16).min(area.height);
    for (row, line) in area.rows().zip(lines) {
        put(frame.buffer_mut(), row, line);
    }
    let mut reasons = Vec::new();
    if let Some(why) = run_why {
        reasons.push(format!("fold {fold}: {why}"));
    }
    if let Some(why) = trial.why.as_deref().filter(|why| run_why.is_none_or(|of_run| !why.contains(of_run))) {
        reasons.push(format!("{name}: {why}"));
    }
    let rest =
        Rect { x: area.x + 1, y: area.y + used, width: area.width.saturating_sub(2), height: area.height - used };
    let reasons = reasons.join("\n").replace('\r', "");
    Paragraph::new(reasons).style(theme.role(Role::Warn)).wrap(Wrap { trim: true }).render(rest, frame.buffer_mut());
}

fn word_of_trial(theme: Theme, trial: &Trial) -> String {
    let score = trial.score_so_far().map(|score| format!(" with {}", format::score(score))).unwrap_or_default();
    format!("is {}{score}", trial_state(theme, trial).2)
}

/// Score, epochs, time and place of a run.
fn particulars(model: &Model, outline: &Outline, trial: &Trial, run: &Run) -> Vec<String> {
    let live = samples(&model.data, outline, trial, run);
    let mut parts = Vec::new();
    let so_far = || {
        let values = live.iter().map(|sample| sample.value).filter(|value| value.is_finite());
        values.reduce(|best, value| if outline.direction.better(value, best) { value } else { best })
    };
    if let Some(score) = run.score {
        parts.push(format!("{} {}", outline.objective, format::score(score)));
    } else if let Some(score) = so_far() {
        parts.push(format!("{} {} so far", outline.objective, format::score(score)));
    }
    let epochs = run.epochs.or_else(|| live.last().map(|sample| sample.epoch)).filter(|epochs| *epochs > 0);
    match (run.best_epoch, epochs) {
        (Some(best), Some(epochs)) => parts.push(format!("epoch {best} of {epochs}")),
        (None, Some(epochs)) => parts.push(format!("epoch {epochs}")),
        _ => {}
    }
    parts.extend(run.seconds(model.now).map(format::duration));
    parts.extend(run.device.as_deref().map(str::to_owned));
    parts.extend(run.slot.map(|slot| format!("slot {slot}")));
    parts.extend(run.host.as_deref().map(|host| format!("on {host}")));
    parts
}

/// The objective of the run under the cursor, epoch by epoch.
fn curve<'a>(model: &Model, outline: &Outline, trial: &Trial, cell: Cell<'_>, width: u16) -> Option<Line<'a>> {
    let theme = model.theme;
    let Cell::Run(run) = cell else { return None };
    let values: Vec<f64> = samples(&model.data, outline, trial, run).iter().map(|sample| sample.value).collect();
    let (first, last) = (values.first()?, values.last()?);
    let (first, last) = (format::score(*first), format::score(*last));
    let used = format::width(&outline.objective) + first.len() + last.len() + 8;
    let room = usize::from(width).saturating_sub(used).min(60);
    // of more epochs than there is room for, the last of each part
    let parts = values.len().min(room);
    let kept: Vec<f64> = (1..=parts).map(|part| values[part * values.len() / parts - 1]).collect();
    Some(Line::from(vec![
        Span::styled(format!(" {} {first} ", outline.objective), theme.dim()),
        Span::styled(bar::sparkline(theme, &kept), theme.role(Role::Accent)),
        Span::styled(format!(" {last}"), theme.dim()),
    ]))
}
