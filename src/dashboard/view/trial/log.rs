//! The end of what a run has printed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::dashboard::format;
use crate::dashboard::ledger::Trial;
use crate::dashboard::model::{Model, id_of};
use crate::dashboard::view::{put, put_notice, split_top};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, trial: &Trial) {
    let theme = model.theme;
    let Some(run) = model.trial.run(trial) else {
        put_notice(frame.buffer_mut(), area, theme, &["no run of it has been started yet"]);
        return;
    };
    let id = id_of(trial, run);
    let Some(tail) = model.data.log(id) else {
        put_notice(frame.buffer_mut(), area, theme, &["reading …"]);
        return;
    };
    let [title, body] = split_top(area, 1);
    let room = usize::from(body.height);
    let above = model.trial.above_end.min(tail.lines.len().saturating_sub(room));
    let place = match (above, run.is_running()) {
        (0, true) => "follows".to_owned(),
        (0, false) => "its end".to_owned(),
        (_, true) => format!("{above} lines below, G follows"),
        (_, false) => format!("{above} lines below"),
    };
    let path = format::fit_end(&tail.path.display().to_string(), usize::from(title.width).saturating_sub(40));
    let spans = vec![
        Span::styled(format!(" run {id}"), theme.bold()),
        Span::styled(format!("  {path}  {place}  ← → fold"), theme.dim()),
    ];
    put(frame.buffer_mut(), title, Line::from(spans));
    if let Some(problem) = &tail.problem {
        put_notice(frame.buffer_mut(), body, theme, &["the log cannot be read", problem]);
        return;
    }
    if tail.lines.is_empty() {
        put_notice(frame.buffer_mut(), body, theme, &["it has printed nothing"]);
        return;
    }
    let end = tail.lines.len() - above;
    for (row, line) in body.rows().zip(&tail.lines[end.saturating_sub(room)..end]) {
        put(
            frame.buffer_mut(),
            row,
            Line::raw(format!(" {}", format::fit(line, usize::from(row.width).saturating_sub(2)))),
        );
    }
}
