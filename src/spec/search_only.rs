//! A sweep file for somebody else's loop: what is searched, and nothing of what is trained.

use serde_json::Value;

use super::document::Document;
use super::folds::FoldPlan;
use super::judge::judge_freely;
use super::problem::Problems;
use super::reader::Reader;
use super::resources::Resources;
use super::survey::Survey;
use super::{Override, Search, Spec};
use crate::search::space::Point;

/// What the sampler alone needs of a sweep file.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOnly {
    /// With a budget of trials only if the file gives one: whoever asks decides when to end.
    pub search: Search,
    /// Folds of a trial, over all repeats.
    pub folds: u32,
    pub survey: Survey,
    /// The sweep, if the file is one: its model refuses points.
    spec: Option<Spec>,
}

/// Sections that say what is trained.
const TRAINED: [&str; 5] = ["data", "text", "model", "train", "trainer"];

impl SearchOnly {
    /// Reads a sweep file, of which `[search]` is enough: the names in the space are free then.
    pub fn parse(stem: &str, text: &str, overrides: &[Override]) -> Result<Self, Problems> {
        let mut document = Document::parse(text)?;
        for change in overrides {
            document.set(&change.key, change.value.clone());
        }
        let mut only = if TRAINED.iter().any(|section| document.root().contains_key(*section)) {
            let spec = Spec::parse(stem, text, overrides)?;
            let (search, folds, survey) = (spec.search.clone(), spec.folds.runs(), spec.survey.clone());
            Self { search, folds, survey, spec: Some(spec) }
        } else {
            Self::read(&document)?
        };
        if !document.has("search.trials") {
            only.search.budget.trials = None;
        }
        Ok(only)
    }

    /// Whether a point makes a configuration that can run.
    pub fn accepts(&self, point: &Point) -> bool {
        self.spec.as_ref().is_none_or(|spec| spec.accepts(point))
    }

    /// The values of keys that are not varied, where it is known what is trained.
    pub fn values(&self) -> Vec<(String, Value)> {
        self.spec.as_ref().map(Spec::values).unwrap_or_default()
    }

    fn read(document: &Document) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut reader = Reader::root(document, &mut problems);
        reader.text("name");
        reader.flag("baseline", true);
        if !reader.has("search") {
            reader.problem("search", "missing: what is searched");
        }
        let folds = reader.section("folds", FoldPlan::read_free).runs();
        let search = reader.section("search", Search::read);
        reader.section("resources", Resources::read);
        reader.finish();
        let survey = judge_freely(document, &search, &mut problems);
        problems.into_result(Self { search, folds, survey, spec: None })
    }
}
