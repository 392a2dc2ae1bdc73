//! What a sweep has found out of its space, a page at a time.

mod contour;
mod importance;
mod overview;
mod parallel;
mod scale;
mod slice;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use super::{Zones, put, put_notice};
use crate::dashboard::feed::Study;
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Model, Panel, SearchMsg};
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::search::insight::Unknown;
use crate::store::{GivenUp, Outline, TrialState};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let Some((outline, ledger)) = model.open_sweep().zip(model.ledger()) else {
        let lines: &[&str] = if model.sweep.is_some() || model.data.outlines.is_none() {
            &["reading …"]
        } else {
            &["no sweep is open", "", "1 lists them"]
        };
        put_notice(frame.buffer_mut(), area, model.theme, lines);
        return;
    };
    let [panels, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    draw_panels(frame, panels, model, zones);
    match model.search.panel {
        Panel::Overview => overview::render(frame, body, model, (outline, ledger), zones),
        Panel::Importance => importance::render(frame, body, model, outline, zones),
        Panel::Slice => slice::render(frame, body, model, (outline, ledger)),
        Panel::Contour => contour::render(frame, body, model, (outline, ledger)),
        Panel::Parallel => parallel::render(frame, body, model, (outline, ledger), zones),
    }
}

fn draw_panels(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let theme = model.theme;
    let mut x = area.x + 1;
    for panel in Panel::ALL {
        let key = match panel {
            Panel::Overview => 'o',
            Panel::Importance => 'i',
            Panel::Slice => 's',
            Panel::Contour => 'c',
            Panel::Parallel => 'p',
        };
        let text = format!("{key} {}", panel.title());
        let width = format::width(&text) as u16;
        let place = Rect { x, width: width.min(area.right().saturating_sub(x)), ..area };
        let style = if panel == model.search.panel { theme.active() } else { theme.dim() };
        put(frame.buffer_mut(), place, Line::styled(text, style));
        zones.add(place, Msg::Search(SearchMsg::Panel(panel)));
        x += width + if area.width >= 80 { 2 } else { 1 };
    }
}

/// Why there is nothing to see: the sweep file cannot be understood, or it is still being computed. None where a model
/// can say something.
fn put_waiting(buffer: &mut Buffer, area: Rect, model: &Model, outline: &Outline) {
    match model.data.spec(outline.head.key) {
        None => put_notice(buffer, area, model.theme, &["reading …"]),
        Some(Ok(_)) => put_notice(buffer, area, model.theme, &["computing …"]),
        Some(Err(problems)) => {
            let mut lines = vec!["the sweep file of this sweep cannot be understood by this version:", ""];
            lines.extend(problems.lines());
            put_notice(buffer, area, model.theme, &lines);
        }
    }
}

fn put_unknown(buffer: &mut Buffer, area: Rect, model: &Model, why: Unknown) {
    let so_far = if matches!(why, Unknown::Few { .. } | Unknown::Flat) { " so far" } else { "" };
    let lines = [format!("nothing can be said of the parameters{so_far}:"), why.to_string()];
    put_notice(buffer, area, model.theme, &lines.each_ref().map(String::as_str));
}

/// What of the sweep is behind an answer, where it is not all: `from 200 of 9,000 trials, 12 folds ago`.
fn basis<T>(study: &Study<T>, outline: &Outline, ledger: &Ledger) -> String {
    let mut parts = Vec::new();
    if study.used < study.scored {
        parts.push(format!("from {} of {} trials, the best among them", study.used, study.scored));
    }
    let runs: usize = ledger.trials.iter().map(Trial::folds_done).sum();
    let behind = runs.saturating_sub(study.extent.runs as usize);
    if behind > 0 && outline.is_live() {
        parts.push(format!("{behind} folds ago"));
    }
    parts.join(", ")
}

/// How a trial is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Best,
    Finished,
    /// Given up in the race or between epochs.
    GivenUp,
    Failed,
    /// Waiting, running, or cancelled.
    Open,
}

impl Kind {
    fn of(ledger: &Ledger, trial: &Trial) -> Self {
        match trial.state {
            TrialState::Finished if ledger.best().is_some_and(|best| best.id == trial.id) => Self::Best,
            TrialState::Finished => Self::Finished,
            TrialState::Pruned => Self::GivenUp,
            TrialState::Failed => Self::Failed,
            TrialState::Waiting | TrialState::Running | TrialState::Cancelled => Self::Open,
        }
    }

    fn sign(self, theme: Theme) -> (&'static str, Style) {
        let (sign, ascii, style) = match self {
            Self::Best => ("★", "*", theme.role(Role::Good)),
            Self::Finished => ("•", "o", theme.series(0)),
            Self::GivenUp => ("↓", "v", theme.role(Role::Warn)),
            Self::Failed => ("✗", "x", theme.role(Role::Bad)),
            Self::Open => ("▸", ">", theme.role(Role::Accent)),
        };
        (if theme.glyphs == Glyphs::Ascii { ascii } else { sign }, style)
    }
}

/// What became of a trial, in a few words.
fn fate(trial: &Trial) -> &'static str {
    match (trial.state, trial.given_up) {
        (TrialState::Pruned, Some(GivenUp::Race)) => "raced out",
        (state, _) => super::trial_word(state),
    }
}
