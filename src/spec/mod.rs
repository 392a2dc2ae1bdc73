//! The sweep file: parsed once, every problem reported at once, trusted from then on.

mod data;
mod document;
mod folds;
mod model;
mod problem;
mod reader;
mod resources;
mod search;
mod train;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use data::{Data, Format, LabelColumn, Normalization, Text};
pub use folds::FoldPlan;
pub use model::{
    Activation, Aggregator, AggregatorKind, DocumentPooling, Encoder, Keep, LabelAttention, Model, NormPlace, Scratch,
    SegmentPooling, SegmentPositions, TokenizerKind,
};
pub use problem::{Problem, Problems};
pub use resources::{Devices, Resources};
pub use search::{Direction, Sampler, Search};
pub use train::{EarlyStopping, Freeze, Loss, Schedule, Train, Warmup};

use crate::metrics;
use crate::search::space::Point;
use document::Document;
use reader::{Reader, nearest};

/// A sweep file that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub name: String,
    /// The configuration where nothing is varied.
    pub config: Config,
    pub folds: FoldPlan,
    pub search: Search,
    pub resources: Resources,
    document: Document,
}

/// Everything that a run's result depends on besides its fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub data: Data,
    pub text: Text,
    pub model: Model,
    pub train: Train,
}

/// `KEY=VALUE` of the command line: a change of the sweep file for one run of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    pub key: String,
    pub value: Value,
}

const SECTIONS: [&str; 4] = ["data.", "text.", "model.", "train."];

/// Combinations of a grid that are resolved one by one before anything runs.
const CHECKED_POINTS: u32 = 2_000;

impl Spec {
    /// Reads a sweep file. `stem` is its name unless it gives one.
    pub fn parse(stem: &str, text: &str, overrides: &[Override]) -> Result<Self, Problems> {
        let mut document = Document::parse(text)?;
        for change in overrides {
            document.set(&change.key, change.value.clone());
        }
        let mut problems = Problems::default();
        let mut reader = Reader::root(&document, &mut problems);
        let name = reader.text("name").unwrap_or_else(|| stem.to_owned());
        if !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) || name.starts_with('.') {
            reader.problem("name", format!("{name:?}: letters, digits, - _ and . only (it names a folder)"));
        }
        let config = Config::read(&mut reader);
        let folds = reader.section("folds", FoldPlan::read);
        let search = reader.section("search", Search::read);
        let resources = reader.section("resources", Resources::read);
        reader.finish();
        let spec = Self { name, config, folds, search, resources, document };
        spec.check_objective(&mut problems);
        if problems.is_empty() {
            spec.check_space(&mut problems);
        }
        problems.into_result(spec)
    }

    /// The configuration at a point of the space.
    pub fn config_at(&self, point: &Point) -> Result<Config, Problems> {
        let mut document = self.document.clone();
        for (key, value) in point.iter() {
            document.set(key, value.clone());
        }
        let mut problems = Problems::default();
        let mut reader = Reader::root(&document, &mut problems);
        let config = Config::read(&mut reader);
        problems.into_result(config)
    }

    fn check_objective(&self, problems: &mut Problems) {
        let known = metrics::names(self.config.data.is_multi_label());
        let objective = &self.search.objective;
        if known.contains(&objective.as_str()) {
            return;
        }
        let hint = nearest(objective, known.iter().copied())
            .map_or_else(|| format!("known: {}", known.join(", ")), |name| format!("did you mean `{name}`?"));
        let what = format!("no metric {objective:?} for this task; {hint}");
        problems.add(Problem::new("search.objective", self.document.line("search.objective"), what));
    }

    /// Every value of the space must give a configuration that can run.
    fn check_space(&self, problems: &mut Problems) {
        let space = &self.search.space;
        for parameter in space.parameters() {
            let key = document::join("search.space", &parameter.name);
            let line = self.document.line(&key).or_else(|| self.document.line("search.space"));
            if !SECTIONS.iter().any(|section| parameter.name.starts_with(section)) {
                problems.add(Problem::new(&key, line, "only keys of data, text, model and train can be varied"));
                continue;
            }
            for value in parameter.domain.representatives() {
                let point = Point::from_iter([(parameter.name.clone(), value.clone())]);
                self.check_point(&point, &key, line, problems);
            }
        }
        if !problems.is_empty() || self.search.sampler != Sampler::Grid {
            return;
        }
        for index in 0..space.grid_size().unwrap_or(0).min(CHECKED_POINTS) {
            if let Some(point) = space.grid_point(index) {
                self.check_point(&point, "search.space", self.document.line("search.space"), problems);
            }
        }
    }

    fn check_point(&self, point: &Point, key: &str, line: Option<u32>, problems: &mut Problems) {
        let Err(found) = self.config_at(point) else { return };
        for problem in found.iter() {
            let what = format!("with {point}: {}: {}", problem.key, problem.what);
            problems.add(Problem::new(key, line, what));
        }
    }
}

impl Config {
    fn read(reader: &mut Reader<'_>) -> Self {
        let data = reader.section("data", Data::read);
        let multi_label = data.is_multi_label();
        Self {
            data,
            text: reader.section("text", Text::read),
            model: reader.section("model", Model::read),
            train: reader.section("train", |reader| Train::read(reader, multi_label)),
        }
    }
}

impl Override {
    /// Reads `KEY=VALUE`; the value is TOML, or a bare word.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let problem = |what: String| Problem::new("--set", None, what);
        let (key, value) = text.split_once('=').ok_or_else(|| problem(format!("{text:?}: expected KEY=VALUE")))?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(problem(format!("{text:?}: the key is empty")));
        }
        let parsed = Document::parse(&format!("value = {value}"));
        let value = match parsed {
            Ok(document) => document.root().get("value").cloned().unwrap_or(Value::Null),
            Err(_) => Value::String(value.to_owned()),
        };
        Ok(Self { key: key.to_owned(), value })
    }
}

#[cfg(test)]
mod tests;
