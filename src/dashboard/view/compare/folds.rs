//! Scores fold by fold, each less that of the reference.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::{Grid, chance, difference, style_of};
use crate::dashboard::format;
use crate::dashboard::model::{Lineup, Model};
use crate::dashboard::view::{put, run_sign};
use crate::store::RunState;
use crate::sweep::FoldId;

/// Columns of a score with its difference, and of one alone.
const BOTH: usize = 15;
const ALONE: usize = 7;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>) {
    let theme = model.theme;
    let folds = lineup.folds();
    let has_room = lineup.all.len() * (BOTH + 2) + 12 <= area.width.into();
    let grid = Grid::of(model, lineup, area.width, 10, if has_room { BOTH } else { ALONE });
    let sums = area.height.saturating_sub(2).min(4);
    let list = (folds.len() as u16).min(area.height.saturating_sub(sums + 1));
    let [title, body, sum] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(list), Constraint::Fill(1)]).areas(area);
    put(frame.buffer_mut(), title, grid.title(model, lineup, "fold"));
    Grid::render(frame, body, model, folds.len(), |row| {
        let name = folds[row].to_string();
        grid.row(theme, &name, |n| cell(model, lineup, folds[row], n, has_room))
    });
    let pairs: Vec<_> = lineup.all.iter().map(|it| model.compare.against(lineup, it)).collect();
    let paired = |n: usize| pairs[n].as_ref().ok().and_then(Option::as_ref).filter(|_| n != lineup.reference);
    let reference = &lineup.all[lineup.reference];
    let lines = [
        grid.row(theme, "mean", |n| {
            let score = lineup.all[n].trial.score_so_far().map(format::score);
            vec![Span::styled(score.unwrap_or_default(), style_of(theme, model, n))]
        }),
        grid.row(theme, "difference", |n| {
            paired(n).map(|it| difference(theme, reference, it.difference)).unwrap_or_default()
        }),
        grid.row(theme, "its se", |n| {
            let error = paired(n).and_then(|it| it.difference_se).map(format::score);
            vec![Span::styled(error.unwrap_or_default(), theme.dim())]
        }),
        grid.row(theme, "p", |n| paired(n).and_then(|it| it.p).map(|p| vec![chance(theme, p)]).unwrap_or_default()),
    ];
    let notes = [
        "",
        " paired over the folds, corrected for their overlap",
        " of one pair at a time: among many, some differ by chance",
    ];
    // what does not fit is left out: docs say it too
    let notes = notes.into_iter().filter(|note| format::width(note) <= area.width.into());
    let lines = lines.into_iter().chain(notes.map(|note| Line::styled(note, theme.dim())));
    for (row, line) in sum.rows().zip(lines) {
        put(frame.buffer_mut(), row, line);
    }
}

fn cell<'a>(model: &Model, lineup: &Lineup<'_>, fold: FoldId, n: usize, has_room: bool) -> Vec<Span<'a>> {
    let theme = model.theme;
    let finished = |n: usize| {
        let run = lineup.all[n].trial.newest_run(fold)?;
        run.score.filter(|_| run.state == RunState::Finished)
    };
    let Some(score) = finished(n) else {
        let (sign, style) =
            run_sign(theme, lineup.all[n].trial.newest_run(fold).map_or(RunState::Waiting, |run| run.state));
        return vec![Span::styled(sign, style)];
    };
    let mut spans = vec![Span::styled(format::score(score), style_of(theme, model, n))];
    let it = &lineup.all[n];
    let of_pair = finished(lineup.reference).filter(|_| n != lineup.reference && has_room);
    if let (Some(of_reference), Ok(_)) = (of_pair, model.compare.against(lineup, it)) {
        spans.push(Span::raw(" "));
        spans.extend(difference(theme, &lineup.all[lineup.reference], score - of_reference));
    } else if has_room {
        spans.push(Span::raw(" ".repeat(8)));
    }
    spans
}
