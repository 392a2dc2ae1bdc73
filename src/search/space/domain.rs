//! The values that one parameter may take.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

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

impl Domain {
    /// Number of values; none if it is continuous.
    pub fn levels(&self) -> Option<usize> {
        match self {
            Self::Values(values) => Some(values.len()),
            Self::Float { .. } => None,
            Self::Integer { low, high, step, .. } => {
                let steps = (i128::from(*high) - i128::from(*low)) / i128::from(*step);
                Some(usize::try_from(steps + 1).unwrap_or(usize::MAX))
            }
        }
    }

    /// The value of a level, from 0; none if there is none.
    pub fn value(&self, level: usize) -> Option<Value> {
        match self {
            Self::Values(values) => values.get(level).cloned(),
            Self::Float { .. } => None,
            Self::Integer { low, step, .. } => {
                let inside = level < self.levels()?;
                inside.then(|| Value::from((i128::from(*low) + level as i128 * i128::from(*step)) as i64))
            }
        }
    }

    /// The level of a value; none if it is not one of the domain, or that is continuous.
    pub fn level(&self, value: &Value) -> Option<usize> {
        match self {
            Self::Values(values) => values.iter().position(|known| same(known, value)),
            Self::Float { .. } => None,
            Self::Integer { low, high, step, .. } => {
                let value = integer(value).filter(|value| (low..=high).contains(&value))?;
                let above = i128::from(value) - i128::from(*low);
                (above % i128::from(*step) == 0).then(|| (above / i128::from(*step)) as usize)
            }
        }
    }

    pub fn contains(&self, value: &Value) -> bool {
        self.coordinate(value).is_some()
    }

    /// A value as the domain itself writes it, so that 3.0 of integers is 3; none if it is not one of the domain.
    pub fn canonical(&self, value: &Value) -> Option<Value> {
        match self {
            Self::Values(_) | Self::Integer { .. } => self.value(self.level(value)?),
            Self::Float { .. } => value.as_f64().filter(|_| self.contains(value)).map(Value::from),
        }
    }

    /// Whether its values lie on a line: ranges, and lists of numbers.
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::Values(values) => values.iter().all(Value::is_number),
            Self::Float { .. } | Self::Integer { .. } => true,
        }
    }

    /// Where a value lies from 0 to 1 on its (logarithmic) scale, in a list of numbers by its rank. None for categories,
    /// and for what is not in the domain.
    pub fn position(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Values(values) => {
                let level = self.level(value).filter(|_| self.is_ordered())?;
                let number = values[level].as_f64();
                let rank = values.iter().filter(|other| other.as_f64() < number).count();
                Some(rank as f64 / (values.len() - 1).max(1) as f64)
            }
            Self::Float { .. } => self.coordinate(value),
            Self::Integer { low, step, log, .. } => {
                let (level, last) = (self.level(value)?, self.levels()? - 1);
                let at = |level: usize| scale(*low as f64 + level as f64 * *step as f64, *log);
                Some(if last == 0 { 0.0 } else { (at(level) - at(0)) / (at(last) - at(0)) })
            }
        }
    }

    /// The same, and for a number beyond the ends of a range where it lies on the continued scale.
    pub fn position_anywhere(&self, value: &Value) -> Option<f64> {
        let (low, high, log) = match self {
            Self::Values(_) => return self.position(value),
            Self::Float { low, high, log } => (*low, *high, *log),
            Self::Integer { low, high, log, .. } => (*low as f64, *high as f64, *log),
        };
        let x = value.as_f64().filter(|x| x.is_finite() && (!log || *x > 0.0))?;
        let [low, high, x] = [low, high, x].map(|x| scale(x, log));
        self.position(value).or_else(|| (high > low).then(|| (x - low) / (high - low)))
    }

    /// The value at `u` in 0 <= u < 1, so that equal steps of `u` are equally likely values.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Self::Values(values) => values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone(),
            Self::Float { low, high, log } => {
                let x = if *log { (low.ln() + u * (high.ln() - low.ln())).exp() } else { low + u * (high - low) };
                Number::from_f64(x.clamp(*low, *high)).map_or(Value::Null, Value::Number)
            }
            Self::Integer { .. } => {
                let last = self.levels().map_or(0, |levels| levels - 1);
                let [first, end] = [self.edge(0), self.edge(last + 1)];
                let mut level = self.level_at(first + u * (end - first)).min(last);
                // rounding can step over the edge of a cell
                while level > 0 && self.edge(level) > first + u * (end - first) {
                    level -= 1;
                }
                self.value(level).unwrap_or(Value::Null)
            }
        }
    }

    /// The `u` of [`Domain::at`] that gives a value: of a level, the middle of its cell. None for what is not in the
    /// domain.
    pub fn coordinate(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Values(values) => Some((self.level(value)? as f64 + 0.5) / values.len() as f64),
            Self::Float { low, high, log } => {
                let x = value.as_f64().filter(|x| (low..=high).contains(&x))?;
                let [low, high, x] = [*low, *high, x].map(|x| scale(x, *log));
                Some((x - low) / (high - low))
            }
            Self::Integer { .. } => {
                let (level, levels) = (self.level(value)?, self.levels()?);
                let [first, end] = [self.edge(0), self.edge(levels)];
                Some((f64::midpoint(self.edge(level), self.edge(level + 1)) - first) / (end - first))
            }
        }
    }

    /// Values that stand for all in a check: every listed one, or the two ends of a range.
    pub fn representatives(&self) -> Vec<Value> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Float { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
            Self::Integer { .. } => {
                let last = self.levels().map_or(0, |levels| levels - 1);
                [0, last].into_iter().filter_map(|level| self.value(level)).collect()
            }
        }
    }

    /// Where the cell of an integer's level begins on its scale: half a step below it, so that the ends are as likely as
    /// their neighbours.
    fn edge(&self, level: usize) -> f64 {
        let Self::Integer { low, step, log, .. } = self else { return 0.0 };
        let (low, step) = (*low as f64, *step as f64);
        let x = low + (level as f64 - 0.5) * step;
        scale(if *log { x.max(low / 2.0) } else { x }, *log)
    }

    fn level_at(&self, at: f64) -> usize {
        let Self::Integer { low, step, log, .. } = self else { return 0 };
        let x = if *log { at.exp() } else { at };
        ((x - *low as f64) / *step as f64).round().max(0.0) as usize
    }
}

/// `one of 16, 32`, `0.0001 to 0.01 (log)`, `1 to 9 in steps of 2`
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = |log: bool| if log { " (log)" } else { "" };
        match self {
            Self::Values(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "one of {}", values.join(", "))
            }
            Self::Float { low, high, log } => write!(f, "{low} to {high}{}", scale(*log)),
            Self::Integer { low, high, step: 1, log } => write!(f, "{low} to {high}, whole numbers{}", scale(*log)),
            Self::Integer { low, high, step, log } => write!(f, "{low} to {high} in steps of {step}{}", scale(*log)),
        }
    }
}

/// Whether two values mean the same: numbers by their value, so that 1 is 1.0.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (integer(a), integer(b)) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        _ => a == b,
    }
}

/// A number without a fraction, however it is written.
fn integer(value: &Value) -> Option<i64> {
    let exact = |x: &f64| x.fract() == 0.0 && x.abs() < 2f64.powi(53);
    value.as_i64().or_else(|| value.as_f64().filter(exact).map(|x| x as i64))
}

fn scale(x: f64, log: bool) -> f64 {
    if log { x.ln() } else { x }
}
