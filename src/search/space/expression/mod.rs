//! A small language of arithmetic and comparisons over parameters: what ties one to another, and what forbids points.
//!
//! Numbers, `'text'`, `true` and `false`; names of parameters, in backticks where they are no words joined by dots;
//! `+ - * / %`, `== != < <= > >=`, `and`, `or`, `not` and parentheses. `%` is the remainder that is never negative.

mod parse;
#[cfg(test)]
mod tests;

pub use parse::SyntaxError;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::domain::same;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Value(Value),
    Name(String),
    Negative(Box<Node>),
    Not(Box<Node>),
    Binary(Operation, Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What is known of an expression's value without the values of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    /// True or false.
    Truth,
    Text,
    /// It depends on a name.
    Open,
}

/// Where a name has its value from; none: it has none here.
pub type Lookup<'l> = &'l dyn Fn(&str) -> Option<Value>;

impl Expression {
    /// Reads an expression; a mistake comes with its place.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The names that it uses.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.root.names(&mut names);
        names
    }

    pub(super) fn kind(&self) -> Kind {
        self.root.kind()
    }

    /// Its value; none where a name that it needs has none. An error says why there cannot be one.
    pub fn value(&self, lookup: Lookup<'_>) -> Result<Option<Value>, String> {
        self.root.value(lookup)
    }

    /// Whether it holds. Where it depends on a name that has no value, nothing speaks against it.
    pub fn holds(&self, lookup: Lookup<'_>) -> Result<bool, String> {
        match self.value(lookup)? {
            None | Some(Value::Bool(true)) => Ok(true),
            Some(Value::Bool(false)) => Ok(false),
            Some(other) => Err(format!("is {other}, not true or false")),
        }
    }
}

impl Node {
    fn names<'n>(&'n self, names: &mut BTreeSet<&'n str>) {
        match self {
            Self::Value(_) => {}
            Self::Name(name) => {
                names.insert(name);
            }
            Self::Negative(inner) | Self::Not(inner) => inner.names(names),
            Self::Binary(_, left, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Value(Value::Bool(_)) | Self::Not(_) => Kind::Truth,
            Self::Value(Value::String(_)) => Kind::Text,
            Self::Value(_) | Self::Negative(_) => Kind::Number,
            Self::Name(_) => Kind::Open,
            Self::Binary(operation, ..) => operation.result(),
        }
    }

    fn value(&self, lookup: Lookup<'_>) -> Result<Option<Value>, String> {
        match self {
            Self::Value(value) => Ok(Some(value.clone())),
            Self::Name(name) => Ok(lookup(name)),
            Self::Negative(inner) => match inner.value(lookup)? {
                None => Ok(None),
                Some(value) => number(-as_number(&value)?).map(Some),
            },
            Self::Not(inner) => match inner.value(lookup)? {
                None => Ok(None),
                Some(value) => Ok(Some(Value::Bool(!as_truth(&value)?))),
            },
            Self::Binary(operation @ (Operation::And | Operation::Or), left, right) => {
                // one side can decide alone, and then nothing is wrong with the other
                let decisive = *operation == Operation::Or;
                let mut open = false;
                for side in [left, right] {
                    match side.value(lookup)? {
                        None => open = true,
                        Some(value) if as_truth(&value)? == decisive => return Ok(Some(Value::Bool(decisive))),
                        Some(_) => {}
                    }
                }
                Ok(if open { None } else { Some(Value::Bool(!decisive)) })
            }
            Self::Binary(operation, left, right) => match (left.value(lookup)?, right.value(lookup)?) {
                (Some(left), Some(right)) => operation.apply(&left, &right).map(Some),
                _ => Ok(None),
            },
        }
    }
}

impl Operation {
    fn result(self) -> Kind {
        match self {
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => Kind::Number,
            _ => Kind::Truth,
        }
    }

    fn apply(self, left: &Value, right: &Value) -> Result<Value, String> {
        if let Self::Equal | Self::Unequal = self {
            return Ok(Value::Bool(same(left, right) == (self == Self::Equal)));
        }
        let (a, b) = (as_number(left)?, as_number(right)?);
        if b == 0.0 && matches!(self, Self::Divide | Self::Remainder) {
            return Err(format!("divides {left} by zero"));
        }
        Ok(match self {
            Self::Less => Value::Bool(a < b),
            Self::AtMost => Value::Bool(a <= b),
            Self::More => Value::Bool(a > b),
            Self::AtLeast => Value::Bool(a >= b),
            Self::Add => return number(a + b),
            Self::Subtract => return number(a - b),
            Self::Multiply => return number(a * b),
            Self::Divide => return number(a / b),
            Self::Remainder => return number(a.rem_euclid(b)),
            Self::Equal | Self::Unequal | Self::And | Self::Or => unreachable!("has its own rule above"),
        })
    }
}

fn as_number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{value} is no number"))
}

fn as_truth(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{value} is not true or false"))
}

/// A number as a sweep file has it: 96, not 96.0, because an integer may be wanted and fits everywhere.
fn number(x: f64) -> Result<Value, String> {
    if x.fract() == 0.0 && x.abs() < 2f64.powi(53) {
        return Ok(Value::from(x as i64));
    }
    Number::from_f64(x).map(Value::Number).ok_or_else(|| "is beyond all numbers".to_owned())
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Expression {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}
