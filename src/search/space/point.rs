//! One choice of values.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value for every parameter that has a meaning there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(serde_json::Map<String, Value>);

impl Point {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub fn insert(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// The same with another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.insert(name, value);
        self
    }

    /// Takes a value out.
    pub(super) fn taken(&mut self, name: &str) -> Option<(String, Value)> {
        self.0.shift_remove_entry(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter()
    }
}

impl FromIterator<(String, Value)> for Point {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// `train.learning_rate = 0.001, model.aggregator.layers = 2`
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name} = {value}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}
