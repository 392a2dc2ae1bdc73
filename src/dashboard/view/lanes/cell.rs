//! One fold of a lane: its epochs as a bar, its score as colour and height, its state as a sign.

use std::borrow::Cow;

use ratatui::style::Style;
use ratatui::text::Span;

use crate::dashboard::format;
use crate::dashboard::ledger::Ledger;
use crate::dashboard::model::{Cell, Model};
use crate::dashboard::theme::{Glyphs, Theme};
use crate::dashboard::view::trials::fold;
use crate::dashboard::view::{bar, raced_out, run_sign};
use crate::store::RunState;

/// From this width on a cell has words too, of so many columns.
const WORDY: usize = 11;
const WORDS: usize = 8;

/// From this width on there is room between its bar and its sign.
const GAPPED: usize = 5;

/// A cell of so many columns; `live` is the epoch that a run without an end of its own has measured last, and how many it
/// is to have, where its coordinator says so.
pub(super) fn draw<'a>(
    model: &Model,
    ledger: &Ledger,
    cell: Cell<'_>,
    live: Option<(u32, Option<u32>)>,
    width: usize,
) -> Vec<Span<'a>> {
    let theme = model.theme;
    let look = look(model, ledger, cell, live);
    // a full bar and the height after it would look like one
    let (gap, words) = if width >= WORDY { (0, WORDS) } else { (usize::from(width >= GAPPED), 1) };
    let track = width - gap - words;
    let mut spans = match look.part {
        Some(part) => {
            let bar = bar::length(theme, part, track);
            let rest = track - format::width(&bar);
            let rail = if theme.glyphs == Glyphs::Ascii { "." } else { "─" };
            vec![Span::styled(bar, look.of_bar), Span::styled(rail.repeat(rest), theme.faint())]
        }
        None => vec![Span::raw(" ".repeat(track))],
    };
    if width >= WORDY {
        let text = format!(" {} {}", look.sign, look.word);
        spans.push(Span::styled(format!("{:<WORDS$}", format::fit(&text, WORDS)), look.of_sign));
    } else {
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(look.sign, look.of_sign));
    }
    spans
}

struct Look {
    /// Epochs, as a part of the longest run; none where nothing has run.
    part: Option<f64>,
    of_bar: Style,
    sign: Cow<'static, str>,
    of_sign: Style,
    /// At most five columns.
    word: String,
}

fn look(model: &Model, ledger: &Ledger, cell: Cell<'_>, live: Option<(u32, Option<u32>)>) -> Look {
    let theme = model.theme;
    let (sign, style, _) = state(theme, cell);
    let Cell::Run(run) = cell else {
        return Look { part: None, of_bar: style, sign: sign.into(), of_sign: style, word: String::new() };
    };
    let part = |epochs: u32| Some(model.lanes.shape.part(epochs));
    let going = |sign: &'static str, (epochs, all): (Option<u32>, Option<u32>)| Look {
        part: match (epochs, all) {
            (Some(epochs), Some(all)) => Some(f64::from(epochs) / f64::from(all)),
            _ => part(epochs.unwrap_or(0)),
        },
        of_bar: style,
        sign: sign.into(),
        of_sign: style,
        word: epochs.map(|epochs| format!("ep {epochs}")).unwrap_or_default(),
    };
    match run.state {
        RunState::Finished => {
            let grade = fold(theme, ledger, run.state, run.score, ledger.score_range());
            let word = run.score.map(short).unwrap_or_default();
            Look {
                part: run.epochs.and_then(part),
                of_bar: grade.style,
                sign: grade.content,
                of_sign: grade.style,
                word,
            }
        }
        RunState::Running => {
            // it breathes with the seconds
            let is_even = (model.now.0 / 1000) % 2 == 0;
            let sign = match (theme.glyphs, is_even) {
                (_, true) => sign,
                (Glyphs::Ascii, false) => "-",
                (_, false) => "▹",
            };
            going(sign, (live.map(|(epoch, _)| epoch), live.and_then(|(_, all)| all)))
        }
        _ => going(sign, (run.epochs.or(live.map(|(epoch, _)| epoch)), None)),
    }
}

/// In five columns, rounded, and without the zero in front, which says nothing: `.7412`, `12.35`, `-.071`, `3e-5`.
fn short(score: f64) -> String {
    let size = score.abs();
    if !score.is_finite() {
        return format::score(score);
    }
    if size >= 99_999.5 || (size > 0.0 && size < 1e-3) {
        return format!("{score:.0e}");
    }
    let with = |decimals: usize| {
        let text = format!("{score:.decimals$}");
        match text.strip_prefix("-0.") {
            Some(rest) => format!("-.{rest}"),
            None => text.strip_prefix("0.").map_or_else(|| text.clone(), |rest| format!(".{rest}")),
        }
    };
    (0..=4).rev().map(with).find(|text| text.len() <= 5).unwrap_or_else(|| format!("{score:.0e}"))
}

/// The sign of a cell, its colour, and its word.
pub(super) fn state(theme: Theme, cell: Cell<'_>) -> (&'static str, Style, &'static str) {
    let never = if theme.glyphs == Glyphs::Ascii { " " } else { "╌" };
    match cell {
        Cell::Run(run) => {
            let (sign, style) = run_sign(theme, run.state);
            (sign, style, word(run.state))
        }
        Cell::Waiting => {
            let (sign, style) = run_sign(theme, RunState::Waiting);
            (sign, style, "waiting")
        }
        Cell::RacedOut => {
            let (sign, style) = raced_out(theme);
            (sign, style, "not run: its trial is raced out")
        }
        Cell::NotRun => (never, theme.faint(), "not run: its trial has ended"),
    }
}

fn word(state: RunState) -> &'static str {
    match state {
        RunState::Waiting => "waiting",
        RunState::Running => "running",
        RunState::Finished => "finished",
        RunState::Pruned => "pruned",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Interrupted => "interrupted",
    }
}

/// What the signs mean, the least obvious first.
pub(super) fn legend<'a>(theme: Theme) -> Vec<(Span<'a>, Span<'a>)> {
    let of = |(sign, style): (&'static str, Style), word: &'static str| {
        (Span::styled(sign, style), Span::styled(format!(" {word}  "), theme.dim()))
    };
    vec![
        of(raced_out(theme), "raced out"),
        of(run_sign(theme, RunState::Pruned), "pruned"),
        of(run_sign(theme, RunState::Running), "running"),
        of(run_sign(theme, RunState::Failed), "failed"),
        of(run_sign(theme, RunState::Cancelled), "cancelled"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_rounded_into_their_cell() {
        let scores =
            [0.741_25, 0.999_96, 12.345, -0.0714, 1234.56, 99_999.0, 123_456.0, 3.2e-5, 0.0, -12_345.6, f64::NAN];
        let texts = scores.map(short);
        assert_eq!(texts.join(" "), ".7412 1.000 12.35 -.071 1235 99999 1e5 3e-5 .0000 -1e4 NaN");
        assert!(texts.iter().all(|text| text.len() <= 5));
    }
}
