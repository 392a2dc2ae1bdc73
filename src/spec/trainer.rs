//! `[trainer]`: what trains the runs, the model of this program or any program that speaks the run protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::document::Document;
use super::judge::Judge;
use super::problem::Problems;
use super::reader::{Floats, Reader, describe};
use super::survey::{Findings, Survey, Verdict};
use super::{Config, Encoder, Pretrained, Search};
use crate::search::space::{Point, Space};

#[derive(Clone, Debug, PartialEq)]
pub enum Trainer {
    BuiltIn(Box<BuiltIn>),
    Program(Program),
}

/// The model of this program.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltIn {
    /// The configuration where nothing is varied, or at the first point where only points are good.
    pub config: Config,
    document: Document,
}

/// A program of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables of its environment besides the coordinator's own.
    pub env: BTreeMap<String, String>,
    /// How long a run may take; none: for ever.
    pub timeout: Option<Duration>,
    /// Between a run being told to stop and being killed.
    pub grace: Duration,
    /// The tables of the sweep file that are its own.
    tables: Map<String, Value>,
}

/// Tables that mean what the trainer takes them for.
pub(super) const TABLES: [&str; 4] = ["data", "text", "model", "train"];

const GRACE: f64 = 5.0;

/// A year: longer times are none that a clock can count.
const LONGEST: f64 = 365.0 * 24.0 * 3600.0;

impl BuiltIn {
    /// The trainer of a sweep file, and what the points of its space come to.
    pub(super) fn read(
        document: &Document,
        search: &Search,
        problems: &mut Problems,
    ) -> Result<(Self, Survey), Problems> {
        let judge = Judge { document, search };
        judge.check_names(problems);
        // a key that is varied need not be good where it is not
        let written = config_of(document, &Point::default());
        let mut config = written.or_else(|found| config_of(document, &search.space.first_point()).map_err(|_| found));
        let mut survey = Survey::default();
        if problems.is_empty() {
            let findings = Findings::of(&search.space, &|point| judge.verdict(point));
            if let (Err(_), Some(good)) = (&config, findings.good.first()) {
                config = config_of(document, good);
            }
            if let Ok(config) = &config {
                judge.tell(&findings, config, problems);
            }
            survey = findings.survey;
        }
        config.map(|config| (Self { config, document: document.clone() }, survey))
    }

    /// The configuration at a point, whatever the constraints say.
    pub fn config_at(&self, point: &Point) -> Result<Config, Problems> {
        config_of(&self.document, point)
    }

    /// Whether a point may be, and has a configuration that can run.
    pub(super) fn verdict(&self, search: &Search, point: &Point) -> Verdict {
        Judge { document: &self.document, search }.verdict(point)
    }

    /// Whether the file has a value for a key.
    pub(super) fn writes(&self, key: &str) -> bool {
        self.document.has(key)
    }

    /// Every pretrained encoder that a point of the space can ask for.
    pub fn encoders(&self, space: &Space) -> BTreeSet<Pretrained> {
        let written = match &self.config.model.encoder {
            Encoder::Pretrained(name) => Some(name.clone()),
            Encoder::Scratch(_) => None,
        };
        let varied = space.parameters().iter().filter(|parameter| parameter.name == "model.encoder");
        let values = varied.flat_map(|parameter| parameter.domain.representatives());
        let names = values.filter_map(|value| Encoder::named(value.as_str()?));
        written.into_iter().chain(names).collect()
    }
}

pub(super) fn config_of(document: &Document, point: &Point) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let document = document.at(point);
    let config = Config::read(&mut Reader::root(&document, &mut problems));
    problems.into_result(config)
}

impl Program {
    pub(super) fn read(reader: &mut Reader<'_>, document: &Document) -> Self {
        let command = read_command(reader);
        let env = read_env(reader);
        let timeout = reader.optional_float("timeout", Floats::Positive);
        let grace = reader.float("grace", GRACE, Floats::NotNegative);
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds.min(LONGEST));
        let tables = TABLES.iter().filter_map(|table| document.root().get_key_value(*table));
        let tables = tables.map(|(name, table)| (name.clone(), table.clone())).collect();
        Self { command, env, timeout: timeout.map(seconds), grace: seconds(grace), tables }
    }

    /// The tables of the sweep file that are its own, with a point's values in their places.
    pub fn tables_at(&self, point: &Point) -> Map<String, Value> {
        let mut tables = Document::of(self.tables.clone()).at(point).into_root();
        tables.retain(|name, _| TABLES.contains(&name.as_str()));
        tables
    }
}

fn read_command(reader: &mut Reader<'_>) -> Vec<String> {
    const FORM: &str = "a list of the program and its arguments, such as [\"python3\", \"train.py\"]";
    let words = match reader.ask("command") {
        None => {
            reader.problem("command", format!("missing: {FORM}"));
            return Vec::new();
        }
        Some(Value::Array(words)) => words,
        Some(other) => {
            reader.expected("command", FORM, other);
            return Vec::new();
        }
    };
    if let Some(other) = words.iter().find(|word| !word.is_string()) {
        reader.problem("command", format!("expected strings, found {}", describe(other)));
        return Vec::new();
    }
    let command: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if command.first().is_none_or(|program| program.trim().is_empty()) {
        reader.problem("command", format!("names no program: expected {FORM}"));
    } else if command.iter().any(|word| word.contains('\0')) {
        reader.problem("command", "no argument of a program can hold a NUL character");
    }
    command
}

fn read_env(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let table = match reader.ask("env") {
        None => return env,
        Some(Value::Object(table)) => table,
        Some(other) => {
            reader.expected("env", "a table such as { WANDB_MODE = \"offline\" }", other);
            return env;
        }
    };
    for (name, value) in table {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                reader.problem_at(&["env", name], format!("expected a string, found {}", describe(other)));
                continue;
            }
        };
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            reader.problem_at(
                &["env", name],
                "a variable's name holds no =, and neither it nor its value a NUL character",
            );
            continue;
        }
        env.insert(name.clone(), value);
    }
    env
}
