//! Tables, numbers and times for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::print::outln;
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
    let names: Vec<&String> =
        rows.first().map(|row| row.params.iter().map(|(name, _)| name).collect()).unwrap_or_default();
    let mut header = vec!["rank", "trial", objective];
    header.extend(names.iter().map(|name| name.as_str()));
    let body: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let tied = if row.is_tied() { " =" } else { "" };
            let mut cells = vec![
                row.rank.to_string(),
                row.trial.to_string(),
                format!("{}{tied}", score_with_error(Some(row.score), row.score_se)),
            ];
            cells.extend(row.params.iter().map(|(_, param)| value(param)));
            cells
        })
        .collect();
    let table = table(&header, &body);
    if !rows.iter().any(LeaderboardRow::is_tied) {
        return table;
    }
    format!("{table}\n\n= not told apart from the best (paired over the folds, corrected t-test at 5 %)")
}

/// `3 trials raced out, 1 pruned: 11 folds saved`; none where nobody was given up.
pub(super) fn given_up(sweep: &SweepRow) -> Option<String> {
    let SweepRow { raced_out, pruned, folds_saved, .. } = sweep;
    let by = match (raced_out, pruned) {
        (0, 0) => return None,
        (_, 0) => format!("{raced_out} raced out"),
        (0, _) => format!("{pruned} pruned"),
        _ => format!("{raced_out} raced out, {pruned} pruned"),
    };
    Some(format!("trials given up: {by}; {folds_saved} folds never started"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
