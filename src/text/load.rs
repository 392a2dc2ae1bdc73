//! Reads documents from JSONL, CSV and TSV, and says what is wrong with which line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use thiserror::Error;

use super::normalize::apply;
use crate::spec::{Data, Format, LabelColumn, Text};

/// The documents of a sweep, normalised. All lists have one entry a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents {
    pub ids: Vec<String>,
    pub texts: Vec<String>,
    pub labels: DocumentLabels,
    /// Names of the classes, sorted; labels are indices into it.
    pub classes: Vec<String>,
    /// Numbers of the groups, if there is a group column.
    pub groups: Option<Vec<u32>>,
    /// The documents that each step of the normalisation changed, ascending (this list has one entry a step).
    pub changed: Vec<Vec<u32>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentLabels {
    Single(Vec<u32>),
    /// Sorted label ids; a document may have none.
    Multi(Vec<Vec<u32>>),
}

#[derive(Debug, Error)]
pub enum DataError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: {problems}", path.display())]
    Rows { path: PathBuf, problems: RowProblems },
    #[error("{}: no documents in it", path.display())]
    Empty { path: PathBuf },
    #[error("{}: all documents have the label {class:?}: there is nothing to tell apart", path.display())]
    OneClass { path: PathBuf, class: String },
    #[error("{}: no document has a label in {column:?}", path.display())]
    NoLabels { path: PathBuf, column: String },
}

/// What is wrong with rows of a file, the first few of each kind.
#[derive(Debug, Default)]
pub struct RowProblems(BTreeMap<String, Vec<u64>>);

const LINES_SHOWN: usize = 5;

impl RowProblems {
    fn add(&mut self, line: u64, what: impl Into<String>) {
        self.0.entry(what.into()).or_default().push(line);
    }
}

impl fmt::Display for RowProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.0.values().map(Vec::len).sum();
        write!(f, "{rows} of its rows cannot be used")?;
        for (what, lines) in &self.0 {
            let mut shown = String::new();
            for (index, line) in lines.iter().take(LINES_SHOWN).enumerate() {
                write!(shown, "{}{line}", if index > 0 { ", " } else { "" })?;
            }
            if lines.len() > LINES_SHOWN {
                write!(shown, " and {} more", lines.len() - LINES_SHOWN)?;
            }
            write!(f, "\n  {what}  (line {shown})")?;
        }
        Ok(())
    }
}

/// A row before its values are understood.
struct Row {
    line: u64,
    values: BTreeMap<String, Value>,
}

/// The documents that the bytes of a file are, normalised.
pub fn documents(path: &Path, bytes: &[u8], data: &Data, text: &Text) -> Result<Documents, DataError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut problems = RowProblems::default();
    let rows = match Format::of(&data.path) {
        Some(Format::Tsv) => delimited(bytes, b'\t', &mut problems),
        Some(Format::Csv) => delimited(bytes, b',', &mut problems),
        Some(Format::Jsonl) | None => jsonl(bytes, &mut problems),
    };
    let changed = vec![Vec::new(); text.normalize.len()];
    let mut reading = Reading { data, problems, ids: BTreeSet::new(), rows: Vec::with_capacity(rows.len()), changed };
    let understood: Vec<_> = rows.par_iter().map(|row| (row.line, understand(data, text, row))).collect();
    for (line, row) in understood {
        reading.add(line, row);
    }
    reading.finish(path.to_owned())
}

fn jsonl(bytes: &[u8], problems: &mut RowProblems) -> Vec<Row> {
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index as u64 + 1;
        let Ok(line) = std::str::from_utf8(line) else {
            problems.add(number, "not valid UTF-8");
            continue;
        };
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(values) => rows.push(Row { line: number, values }),
            Err(_) if serde_json::from_str::<Value>(line).is_ok() => problems.add(number, "not a JSON object"),
            Err(error) => {
                let text = error.to_string();
                let what = text.split(" at line").next().unwrap_or(&text);
                problems.add(number, format!("not valid JSON: {what}"));
            }
        }
    }
    rows
}

fn delimited(bytes: &[u8], delimiter: u8, problems: &mut RowProblems) -> Vec<Row> {
    // in TSV a quotation mark is a letter like any other
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quoting(delimiter == b',').from_reader(bytes);
    let Ok(columns) = reader.headers().cloned() else {
        problems.add(1, "not valid UTF-8");
        return Vec::new();
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                let values = columns.iter().zip(&record).map(|(c, v)| (c.trim().to_owned(), Value::from(v))).collect();
                rows.push(Row { line, values });
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => problems.add(line, "not valid UTF-8"),
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        problems.add(line, format!("{len} fields where the header has {expected_len}"));
                    }
                    _ => problems.add(line, error.to_string()),
                }
            }
        }
    }
    rows
}

struct Reading<'a> {
    data: &'a Data,
    problems: RowProblems,
    ids: BTreeSet<String>,
    rows: Vec<ReadRow>,
    changed: Vec<Vec<u32>>,
}

struct ReadRow {
    id: String,
    text: String,
    labels: Vec<String>,
    group: Option<String>,
    /// Which steps of the normalisation changed the text.
    changed: Vec<bool>,
}

impl Reading<'_> {
    fn add(&mut self, line: u64, row: Result<ReadRow, String>) {
        match row {
            Ok(read) if self.ids.insert(read.id.clone()) => {
                let document = self.rows.len() as u32;
                for (documents, changed) in self.changed.iter_mut().zip(&read.changed) {
                    documents.extend(changed.then_some(document));
                }
                self.rows.push(read);
            }
            Ok(read) => self.problems.add(line, format!("the id {:?} stands there twice", read.id)),
            Err(what) => self.problems.add(line, what),
        }
    }

    fn finish(self, path: PathBuf) -> Result<Documents, DataError> {
        if !self.problems.0.is_empty() {
            return Err(DataError::Rows { path, problems: self.problems });
        }
        if self.rows.is_empty() {
            return Err(DataError::Empty { path });
        }
        let classes: BTreeSet<String> = self.rows.iter().flat_map(|row| row.labels.iter().cloned()).collect();
        let classes: Vec<String> = classes.into_iter().collect();
        let index = |label: &String| classes.binary_search(label).map_or(0, |index| index as u32);
        let labels = match &self.data.labels {
            LabelColumn::Single { .. } if classes.len() == 1 => {
                return Err(DataError::OneClass { path, class: classes[0].clone() });
            }
            LabelColumn::Single { .. } => {
                DocumentLabels::Single(self.rows.iter().map(|row| index(&row.labels[0])).collect())
            }
            LabelColumn::Multi { column, .. } if classes.is_empty() => {
                return Err(DataError::NoLabels { path, column: column.clone() });
            }
            LabelColumn::Multi { .. } => {
                let of = |row: &ReadRow| row.labels.iter().map(index).collect::<BTreeSet<_>>().into_iter().collect();
                DocumentLabels::Multi(self.rows.iter().map(of).collect())
            }
        };
        let names: BTreeSet<&String> = self.rows.iter().filter_map(|row| row.group.as_ref()).collect();
        let numbers: BTreeMap<&String, u32> = names.into_iter().zip(0..).collect();
        let groups = self.rows.iter().map(|row| row.group.as_ref().map(|group| numbers[group])).collect();
        Ok(Documents {
            groups,
            ids: self.rows.iter().map(|row| row.id.clone()).collect(),
            labels,
            classes,
            changed: self.changed,
            texts: self.rows.into_iter().map(|row| row.text).collect(),
        })
    }
}

fn understand(data: &Data, steps: &Text, row: &Row) -> Result<ReadRow, String> {
    let text = word(column(row, &data.text)?).ok_or_else(|| format!("{:?} is not a string", data.text))?;
    let mut changed = Vec::with_capacity(steps.normalize.len());
    let text = steps.normalize.iter().fold(text, |text, step| {
        let after = apply(*step, &text);
        changed.push(after != text);
        after
    });
    if text.trim().is_empty() {
        return Err(format!("an empty document ({:?} holds no text)", data.text));
    }
    let labels = match &data.labels {
        LabelColumn::Single { column: name } => {
            let label = word(column(row, name)?).ok_or_else(|| format!("{name:?} is not one label"))?;
            if label.trim().is_empty() {
                return Err(format!("no label in {name:?}"));
            }
            vec![label.trim().to_owned()]
        }
        LabelColumn::Multi { column: name, separator } => several(column(row, name)?, separator)
            .ok_or_else(|| format!("{name:?} is neither a list of labels nor a string"))?,
    };
    let group = match &data.group {
        None => None,
        Some(name) => {
            let group = word(column(row, name)?).filter(|group| !group.trim().is_empty());
            Some(group.ok_or_else(|| format!("no group in {name:?}"))?)
        }
    };
    let id = match &data.id {
        None => row.line.to_string(),
        Some(name) => word(column(row, name)?).ok_or_else(|| format!("{name:?} is not a string"))?,
    };
    Ok(ReadRow { id, text, labels, group, changed })
}

fn column<'r>(row: &'r Row, name: &str) -> Result<&'r Value, String> {
    row.values.get(name).ok_or_else(|| {
        let columns: Vec<&str> = row.values.keys().map(String::as_str).collect();
        format!("no column {name:?}; there are: {}", columns.join(", "))
    })
}

/// A string, or what reads as one word.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn several(value: &Value, separator: &str) -> Option<Vec<String>> {
    let labels: Vec<String> = match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(word).collect::<Option<_>>()?,
        Value::String(text) => text.split(separator).map(str::to_owned).collect(),
        _ => return None,
    };
    Some(labels.iter().map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    std::fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
