//! Numbers, times and texts in the room that there is.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::ledger::Setting;
use crate::store::Millis;

/// Four decimals where they say something: `0.9412`, `12.345`, `3.20e-5`.
pub(super) fn score(score: f64) -> String {
    let size = score.abs();
    if !score.is_finite() {
        "NaN".to_owned()
    } else if size >= 1e6 || (size > 0.0 && size < 1e-3) {
        format!("{score:.2e}")
    } else {
        format!(
            "{score:.*}",
            if size < 10.0 {
                4
            } else if size < 1000.0 {
                3
            } else {
                1
            }
        )
    }
}

/// A number as one would write it: `0.001`, `3e-5`, `64`.
pub(crate) fn number(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{number:.3e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if digits.contains('.') => {
                format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        };
    }
    if number.fract() == 0.0 {
        return format!("{number}");
    }
    let decimals = (4 - size.log10().floor() as i32).clamp(0, 7) as usize;
    format!("{number:.decimals$}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn setting(setting: &Setting) -> String {
    match setting {
        Setting::Absent => "-".to_owned(),
        Setting::Number(value) => number(*value),
        Setting::Truth(truth) => truth.to_string(),
        Setting::Text(text) => text.to_string(),
    }
}

/// At most six columns: `4.2s`, `59s`, `3m12s`, `2h03m`, `5d04h`.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1}s"),
        10..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..=86_399 => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// How long ago, in one unit: `now`, `5m`, `3h`, `12d`.
pub(super) fn age(then: Millis, now: Millis) -> String {
    match (now.0 - then.0).max(0) / 60_000 {
        0 => "now".to_owned(),
        minutes @ 1..60 => format!("{minutes}m ago"),
        minutes @ 60..1440 => format!("{}h ago", minutes / 60),
        minutes => format!("{}d ago", minutes / 1440),
    }
}

/// Of a test, as it follows a p: `= 0.034`, `< 0.001`.
pub(super) fn chance(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("= {p:.3}") }
}

/// `1 fold`, `5 folds`
pub(crate) fn counted(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

/// Columns that a text takes on the screen.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// What would break a line, or do worse to a terminal, is a blank.
pub(super) fn in_a_line(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

/// Cut to so many columns, with a mark where something is missing.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = &*in_a_line(text);
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for letter in text.chars() {
        let wide = letter.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        kept.push(letter);
        used += wide;
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Cut in front: of paths and dotted keys the end says most.
pub(super) fn fit_end(text: &str, columns: usize) -> String {
    let text = &*in_a_line(text);
    if text.width() <= columns {
        return text.to_owned();
    }
    let (mut kept, mut used) = (Vec::new(), 0);
    for letter in text.chars().rev() {
        let wide = letter.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        kept.push(letter);
        used += wide;
    }
    let end: String = kept.into_iter().rev().collect();
    if columns > 0 { format!("…{end}") } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let scores = [0.94118, 12.34567, 1234.56, 0.000_032, 0.0, f64::NAN].map(score).join(" | ");
        assert_eq!(scores, "0.9412 | 12.346 | 1234.6 | 3.20e-5 | 0.0000 | NaN");
        let numbers = [0.001, 3e-5, 64.0, 0.1 + 0.2, 1.5e9, -2.0, 0.0].map(number).join(" | ");
        assert_eq!(numbers, "0.001 | 3e-5 | 64 | 0.3 | 1.5e9 | -2 | 0");
        let times = [0.04, 59.4, 61.0, 7_400.0, 400_000.0].map(duration).join(" | ");
        assert_eq!([0.0342, 0.000_4].map(chance).join(" | "), "= 0.034 | < 0.001");
        assert_eq!(times, "0.0s | 59s | 1m01s | 2h03m | 4d15h");
    }

    #[test]
    fn texts_are_cut_by_columns_not_by_letters() {
        assert_eq!(fit("裁判文书", 8), "裁判文书");
        assert_eq!(fit("裁判文书", 7), "裁判文…");
        assert_eq!(fit("裁判文书", 6), "裁判…");
        assert_eq!(fit_end("model.aggregator.layers", 10), "…or.layers");
        assert_eq!(fit("Traceback\n  line 1", 12), "Traceback  …");
    }
}
