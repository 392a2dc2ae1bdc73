//! The sweep file: parsed once, every problem reported at once, trusted from then on.

mod aggregator;
mod data;
mod document;
mod folds;
mod judge;
mod keys;
mod model;
mod preset;
mod pretrained;
mod problem;
mod reader;
mod resources;
mod search;
mod search_only;
mod space;
mod survey;
mod train;
mod unread;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use aggregator::{Activation, Aggregator, AggregatorKind, DocumentPooling, Lstm, NormPlace, Transformer};
pub use data::{Data, Format, LabelColumn, Normalization, Text};
pub use folds::FoldPlan;
pub use model::{
    Encoder, Keep, LabelAttention, LabelEmbeddings, Model, Scratch, SegmentLayers, SegmentPooling, SegmentPositions,
    Segmentation, TokenizerKind,
};
pub use preset::Preset;
pub use pretrained::Pretrained;
pub use problem::{Problem, Problems};
pub use resources::{Devices, Resources};
pub use search::{Budget, Direction, Prune, Race, Sampler, Search, Stop};
pub use search_only::SearchOnly;
pub use survey::Survey;
pub use train::{Balance, EarlyStopping, Freeze, Loss, Memory, Precision, Schedule, Train, Warmup};

use crate::metrics;
use crate::search::space::Point;
use crate::search::{History, Proposal, Tried, TriedState, propose};
use document::Document;
use judge::Judge;
use reader::{Reader, nearest};
use survey::Findings;

/// A sweep file that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub name: String,
    /// The configuration where nothing is varied, or at the first point where only points are good.
    pub config: Config,
    /// Whether a linear model is run on the same folds, so that everyone sees what the trials gain over it.
    pub baseline: bool,
    pub folds: FoldPlan,
    pub search: Search,
    pub resources: Resources,
    /// What the points of the space come to.
    pub survey: Survey,
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
        let baseline = reader.flag("baseline", true);
        for section in ["data", "text", "model", "train"] {
            reader.ask(section);
        }
        let folds = reader.section("folds", FoldPlan::read);
        let search = reader.section("search", Search::read);
        let resources = reader.section("resources", Resources::read);
        reader.finish();
        check_objective(&search, &document, &mut problems);
        let judge = Judge { document: &document, search: &search };
        judge.check_names(&mut problems);
        // a key that is varied need not be good where it is not
        let written = judge.resolve(&Point::default());
        let mut config = written.or_else(|found| judge.resolve(&search.space.first_point()).map_err(|_| found));
        let mut survey = Survey::default();
        if problems.is_empty() {
            let findings = Findings::of(&search.space, &|point| judge.verdict(point));
            if let (Err(_), Some(good)) = (&config, findings.good.first()) {
                config = judge.resolve(good);
            }
            if let Ok(config) = &config {
                judge.tell(&findings, config, &mut problems);
            }
            survey = findings.survey;
        }
        match config {
            Ok(config) => {
                problems.into_result(Self { name, config, baseline, folds, search, resources, survey, document })
            }
            Err(found) => {
                problems.extend(found);
                Err(problems.sorted())
            }
        }
    }

    /// The configuration at a point of the space.
    pub fn config_at(&self, point: &Point) -> Result<Config, Problems> {
        Judge { document: &self.document, search: &self.search }.config_at(point)
    }

    /// How many trials there will be, as far as their number is known: a budget of time can end them before.
    pub fn planned_trials(&self) -> u32 {
        let size = || self.search.space.size().and_then(|size| u32::try_from(size).ok());
        let points = self.survey.allowed().or_else(size).unwrap_or(u32::MAX);
        points.min(self.search.budget.trials.unwrap_or(u32::MAX))
    }

    /// The first points of the sweep. Those of a Bayesian search depend on the scores: others, just as likely, stand for
    /// them.
    pub fn first_points(&self, count: u32) -> Vec<Point> {
        let sampler = if self.search.sampler == Sampler::Bayes { Sampler::Sobol } else { self.search.sampler };
        let search = Search { sampler, ..self.search.clone() };
        let mut history = History::default();
        for _ in 0..count.min(self.planned_trials()) {
            let proposal = propose(&search, &history, &|point| self.config_at(point).is_ok());
            let Proposal::Point { point, .. } = proposal else { break };
            history.trials.push(Tried { point, scores: Vec::new(), state: TriedState::Open });
        }
        history.trials.into_iter().map(|tried| tried.point).collect()
    }

    /// Every pretrained encoder that a point of the space can ask for.
    pub fn encoders(&self) -> BTreeSet<Pretrained> {
        let written = match &self.config.model.encoder {
            Encoder::Pretrained(name) => Some(name.clone()),
            Encoder::Scratch(_) => None,
        };
        let varied = self.search.space.parameters().iter().filter(|parameter| parameter.name == "model.encoder");
        let values = varied.flat_map(|parameter| parameter.domain.representatives());
        let names = values.filter_map(|value| Encoder::named(value.as_str()?));
        written.into_iter().chain(names).collect()
    }
}

fn check_objective(search: &Search, document: &Document, problems: &mut Problems) {
    let multi_label = document.root().get("data").is_some_and(|data| data.get("labels").is_some());
    let known = metrics::names(multi_label);
    let objective = &search.objective;
    if known.contains(&objective.as_str()) {
        return;
    }
    let hint = nearest(objective, known.iter().copied())
        .map_or_else(|| format!("known: {}", known.join(", ")), |name| format!("did you mean `{name}`?"));
    let what = format!("no metric {objective:?} for this task; {hint}");
    problems.add(Problem::new("search.objective", document.line("search.objective"), what));
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
mod space_tests;
#[cfg(test)]
mod tests;
