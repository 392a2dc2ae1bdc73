//! A parameter's values to integrate over.

use serde_json::Value;

use crate::search::space::Domain;

/// A value, where it lies, and how likely a draw is one that it stands for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) value: Value,
    /// The draw that gives it ([`Domain::at`]).
    pub(super) u: f64,
    /// All together 1.
    pub(super) weight: f64,
}

impl Level {
    /// All values of a domain that has few or names, else `most` (an odd number) of them from end to end, weighted by
    /// Simpson's rule.
    pub(super) fn of(domain: &Domain, most: usize) -> Vec<Self> {
        match domain.levels() {
            Some(count) if count <= most || !domain.is_ordered() => all(domain, count),
            _ => spread(domain, most),
        }
    }
}

fn all(domain: &Domain, count: usize) -> Vec<Level> {
    let mut begin = 0.0;
    let mut level = |level: usize| {
        let value = domain.value(level)?;
        let (u, weight) = match domain {
            Domain::Values(_) => ((level as f64 + 0.5) / count as f64, 1.0 / count as f64),
            // its cell begins where the last one ended, and u is in the middle of it
            _ => domain.coordinate(&value).map(|u| (u, 2.0 * (u - begin)))?,
        };
        begin += weight;
        Some(Level { value, u, weight })
    };
    (0..count).filter_map(&mut level).collect()
}

fn spread(domain: &Domain, most: usize) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::new();
    let ends = domain.representatives();
    for place in 0..most {
        let u = place as f64 / (most - 1) as f64;
        // the ends to the last bit
        let (times, value) = match place {
            0 => (1.0, ends.first().cloned()),
            _ if place == most - 1 => (1.0, ends.last().cloned()),
            _ => (if place % 2 == 1 { 4.0 } else { 2.0 }, None),
        };
        let (value, weight) = (value.unwrap_or_else(|| domain.at(u)), times / (3.0 * (most - 1) as f64));
        match levels.last_mut() {
            // small integers lie far apart on a logarithmic scale
            Some(last) if last.value == value => last.weight += weight,
            _ => levels.push(Level { value, u, weight }),
        }
    }
    levels
}
