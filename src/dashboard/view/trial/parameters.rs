//! The parameters of a trial beside those of the best one, and the command that repeats it.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Trial};
use crate::dashboard::model::{Model, repeating};
use crate::dashboard::theme::{Glyphs, Role, Theme};
use crate::dashboard::view::trials::short_name;
use crate::dashboard::view::{put, put_notice, split_top};
use crate::store::SweepKey;

pub(super) fn render(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    (sweep, ledger, trial): (SweepKey, &Ledger, &Trial),
) {
    let theme = model.theme;
    let best = ledger.best().filter(|best| best.id != trial.id);
    if trial.id.is_baseline() {
        put_notice(frame.buffer_mut(), area, theme, &["TF-IDF and a linear model: it has no parameters of the space"]);
        return;
    }
    let rows = (ledger.parameters.len() as u16 + 2).min(area.height.saturating_sub(5));
    let [table, below] = split_top(area, rows);
    let seen = model.trial.parameters.view(ledger.parameters.len(), usize::from(rows.saturating_sub(1)));
    let name = ledger
        .parameters
        .iter()
        .map(|name| format::width(name))
        .max()
        .unwrap_or(0)
        .clamp(9, usize::from(area.width) / 2);
    let value = (usize::from(area.width).saturating_sub(name + 8) / 2).min(30);
    let own = format!("trial {}", trial.id);
    let of_best = best.map(|best| format!("trial {}, the best", best.id)).unwrap_or_default();
    let title = format!("   {:<name$}  {own:<value$}  {of_best}", "parameter");
    put(frame.buffer_mut(), table, Line::styled(format::fit(&title, table.width.into()), theme.dim()));
    for (row, index) in table.rows().skip(1).zip(seen.clone()) {
        let (sign, style) = sign_of(theme, ledger, trial, index);
        let key = format::fit_end(&ledger.parameters[index], name);
        let of_best = best.map(|best| format::setting(best.setting(index))).unwrap_or_default();
        let own = format::fit(&format::setting(trial.setting(index)), value);
        let pad = |text: &str, width: usize| " ".repeat(width.saturating_sub(format::width(text)) + 2);
        let spans = vec![
            Span::styled(format!(" {sign} "), style),
            Span::raw(format!("{key}{}", pad(&key, name))),
            Span::styled(format!("{own}{}", pad(&own, value)), style),
            Span::styled(format::fit(&of_best, value), theme.dim()),
        ];
        put(frame.buffer_mut(), row, Line::from(spans));
    }
    let [title, command] = split_top(below, 1);
    put(frame.buffer_mut(), title, Line::styled(" to run it once more (Y copies)", theme.dim()));
    if seen.len() < ledger.parameters.len() {
        let text = format!("{} to {} of {}, ↑ ↓ ", seen.start + 1, seen.end, ledger.parameters.len());
        put(frame.buffer_mut(), title, Line::styled(text, theme.dim()).right_aligned());
    }
    let text = model.data.record(sweep).map(|record| repeating(record, ledger, trial));
    let command = Rect { x: command.x + 1, width: command.width.saturating_sub(2), ..command };
    Paragraph::new(text.unwrap_or_default()).wrap(Wrap { trim: true }).render(command, frame.buffer_mut());
}

/// What differs from the best trial stands out.
fn sign_of(theme: Theme, ledger: &Ledger, trial: &Trial, index: usize) -> (&'static str, Style) {
    let differs = ledger.best().is_some_and(|best| best.setting(index) != trial.setting(index));
    match (differs, theme.glyphs) {
        (true, Glyphs::Ascii) => ("*", theme.role(Role::Accent)),
        (true, _) => ("≠", theme.role(Role::Accent)),
        (false, _) => (" ", theme.text()),
    }
}

/// The last part of each name, and its value.
pub(super) fn compact(frame: &mut Frame<'_>, area: Rect, model: &Model, ledger: &Ledger, trial: &Trial) {
    let theme = model.theme;
    let best = ledger.best().filter(|best| best.id != trial.id);
    let title = best.map_or_else(
        || " parameters".to_owned(),
        |best| {
            format!(
                " parameters, {} as in trial {}",
                if theme.glyphs == Glyphs::Ascii { "not *" } else { "not ≠" },
                best.id
            )
        },
    );
    put(frame.buffer_mut(), area, Line::styled(title, theme.dim()));
    let names: Vec<String> = (0..ledger.parameters.len()).map(|index| short_name(ledger, index, 18)).collect();
    let name = names.iter().map(|name| format::width(name)).max().unwrap_or(0);
    for (row, index) in
        area.rows().skip(1).take(usize::from(area.height).saturating_sub(2)).zip(0..ledger.parameters.len())
    {
        let (sign, style) = sign_of(theme, ledger, trial, index);
        let key = &names[index];
        let gap = " ".repeat(name - format::width(key) + 2);
        let room = usize::from(row.width).saturating_sub(name + 5);
        let spans = vec![
            Span::styled(format!(" {sign} "), style),
            Span::styled(format!("{key}{gap}"), theme.dim()),
            Span::styled(format::fit(&format::setting(trial.setting(index)), room), style),
        ];
        put(frame.buffer_mut(), row, Line::from(spans));
    }
}
