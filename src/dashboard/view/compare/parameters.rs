//! In which parameters they differ.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Grid, style_of};
use crate::dashboard::filter::end_of;
use crate::dashboard::format;
use crate::dashboard::ledger::Setting;
use crate::dashboard::model::{Lineup, Model};
use crate::dashboard::view::{put, split_top};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, model: &Model, lineup: &Lineup<'_>) {
    let theme = model.theme;
    let names = lineup.parameters(model.compare.shows_all);
    let grid = Grid::of(model, lineup, area.width, longest(&names, area.width), cell(lineup));
    let [title, body] = split_top(area, 1);
    let all = lineup.parameters(true).len();
    let text =
        if model.compare.shows_all { "parameter".to_owned() } else { format!("{} of {all} differ", names.len()) };
    put(frame.buffer_mut(), title, grid.title(model, lineup, &text));
    if names.is_empty() {
        put(frame.buffer_mut(), body, Line::styled(" none differs; a shows all", theme.dim()));
        return;
    }
    let reference = &lineup.all[lineup.reference];
    Grid::render(frame, body, model, names.len(), |row| {
        let name = names[row];
        let shown = if body.width < 80 { end_of(name) } else { name };
        grid.row(theme, shown, |n| {
            let setting = lineup.all[n].setting(name);
            let text = format::fit(&format::setting(setting), grid.cell);
            let differs = setting != reference.setting(name);
            let style = match (setting, differs) {
                (Setting::Absent, _) => theme.faint(),
                (_, true) => style_of(theme, model, n),
                (_, false) => theme.dim(),
            };
            vec![Span::styled(text, style)]
        })
    });
}

/// Columns that it needs beside something else, at most so many.
pub(super) fn width(lineup: &Lineup<'_>, most: u16) -> u16 {
    let names = lineup.parameters(false);
    // narrow, parameters go by the ends of their names
    let name = longest(&names, 0);
    let needed = name + 2 + lineup.all.len() * (cell(lineup) + 2);
    (needed as u16).clamp(30, most)
}

fn longest(names: &[&str], width: u16) -> usize {
    let shown = |name: &&str| format::width(if width < 80 { end_of(name) } else { name });
    names.iter().map(shown).max().unwrap_or(0).max(14)
}

/// Columns of the longest value.
fn cell(lineup: &Lineup<'_>) -> usize {
    let names = lineup.parameters(true);
    let values = lineup.all.iter().flat_map(|it| names.iter().map(|name| format::setting(it.setting(name))));
    values.map(|value| format::width(&value)).max().unwrap_or(0).clamp(7, 16)
}
