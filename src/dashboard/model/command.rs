//! The command that runs a trial once more.

use crate::dashboard::ledger::{Ledger, Setting, Trial};
use crate::store::SweepRecord;

/// The same sweep file with the same changes, and the point of this trial as its only one.
pub fn repeating(record: &SweepRecord, ledger: &Ledger, trial: &Trial) -> String {
    let mut words = vec!["sweep run".to_owned(), quoted(&record.spec_path.to_string_lossy())];
    let set = |change: &str| format!("--set {}", quoted(change));
    words.extend(record.overrides.iter().map(|change| set(change)));
    let values = ledger.parameters.iter().enumerate().filter_map(|(index, name)| {
        let value = match trial.setting(index) {
            Setting::Absent => return None,
            Setting::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
            Setting::Number(number) => format!("{number:?}"),
            Setting::Truth(truth) => truth.to_string(),
            // lists and tables are JSON, which TOML's inline values are but for their colons
            Setting::Text(text) if text.starts_with(['[', '{']) => text.replace("\":", "\" ="),
            Setting::Text(text) => format!("{text:?}"),
        };
        Some(format!("{name:?} = {value}"))
    });
    let values: Vec<String> = values.collect();
    words.push(set("search.sampler=\"random\""));
    words.push(set("search.trials=1"));
    words.push(set(&format!("search.start=[{{ {} }}]", values.join(", "))));
    words.join(" ")
}

/// For a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:,".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
