//! The sweep file: parsed once, every problem reported at once, trusted from then on.

mod aggregator;
mod asked;
mod data;
mod document;
mod earlier;
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
mod trainer;
mod unread;

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use aggregator::{Activation, Aggregator, AggregatorKind, DocumentPooling, Lstm, NormPlace, Transformer};
pub use asked::Unfit;
pub use data::{Data, Format, LabelColumn, Normalization, Text};
pub use earlier::Lesson;
pub use folds::{FoldPlan, Holdout};
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
pub use trainer::{BuiltIn, Program, Trainer};

use crate::metrics;
use crate::search::space::Point;
use crate::search::{History, Proposal, Tried, TriedState, propose};
use document::Document;
use judge::judge_freely;
use reader::{Reader, nearest};
use survey::Verdict;

/// A sweep file that can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub name: String,
    pub trainer: Trainer,
    /// Whether a linear model is run on the same folds, so that everyone sees what the trials gain over it.
    pub baseline: bool,
    pub folds: FoldPlan,
    pub search: Search,
    pub resources: Resources,
    /// What the points of the space come to.
    pub survey: Survey,
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

impl Spec {
    /// Reads the text of the sweep file at this path, with changes as they are written: `KEY=VALUE`.
    pub fn of_file(path: &Path, text: &str, changes: &[String]) -> Result<Self, Problems> {
        Self::parse(&stem(path), text, &Override::parse_all(changes)?)
    }

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
        for table in trainer::TABLES {
            reader.ask(table);
        }
        let program = reader.optional_section("trainer", |reader| Program::read(reader, &document));
        let baseline = reader.flag("baseline", program.is_none());
        if baseline && program.is_some() {
            reader.problem("baseline", "a program of one's own has no baseline: leave it out, or the [trainer]");
        }
        let folds = reader.section("folds", if program.is_some() { FoldPlan::of_program } else { FoldPlan::read });
        let search = reader.section("search", Search::read);
        let resources = reader.section("resources", Resources::read);
        reader.finish();
        check_ends(&folds, &search, &document, &mut problems);
        let (trainer, survey) = if let Some(program) = program {
            check_reported(&search, &document, &mut problems);
            (Trainer::Program(program), judge_freely(&document, &search, &mut problems))
        } else {
            check_objective(&search, &document, &mut problems);
            match BuiltIn::read(&document, &search, &mut problems) {
                Ok((trainer, survey)) => (Trainer::BuiltIn(Box::new(trainer)), survey),
                Err(found) => {
                    problems.extend(found);
                    return Err(problems.sorted());
                }
            }
        };
        problems.into_result(Self { name, trainer, baseline, folds, search, resources, survey })
    }

    /// How many trials there will be at most; none where only a budget of runs or time ends them.
    pub fn planned_trials(&self) -> Option<u32> {
        let size = || self.search.space.size().and_then(|size| u32::try_from(size).ok());
        let points = self.survey.allowed().or_else(size);
        points.into_iter().chain(self.search.budget.trials).min()
    }

    /// The first points of the sweep. Those of a Bayesian search depend on the scores: others, just as likely, stand for
    /// them.
    pub fn first_points(&self, count: u32) -> Vec<Point> {
        let sampler = if self.search.sampler == Sampler::Bayes { Sampler::Sobol } else { self.search.sampler };
        let search = Search { sampler, ..self.search.clone() };
        let mut history = History::default();
        for _ in 0..self.planned_trials().map_or(count, |planned| planned.min(count)) {
            let proposal = propose(&search, &history, &|point| self.accepts(point));
            let Proposal::Point { point, .. } = proposal else { break };
            history.trials.push(Tried { point, scores: Vec::new(), state: TriedState::Open });
        }
        history.trials.into_iter().map(|tried| tried.point).collect()
    }

    /// Whether a point can be run.
    pub fn accepts(&self, point: &Point) -> bool {
        matches!(self.verdict(point), Verdict::Good)
    }
}

/// A search that is to end by itself must be able to, and its budget must have room for a trial.
fn check_ends(folds: &FoldPlan, search: &Search, document: &Document, problems: &mut Problems) {
    let mut problem = |key: &str, what: String| problems.add(Problem::new(key, document.line(key), what));
    if search.stop == Stop::Converged && search.sampler != Sampler::Bayes {
        problem("search.stop", "only sampler = \"bayes\" can tell what is left to gain".to_owned());
    } else if search.stop == Stop::Converged && folds.runs() < 2 {
        let what = "a single fold does not tell how far scores go by chance: it takes [folds] k of 2 or more";
        problem("search.stop", what.to_owned());
    }
    if let Some(runs) = search.budget.runs.filter(|runs| *runs < folds.runs()) {
        let what = format!("{runs} runs have no room for a trial, which takes {}: one a fold", folds.runs());
        problem("search.runs", what);
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

/// Which metrics a program measures, and which way is better, only its user knows.
fn check_reported(search: &Search, document: &Document, problems: &mut Problems) {
    let written = |key: &str| document.root().get("search").is_some_and(|search| search.get(key).is_some());
    let line = document.line("search");
    if !written("objective") {
        let what = "missing: the metric that the program measures, such as \"accuracy\"";
        problems.add(Problem::new("search.objective", line, what));
    } else if !written("direction") && metrics::direction(&search.objective).is_none() {
        let what =
            format!("missing: \"maximize\" or \"minimize\"; which way {} is better is not known", search.objective);
        problems.add(Problem::new("search.direction", line, what));
    }
}

impl Config {
    /// The configuration that a sweep file gives where nothing is varied.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        trainer::config_of(&Document::parse(text)?, &Point::default())
    }

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

/// The name of a sweep that gives itself none.
pub fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| "sweep".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

impl Override {
    pub fn parse_all(changes: &[String]) -> Result<Vec<Self>, Problems> {
        changes.iter().map(|change| Self::parse(change).map_err(Problems::from)).collect()
    }

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
