//! Tables, numbers and times for people.

use std::fmt::Write;
use std::io::IsTerminal;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::print::outln;
use crate::dashboard::format;
use crate::failure::{Code, Failure};
use crate::store::{LeaderboardRow, SweepRow};

/// A plain table; columns of numbers are aligned to the right.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|name| (*name).to_owned()));
    for row in rows {
        table.add_row(row.clone());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let numeric = |cell: &String| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if !rows.is_empty() && rows.iter().all(|row| row.get(index).is_none_or(numeric)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Prints what a program reads.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(Code::Broken, error.to_string()))?;
    outln!("{text}");
    Ok(())
}

/// `0.9412`
pub(super) fn score(score: Option<f64>) -> String {
    score.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"))
}

/// `0.9412 ± 0.0061`
pub(super) fn score_with_error(score: Option<f64>, error: Option<f64>) -> String {
    match (score, error) {
        (Some(score), Some(error)) => format!("{score:.4} ± {error:.4}"),
        (score, _) => self::score(score),
    }
}

/// `2h 03m`, `3m 12s`, `4.2s`
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1}s"),
        10..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// A value of a parameter without quotes.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Ranks, scores and parameters; `=` marks those that cannot be told from the best.
pub(super) fn leaderboard(objective: &str, rows: &[LeaderboardRow]) -> String {
    let is_seen = std::io::stdout().is_terminal();
    let width = crossterm::terminal::size().ok().filter(|_| is_seen).map(|(width, _)| width.into());
    leaderboard_of_width(objective, rows, width)
}

/// With as many parameters as there is room for; all of them where nobody has said how much.
fn leaderboard_of_width(objective: &str, rows: &[LeaderboardRow], width: Option<usize>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| row.params.iter()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut header = vec!["rank", "trial", objective];
    header.extend(&names);
    let mut body: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let tied = if row.is_tied() { " =" } else { "" };
            let mut cells = vec![
                row.rank.to_string(),
                row.trial.to_string(),
                format!("{}{tied}", score_with_error(Some(row.score), row.score_se)),
            ];
            // one that has no meaning beside the others is not there
            cells.extend(names.iter().map(|name| row.params.get(name).map_or_else(|| "-".to_owned(), short)));
            cells
        })
        .collect();
    let kept = that_fit(&header, &body, width);
    header.truncate(kept);
    for cells in &mut body {
        cells.truncate(kept);
    }
    let mut table = table(&header, &body);
    if kept < names.len() + 3 {
        let more = format::counted(names.len() + 3 - kept, "more parameter");
        let _ = write!(table, "\n\nand {more}, for which there is no room: `sweep show SWEEP --trial N`");
    }
    if !rows.iter().any(LeaderboardRow::is_tied) {
        return table;
    }
    format!("{table}\n\n= not told apart from the best (paired over the folds, corrected t-test at 5 %)")
}

/// Columns for which there is room, the first three in any case.
fn that_fit(header: &[&str], body: &[Vec<String>], width: Option<usize>) -> usize {
    let Some(width) = width else { return header.len() };
    let mut used = 0;
    let fits = |index: &usize| {
        let cells = body.iter().map(|row| row[*index].width());
        // with a blank on either side
        used += cells.max().unwrap_or(0).max(header[*index].width()) + 2;
        *index < 3 || used <= width
    };
    (0..header.len()).take_while(fits).count()
}

/// A value of a parameter; of one that is not whole the first four or five digits.
fn short(param: &Value) -> String {
    match param.as_f64() {
        Some(number) if param.is_f64() => format::number(number),
        _ => value(param),
    }
}

/// `trials given up: 3 raced out, 1 pruned; 11 folds never started`; none where nobody was given up.
pub(super) fn given_up(sweep: &SweepRow) -> Option<String> {
    let SweepRow { raced_out, pruned, folds_saved, .. } = sweep;
    let by = match (raced_out, pruned) {
        (0, 0) => return None,
        (_, 0) => format!("{raced_out} raced out"),
        (0, _) => format!("{pruned} pruned"),
        _ => format!("{raced_out} raced out, {pruned} pruned"),
    };
    let folds = format::counted(*folds_saved as usize, "fold");
    Some(format!("trials given up: {by}; {folds} never started"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaderboard_has_the_parameters_that_fit() {
        let row = |trial: u32, params: &str| LeaderboardRow {
            rank: 1,
            trial: crate::sweep::TrialId(trial as i32),
            score: 0.9,
            score_se: Some(0.01),
            difference: None,
            difference_se: None,
            tied_with_best: None,
            params: serde_json::from_str(params).expect("a point"),
        };
        let rows = [
            row(0, r#"{"kind": "lstm", "train.learning_rate": 0.0006620600634, "layers": 1234567}"#),
            row(1, r#"{"kind": "mean", "train.learning_rate": 1e-05}"#),
        ];
        insta::assert_snapshot!(leaderboard_of_width("loss", &rows, None), @r"
         rank  trial             loss  kind  train.learning_rate   layers
            1      0  0.9000 ± 0.0100  lstm             6.621e-4  1234567
            1      1  0.9000 ± 0.0100  mean                 1e-5        -
        ");
        insta::assert_snapshot!(leaderboard_of_width("loss", &rows, Some(60)), @r"
         rank  trial             loss  kind  train.learning_rate
            1      0  0.9000 ± 0.0100  lstm             6.621e-4
            1      1  0.9000 ± 0.0100  mean                 1e-5

        and 1 more parameter, for which there is no room: `sweep show SWEEP --trial N`
        ");
    }

    #[test]
    fn times_and_tables_read_well() {
        let times = [0.04, 9.6, 59.4, 61.0, 3_599.0, 7_400.0].map(duration).join(" | ");
        assert_eq!(times, "0.0s | 10s | 59s | 1m 01s | 59m 59s | 2h 03m");
        let rows = vec![vec!["文章".to_owned(), "1.5".to_owned()], vec!["a".to_owned(), "10".to_owned()]];
        insta::assert_snapshot!(table(&["name", "n"], &rows), @r"
         name    n
         文章  1.5
         a      10
        ");
    }
}
