//! The space that a sweep searches: parameters by dotted key, each with the values it may take.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// The parameters of a sweep, in the order of its file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space(Vec<Parameter>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Dotted key of the configuration.
    pub name: String,
    pub domain: Domain,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// A list; the values need not be of one kind.
    Values(Vec<Value>),
    /// low <= x <= high
    Float { low: f64, high: f64, log: bool },
    /// low, low + step, … up to high
    Integer { low: i64, high: i64, step: i64, log: bool },
}

/// One value for every parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Point(serde_json::Map<String, Value>);

impl Space {
    pub fn new(parameters: Vec<Parameter>) -> Self {
        Self(parameters)
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.0
    }

    /// Points of the full grid; none if a parameter is continuous or they cannot be counted.
    pub fn grid_size(&self) -> Option<u32> {
        self.0
            .iter()
            .try_fold(1u32, |size, parameter| size.checked_mul(u32::try_from(parameter.domain.grid()?.len()).ok()?))
    }

    /// The first value of every parameter.
    pub fn first_point(&self) -> Point {
        self.0.iter().map(|parameter| (parameter.name.clone(), parameter.domain.at(0.0))).collect()
    }

    /// A point of the full grid; the last parameter varies fastest.
    pub fn grid_point(&self, index: u32) -> Option<Point> {
        let mut rest = index as usize;
        let mut values = Vec::with_capacity(self.0.len());
        for parameter in self.0.iter().rev() {
            let grid = parameter.domain.grid()?;
            values.push((parameter.name.clone(), grid[rest % grid.len()].clone()));
            rest /= grid.len();
        }
        (rest == 0).then(|| values.into_iter().rev().collect())
    }
}

impl Domain {
    /// All values, if they can be listed.
    pub fn grid(&self) -> Option<Vec<Value>> {
        match self {
            Self::Values(values) => Some(values.clone()),
            Self::Float { .. } => None,
            Self::Integer { low, high, step, .. } => {
                let count = (i128::from(*high) - i128::from(*low)) / i128::from(*step) + 1;
                let count = i64::try_from(count).ok().filter(|count| *count <= 1_000_000)?;
                Some((0..count).map(|i| Value::from(low + i * step)).collect())
            }
        }
    }

    /// The value at `u` in 0 <= u < 1, so that equal steps of `u` are equally likely values.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Self::Values(values) => values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Self::Float { low, high, log } => {
                let x = if *log { (low.ln() + u * (high.ln() - low.ln())).exp() } else { low + u * (high - low) };
                Number::from_f64(x.clamp(*low, *high)).map_or(Value::Null, Value::Number)
            }
            Self::Integer { low, high, step, log } => {
                let (first, last) = (*low as f64, *high as f64);
                let x = if *log {
                    // half a step on both ends, so that the bounds are as likely as their neighbours
                    let (a, b) = ((first - 0.5).max(0.5).ln(), (last + 0.5).ln());
                    (a + u * (b - a)).exp()
                } else {
                    first - 0.5 * *step as f64 + u * (last - first + *step as f64)
                };
                let steps = ((x - first) / *step as f64).round().max(0.0) as i64;
                Value::from((low + steps * step).min(low + (high - low) / step * step))
            }
        }
    }

    /// Values that stand for all in a check: every listed one, or the two ends of a range.
    pub fn representatives(&self) -> Vec<Value> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Float { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
            Self::Integer { .. } => vec![self.at(0.0), self.at(1.0 - f64::EPSILON)],
        }
    }
}

impl Point {
    /// The same with another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
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
