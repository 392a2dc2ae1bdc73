//! One trial, a page at a time.

mod curves;
mod errors;
mod folds;
mod log;
mod parameters;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::{Zones, excluded_sign, put, put_notice, trial_state};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Run, Standing, Trial};
use crate::dashboard::message::Msg;
use crate::dashboard::model::{Model, Page, TrialMsg};
use crate::dashboard::theme::Role;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) {
    let Some((outline, ledger, trial)) = model.open_trial() else {
        let lines: &[&str] = if model.sweep.is_some() && model.ledger().is_none() {
            &["reading …"]
        } else {
            &["no trial is open", "", "2 lists them"]
        };
        put_notice(frame.buffer_mut(), area, model.theme, lines);
        return;
    };
    let [title, pages, body] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    put(frame.buffer_mut(), title, headline(model, ledger, trial, title.width));
    let pages_end = draw_pages(frame, pages, model, zones);
    draw_remarks(frame, Rect { x: pages_end, width: pages.right().saturating_sub(pages_end), ..pages }, model, trial);
    match model.trial.page {
        Page::Curves => curves::render(frame, body, model, (outline, ledger, trial), zones),
        Page::Folds => folds::render(frame, body, model, ledger, trial, zones),
        Page::Parameters => parameters::render(frame, body, model, (outline.head.key, ledger, trial)),
        Page::Errors => errors::render(frame, body, model, outline.head.key, trial, zones),
        Page::Log => log::render(frame, body, model, trial),
    }
}

fn headline<'a>(model: &Model, ledger: &Ledger, trial: &'a Trial, width: u16) -> Line<'a> {
    let theme = model.theme;
    let name = if trial.id.is_baseline() { "baseline".to_owned() } else { format!("trial {}", trial.id) };
    let (sign, style, word) = trial_state(theme, trial);
    let mut spans =
        vec![Span::styled(format!(" {name} "), theme.bold()), Span::styled(format!("{sign} {word}  "), style)];
    if let Some(score) = trial.score {
        let plus_minus = theme.plus_minus();
        spans.push(Span::styled(format::score(score), theme.bold()));
        let error = trial.score_se.map(|error| format!(" {plus_minus}{}", format::score(error)));
        spans.push(Span::styled(error.unwrap_or_default(), theme.dim()));
    } else if let Some(so_far) = trial.score_so_far() {
        spans.push(Span::styled(format!("({})", format::score(so_far)), theme.dim()));
    }
    let standing = match ledger.standing(trial) {
        Standing::Best => "  the best",
        Standing::Tied => "  not told from the best",
        Standing::Behind => "  behind the best",
        Standing::Unknown => "",
    };
    spans.push(Span::styled(standing, theme.dim()));
    if width >= 80 || trial.score.is_none() {
        spans.push(Span::styled(format!("  {}/{} folds", trial.folds_done(), ledger.folds), theme.dim()));
    }
    if width >= 80 {
        let seconds = trial.seconds(model.now).map(|seconds| format!("  {}", format::duration(seconds)));
        spans.push(Span::styled(seconds.unwrap_or_default(), theme.dim()));
    }
    if trial.excluded {
        spans.push(Span::styled(format!("  {} excluded", excluded_sign(theme)), theme.role(Role::Warn)));
    }
    if let Some(why) = &trial.why {
        let used: usize = spans.iter().map(Span::width).sum();
        let room = usize::from(width).saturating_sub(used + 3);
        spans.push(Span::styled(format!("  {}", format::fit(why, room)), theme.role(Role::Warn)));
    }
    Line::from(spans)
}

/// Its tags and its note, where the pages leave room.
fn draw_remarks(frame: &mut Frame<'_>, area: Rect, model: &Model, trial: &Trial) {
    let tags = trial.tags.iter().map(|tag| format!("[{tag}]"));
    let note = trial.note.as_ref().map(|note| format!("“{note}”"));
    let text = tags.chain(note).collect::<Vec<_>>().join(" ");
    let text = format::fit(&text, usize::from(area.width).saturating_sub(2));
    put(frame.buffer_mut(), area, Line::styled(format!("{text} "), model.theme.role(Role::Accent)).right_aligned());
}

/// Where they end.
fn draw_pages(frame: &mut Frame<'_>, area: Rect, model: &Model, zones: &mut Zones) -> u16 {
    let theme = model.theme;
    let mut x = area.x + 1;
    for page in Page::ALL {
        let key = key_of(page);
        let text = format!("{key} {}", page.title());
        let width = format::width(&text) as u16;
        let place = Rect { x, width: width.min(area.right().saturating_sub(x)), ..area };
        let style = if page == model.trial.page { theme.active() } else { theme.dim() };
        put(frame.buffer_mut(), place, Line::styled(text, style));
        zones.add(place, Msg::Trial(TrialMsg::Page(page)));
        x += width + 2;
    }
    x.min(area.right())
}

fn key_of(page: Page) -> char {
    match page {
        Page::Curves => 'c',
        Page::Folds => 'f',
        Page::Parameters => 'p',
        Page::Errors => 'e',
        Page::Log => 'o',
    }
}

/// How a fold is called: its number, with its repeat where there are several.
fn fold_name(run: &Run) -> String {
    run.fold.to_string()
}
