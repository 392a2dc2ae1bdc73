//! `[search]`: what is varied, how points are drawn, and what counts as better.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::{Floats, Reader, describe};
use crate::search::space::{Domain, Parameter, Point, Space};

/// `[search]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    pub sampler: Sampler,
    /// Name of the metric of a run that is its score.
    pub objective: String,
    pub direction: Direction,
    pub budget: Budget,
    pub seed: u64,
    pub space: Space,
    /// The points of the first trials.
    pub start: Vec<Point>,
    /// Earlier sweeps of the same database to learn from.
    pub warm_start: Vec<String>,
    pub race: Race,
    pub prune: Prune,
    pub stop: Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    Grid,
    Random,
    Sobol,
    Bayes,
}

/// What a sweep may spend; it ends with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub trials: Option<u32>,
    /// Runs that were started.
    pub runs: Option<u32>,
    pub seconds: Option<f64>,
    /// Seconds of every run, summed over the devices.
    pub device_seconds: Option<f64>,
}

/// Which trials are given up between folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Race {
    Off,
    Forgiving,
    Paired,
    Posterior,
}

/// Which runs are given up between epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prune {
    Off,
    Median,
    Asha,
}

/// When a sweep ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// With its budget, or its points.
    Budget,
    /// As well when there is nothing left to gain.
    Converged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Maximize,
    Minimize,
}

impl Direction {
    /// Whether `a` is better than `b`. NaN is never better.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Maximize => a > b,
            Self::Minimize => a < b,
        }
    }

    /// The score as a number of which more is better.
    pub fn gain(self, score: f64) -> f64 {
        match self {
            Self::Maximize => score,
            Self::Minimize => -score,
        }
    }
}

/// Trials where nothing says when to end.
const TRIALS: u32 = 20;

impl Search {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let sampler = reader.choice("sampler", Sampler::Grid);
        let objective = reader.text("objective").unwrap_or_else(|| "macro_f1".to_owned());
        let natural = crate::metrics::direction(&objective).unwrap_or(Direction::Maximize);
        let mut search = Self {
            sampler,
            direction: reader.choice("direction", natural),
            objective,
            budget: Budget::read(reader),
            seed: reader.integer("seed", 1, 0..=usize::MAX) as u64,
            space: read_space(reader),
            start: Vec::new(),
            warm_start: Vec::new(),
            race: reader.choice("race", Race::Posterior),
            prune: reader.choice("prune", Prune::Off),
            stop: reader.choice("stop", Stop::Budget),
        };
        if search.sampler != Sampler::Grid && search.budget == Budget::default() && search.stop == Stop::Budget {
            search.budget.trials = Some(TRIALS);
        }
        if search.sampler == Sampler::Grid {
            for parameter in search.space.parameters() {
                if parameter.domain.levels().is_none() {
                    let what = "a grid needs values: { values = [...] }, or integers with low, high and step";
                    reader.problem("space", format!("{}: {what}", parameter.name));
                }
            }
        }
        search
    }
}

impl Budget {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut count = |key| reader.optional_integer(key, 1..=1_000_000_000).map(|count| count as u32);
        let (trials, runs) = (count("trials"), count("runs"));
        Self {
            trials,
            runs,
            seconds: reader.optional_float("seconds", Floats::Positive),
            device_seconds: reader.optional_float("device_seconds", Floats::Positive),
        }
    }
}

fn read_space(reader: &mut Reader<'_>) -> Space {
    let Some(value) = reader.ask("space") else {
        return Space::default();
    };
    let Value::Object(table) = value else {
        reader.expected("space", "a table of parameters", value);
        return Space::default();
    };
    let mut parameters = Vec::new();
    for (name, domain) in flatten(table) {
        match read_domain(domain) {
            Ok(_) if parameters.iter().any(|known: &Parameter| known.name == name) => {
                reader.problem_at(&["space", &name], "stands there twice");
            }
            Ok(domain) => parameters.push(Parameter { name, domain, when: None }),
            Err(what) => reader.problem_at(&["space", &name], what),
        }
    }
    Space::new(parameters)
}

/// `"train.learning_rate" = {…}` and `train.learning_rate = {…}` mean the same.
fn flatten(table: &serde_json::Map<String, Value>) -> Vec<(String, &Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            Value::Object(inner)
                if !is_domain(inner)
                    && !inner.is_empty()
                    && inner.values().all(|value| value.is_object() || value.is_array()) =>
            {
                flat.extend(flatten(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)));
            }
            _ => flat.push((name.clone(), value)),
        }
    }
    flat
}

fn is_domain(table: &serde_json::Map<String, Value>) -> bool {
    table.contains_key("values") || table.contains_key("low") || table.contains_key("high")
}

fn read_domain(value: &Value) -> Result<Domain, String> {
    const FORM: &str = "{ values = [...] } or { low = .., high = .. }";
    let table = match value {
        Value::Array(values) => return values_domain(values),
        Value::Object(table) => table,
        other => return Err(format!("expected {FORM}, found {}", describe(other))),
    };
    let known = ["values", "low", "high", "log", "step"];
    if let Some(unknown) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("unknown key {unknown:?}; known here: {}", known.join(", ")));
    }
    if let Some(values) = table.get("values") {
        if table.len() > 1 {
            return Err("give values, or low and high, not both".to_owned());
        }
        let Value::Array(values) = values else {
            return Err(format!("values: expected a list, found {}", describe(values)));
        };
        return values_domain(values);
    }
    let (Some(low), Some(high)) = (table.get("low"), table.get("high")) else {
        return Err(format!("expected {FORM}"));
    };
    let log = match table.get("log") {
        None => false,
        Some(Value::Bool(log)) => *log,
        Some(other) => return Err(format!("log: expected true or false, found {}", describe(other))),
    };
    range_domain(low, high, log, table.get("step"))
}

fn values_domain(values: &[Value]) -> Result<Domain, String> {
    if values.is_empty() {
        return Err("values: an empty list has nothing to try".to_owned());
    }
    for (index, value) in values.iter().enumerate() {
        if values[..index].contains(value) {
            return Err(format!("values: {value} stands there twice"));
        }
    }
    Ok(Domain::Values(values.to_vec()))
}

fn range_domain(low: &Value, high: &Value, log: bool, step: Option<&Value>) -> Result<Domain, String> {
    let number = |name: &str, value: &Value| {
        value.as_f64().ok_or_else(|| format!("{name}: expected a number, found {}", describe(value)))
    };
    let (low_number, high_number) = (number("low", low)?, number("high", high)?);
    if low_number >= high_number {
        return Err(format!("low ({low}) must be below high ({high})"));
    }
    if log && low_number <= 0.0 {
        return Err(format!("low ({low}) must be above 0 on a log scale"));
    }
    if let (Some(low), Some(high)) = (low.as_i64(), high.as_i64()) {
        let step = match step.map(|step| (step, step.as_i64())) {
            None => 1,
            Some((_, Some(step))) if step >= 1 => step,
            Some((step, _)) => {
                return Err(format!("step: expected an integer of 1 or more, found {}", describe(step)));
            }
        };
        return Ok(Domain::Integer { low, high, step, log });
    }
    if let Some(step) = step {
        return Err(format!("step ({step}) is for integers: write low and high without a decimal point"));
    }
    Ok(Domain::Float { low: low_number, high: high_number, log })
}
