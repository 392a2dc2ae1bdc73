//! The sweep file as a tree of values that remembers the line of every key.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems};
use crate::search::space::Point;

/// A parsed, not yet understood sweep file: values by dotted key, and the line where each was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    root: Map<String, Value>,
    /// None for a key that was set from outside.
    lines: BTreeMap<String, Option<u32>>,
}

impl Document {
    /// Reads TOML. Syntax errors come with their line; a number that is not finite is a problem too.
    pub(super) fn parse(text: &str) -> Result<Self, Problems> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            Problems::from(Problem::new("", line, format!("not valid TOML: {}", error.message())))
        })?;
        let mut reading = Reading { text, lines: BTreeMap::new(), problems: Problems::default() };
        let root = reading.table("", table.get_ref());
        reading.problems.into_result(Self { root, lines: reading.lines })
    }

    /// Sets a dotted key, making the tables on its way. An inline value given as a whole is replaced in that key only.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        const SPACE: &str = "search.space.";
        self.lines.insert(key.to_owned(), None);
        // a parameter's name holds dots itself
        let parameter = key.strip_prefix(SPACE).map(|name| name.trim_matches('"'));
        let mut path: Vec<&str> = if parameter.is_some() { vec!["search", "space"] } else { key.split('.').collect() };
        let last = parameter.or_else(|| path.pop()).unwrap_or(key);
        let mut table = &mut self.root;
        for part in path {
            let entry = table.entry(part).or_insert_with(|| Value::Object(Map::new()));
            // what should be a table and is none is reported when it is read
            let Value::Object(inner) = entry else { return };
            table = inner;
        }
        table.insert(last.to_owned(), value);
    }

    /// Values that no file gave.
    pub(super) fn of(root: Map<String, Value>) -> Self {
        Self { root, lines: BTreeMap::new() }
    }

    /// The same with the values of a point.
    pub(super) fn at(&self, point: &Point) -> Self {
        let mut document = self.clone();
        for (key, value) in point.iter() {
            document.set(key, value.clone());
        }
        document
    }

    pub(super) fn into_root(self) -> Map<String, Value> {
        self.root
    }

    pub(super) fn root(&self) -> &Map<String, Value> {
        &self.root
    }

    /// Whether a dotted key has a value.
    pub(super) fn has(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        let root = parts.next().and_then(|part| self.root.get(part));
        root.and_then(|root| parts.try_fold(root, |value, part| value.get(part))).is_some()
    }

    /// The line of a key, or of the nearest table around it.
    pub(super) fn line(&self, key: &str) -> Option<u32> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return *line;
            }
            key = &key[..key.rfind('.')?];
        }
    }
}

struct Reading<'a> {
    text: &'a str,
    lines: BTreeMap<String, Option<u32>>,
    problems: Problems,
}

impl Reading<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) -> Map<String, Value> {
        let mut map = Map::new();
        for (name, value) in table {
            let key = join(path, name.get_ref());
            self.lines.insert(key.clone(), Some(line_of(self.text, name.span().start)));
            map.insert(name.get_ref().to_string(), self.value(&key, value));
        }
        map
    }

    fn value(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Value {
        let line = line_of(self.text, value.span().start);
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Integer(integer) => {
                if let Ok(number) = i64::from_str_radix(integer.as_str(), integer.radix()) {
                    return Value::Number(number.into());
                }
                self.problems.add(Problem::new(key, Some(line), "integer out of range".to_owned()));
                Value::Null
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse::<f64>().ok().and_then(Number::from_f64);
                number.map_or_else(
                    || {
                        let what = format!("expected a finite number, found {}", float.as_str());
                        self.problems.add(Problem::new(key, Some(line), what));
                        Value::Null
                    },
                    Value::Number,
                )
            }
            DeValue::Datetime(_) => {
                self.problems.add(Problem::new(key, Some(line), "dates have no meaning here".to_owned()));
                Value::Null
            }
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.value(key, item)).collect()),
            DeValue::Table(table) => Value::Object(self.table(key, table)),
        }
    }
}

/// `table.key`, with a key that holds dots in quotes, as TOML writes it.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn line_of(text: &str, offset: usize) -> u32 {
    1 + text[..text.floor_char_boundary(offset)].matches('\n').count() as u32
}
