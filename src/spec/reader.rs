//! Reads one table of the sweep file: typed, checked, and remembering what was asked for, so that
//! what nobody asked for can be reported as an unknown key with the nearest known one.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::document::{Document, join};
use super::problem::{Problem, Problems};

pub(super) struct Reader<'a> {
    document: &'a Document,
    path: String,
    table: Option<&'a Map<String, Value>>,
    asked: Vec<&'static str>,
    problems: &'a mut Problems,
}

/// The numbers that a floating-point key takes.
#[derive(Clone, Copy)]
pub(super) enum Floats {
    /// Above zero.
    Positive,
    /// Zero or above.
    NotNegative,
    /// 0 <= x < 1.
    Fraction,
    /// 0 <= x <= 1.
    Share,
}

impl<'a> Reader<'a> {
    pub(super) fn root(document: &'a Document, problems: &'a mut Problems) -> Self {
        Self { document, path: String::new(), table: Some(document.root()), asked: Vec::new(), problems }
    }

    /// Reads the table under `key`; absent, every key of it takes its default.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'_>) -> T) -> T {
        let value = self.ask(key);
        let path = join(&self.path, key);
        let table = match value {
            None => None,
            Some(Value::Object(table)) => Some(table),
            Some(other) => {
                self.expected(key, "a table", other);
                None
            }
        };
        let mut reader =
            Reader { document: self.document, path, table, asked: Vec::new(), problems: &mut *self.problems };
        let section = read(&mut reader);
        reader.finish();
        section
    }

    /// Reads the table under `key`, if it is there.
    pub(super) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> Option<T> {
        if self.has(key) {
            return Some(self.section(key, read));
        }
        // known all the same
        self.asked.push(key);
        None
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    pub(super) fn ask(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.table.and_then(|table| table.get(key))
    }

    pub(super) fn integer(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        self.optional_integer(key, range).unwrap_or(default)
    }

    pub(super) fn optional_integer(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        let value = self.ask(key)?;
        let Some(number) = value.as_i64() else {
            self.expected(key, "an integer", value);
            return None;
        };
        if usize::try_from(number).is_ok_and(|number| range.contains(&number)) {
            return Some(number as usize);
        }
        let (low, high) = range.into_inner();
        let wanted = if high == usize::MAX { format!("{low} or more") } else { format!("{low} to {high}") };
        self.problem(key, format!("expected {wanted}, found {number}"));
        None
    }

    pub(super) fn float(&mut self, key: &'static str, default: f64, range: Floats) -> f64 {
        self.optional_float(key, range).unwrap_or(default)
    }

    pub(super) fn optional_float(&mut self, key: &'static str, range: Floats) -> Option<f64> {
        let value = self.ask(key)?;
        let Some(number) = value.as_f64() else {
            self.expected(key, "a number", value);
            return None;
        };
        let (good, wanted) = match range {
            Floats::Positive => (number > 0.0, "a number above 0"),
            Floats::NotNegative => (number >= 0.0, "0 or more"),
            Floats::Fraction => ((0.0..1.0).contains(&number), "0 or more and below 1"),
            Floats::Share => ((0.0..=1.0).contains(&number), "a number from 0 to 1"),
        };
        if good {
            return Some(number);
        }
        self.problem(key, format!("expected {wanted}, found {number}"));
        None
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.ask(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                self.expected(key, "true or false", other);
                default
            }
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.ask(key)? {
            // a separator may be a space
            Value::String(text) if text.is_empty() || (text.trim().is_empty() && key != "separator") => {
                self.problem(key, "must not be empty".to_owned());
                None
            }
            Value::String(text) => Some(text.clone()),
            other => {
                self.expected(key, "a string", other);
                None
            }
        }
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        match self.ask(key) {
            None => Vec::new(),
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(other) => {
                self.problem(key, format!("expected a list of strings, found {other}"));
                Vec::new()
            }
        }
    }

    /// One of a closed list of names.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, key: &'static str, default: T) -> T {
        self.optional_choice(key).unwrap_or(default)
    }

    pub(super) fn optional_choice<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.ask(key)?;
        self.chosen(key, value)
    }

    /// A list of names, each of a closed list.
    pub(super) fn choices<T: DeserializeOwned>(&mut self, key: &'static str, default: Vec<T>) -> Vec<T> {
        match self.ask(key) {
            None => default,
            Some(Value::Array(items)) => items.iter().filter_map(|item| self.chosen(key, item)).collect(),
            Some(other) => {
                self.expected(key, "a list of names", other);
                default
            }
        }
    }

    fn chosen<T: DeserializeOwned>(&mut self, key: &str, value: &Value) -> Option<T> {
        if !value.is_string() {
            self.expected(key, "a name", value);
            return None;
        }
        match serde_json::from_value(value.clone()) {
            Ok(choice) => Some(choice),
            Err(error) => {
                // serde lists the names: "unknown variant `x`, expected one of `a`, `b`"
                self.problem(key, error.to_string().replace("unknown variant", "unknown value"));
                None
            }
        }
    }

    /// Reports a problem of a key of this table.
    pub(super) fn problem(&mut self, key: &str, what: impl Into<String>) {
        let key = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        self.problems.add(Problem::new(&key, self.document.line(&key), what));
    }

    /// Reports a problem of a key further down, whose parts may hold dots.
    pub(super) fn problem_at(&mut self, parts: &[&str], what: impl Into<String>) {
        let key = parts.iter().fold(self.path.clone(), |path, part| join(&path, part));
        self.problems.add(Problem::new(&key, self.document.line(&key), what));
    }

    pub(super) fn expected(&mut self, key: &str, wanted: &str, found: &Value) {
        self.problem(key, format!("expected {wanted}, found {}", describe(found)));
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(mut self) {
        let unknown: Vec<&String> = self
            .table
            .iter()
            .flat_map(|table| table.keys())
            .filter(|key| !self.asked.contains(&key.as_str()))
            .collect();
        for key in unknown {
            let nearest = nearest(key, self.asked.iter().copied());
            let what = nearest.map_or_else(
                || format!("unknown key; known here: {}", self.asked.join(", ")),
                |known| format!("unknown key; did you mean `{known}`?"),
            );
            self.problem(key, what);
        }
    }
}

/// The known word nearest to a misspelt one, if any is near.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The known dotted key nearest to a misspelt one: its last part must be near, because the others often are.
pub(super) fn nearest_key<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    nearest(key, known.filter(|candidate| nearest(&last(key), [&*last(candidate)].into_iter()).is_some()))
}

/// A value as it stands in an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) => format!("the string {text:?}"),
        Value::Bool(flag) => format!("{flag}"),
        Value::Number(number) => format!("{number}"),
    }
}
