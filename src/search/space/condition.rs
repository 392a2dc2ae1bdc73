//! When a parameter has a meaning: what must be true of others.

use serde::Serialize;
use serde_json::Value;

use super::domain::same;
use super::{Domain, Point};

/// Tests of other parameters, all of which must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Condition(pub Vec<(String, Test)>);

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    Above(f64),
    Below(f64),
    Equals(Value),
    In(Vec<Value>),
    Not(Box<Test>),
}

impl Condition {
    /// Whether all tests hold. None does of a parameter that the point does not have, not even that it is not something.
    pub fn holds(&self, point: &Point) -> bool {
        self.0.iter().all(|(name, test)| point.get(name).is_some_and(|value| test.holds(value)))
    }

    /// The parameters that it asks for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl Test {
    /// Whether it is true of any value of a domain.
    pub(super) fn can_hold(&self, domain: &Domain) -> bool {
        match (self, domain) {
            (_, Domain::Values(values)) => values.iter().any(|value| self.holds(value)),
            (Self::Above(_) | Self::Below(_), _) => domain.representatives().iter().any(|end| self.holds(end)),
            (Self::Equals(wanted), _) => domain.contains(wanted),
            (Self::In(wanted), _) => wanted.iter().any(|wanted| domain.contains(wanted)),
            // ranges have more than one value, but a test can be true of all of them
            (Self::Not(test), _) => match &**test {
                Self::Above(_) | Self::Below(_) => domain.representatives().iter().any(|end| self.holds(end)),
                Self::Equals(_) | Self::In(_) | Self::Not(_) => true,
            },
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Above(bound) => value.as_f64().is_some_and(|x| x > *bound),
            Self::Below(bound) => value.as_f64().is_some_and(|x| x < *bound),
            Self::Equals(wanted) => same(wanted, value),
            Self::In(wanted) => wanted.iter().any(|wanted| same(wanted, value)),
            Self::Not(test) => !test.holds(value),
        }
    }
}
