//! What a point of the space comes to, and what is wrong with a space as a whole.

use std::collections::BTreeSet;

use super::document::{Document, join};
use super::problem::{Problem, Problems};
use super::reader::nearest_key;
use super::survey::{Findings, Survey, Verdict};
use super::trainer::{TABLES, config_of};
use super::{Config, Search};
use crate::search::scattered;
use crate::search::space::Point;

/// A sweep file that is being read, or was.
pub(super) struct Judge<'a> {
    pub(super) document: &'a Document,
    pub(super) search: &'a Search,
}

/// Problems of one key that are reported; the others are much like them.
const SHOWN_PROBLEMS: usize = 2;
/// Draws of what a given point leaves open, until one is good.
const DRAWS_OF_GIVEN: u32 = 200;

const CONSTRAINTS: &str = "search.constraints";
const START: &str = "search.start";

impl Judge<'_> {
    pub(super) fn verdict(&self, point: &Point) -> Verdict {
        if let Some(why) = self.search.space.refusal(point, &|_| None) {
            return Verdict::Constrained(why);
        }
        match config_of(self.document, point) {
            Err(problems) => Verdict::Misconfigured(problems.iter().cloned().collect()),
            Ok(config) => self.refusal(point, &config).map_or(Verdict::Good, Verdict::Constrained),
        }
    }

    /// What constraints have against a point, those of keys that are not varied included.
    fn refusal(&self, point: &Point, config: &Config) -> Option<String> {
        let space = &self.search.space;
        let keys = if space.other_names().next().is_some() { config.keys() } else { Vec::new() };
        let other = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        space.refusal(point, &other)
    }

    /// Only keys of the configuration can be varied.
    pub(super) fn check_names(&self, problems: &mut Problems) {
        for name in self.search.space.names() {
            if !name.split_once('.').is_some_and(|(table, _)| TABLES.contains(&table)) {
                self.add(problems, name, "only keys of data, text, model and train can be varied".to_owned());
            }
        }
        if self.search.space.tied().iter().any(|tied| tied.name == "model.encoder") {
            // all of them are downloaded before anything runs
            self.add(problems, "model.encoder", "cannot follow from others: list its values".to_owned());
        }
    }

    /// Reports what a look at the points has shown. `config` is one that is good, or nothing varied.
    pub(super) fn tell(&self, findings: &Findings, config: &Config, problems: &mut Problems) {
        self.check_constraints(findings, config, problems);
        if findings.survey.is_hopeless() {
            self.tell_why_nothing_is_allowed(findings, problems);
            return;
        }
        for (name, point, found) in &findings.useless {
            for problem in found.iter().take(1) {
                self.add(problems, name, format!("with {point}: {}: {}", problem.key, problem.what));
            }
        }
        check_start(self.search, self.line(START), &|point| self.verdict(point), problems);
    }

    fn tell_why_nothing_is_allowed(&self, findings: &Findings, problems: &mut Problems) {
        for (point, verdict) in &findings.refused {
            match verdict {
                Verdict::Good => {}
                Verdict::Constrained(why) => {
                    let some = Problem::new(CONSTRAINTS, self.line(CONSTRAINTS), no_point(findings, point, why));
                    if !problems.iter().any(|known| known.key == CONSTRAINTS) {
                        problems.add(some);
                    }
                }
                Verdict::Misconfigured(found) => {
                    for problem in found {
                        let culprit = point.iter().find(|(name, _)| **name == problem.key);
                        let what = format!("with {point}: {}: {}", problem.key, problem.what);
                        self.add(problems, culprit.map_or("", |(name, _)| name), what);
                    }
                }
            }
        }
    }

    /// The names in constraints must be parameters, or keys that have a value.
    fn check_constraints(&self, findings: &Findings, config: &Config, problems: &mut Problems) {
        let names: BTreeSet<&str> = self.search.space.other_names().collect();
        if names.is_empty() {
            return;
        }
        let constrained = findings.refused.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Constrained(_)));
        let points = findings.good.iter().chain(constrained.map(|(point, _)| point));
        let configs = points.filter_map(|point| config_of(self.document, point).ok());
        let keys: BTreeSet<String> =
            configs.chain([config.clone()]).flat_map(|config| config.keys()).map(|(key, _)| key).collect();
        let known = || keys.iter().map(String::as_str).chain(self.search.space.names());
        for name in names.into_iter().filter(|name| !keys.contains(*name)) {
            problems.add(unknown_name(name, known(), self.line(CONSTRAINTS)));
        }
    }

    /// Adds a problem of a parameter, or of the space, unless enough like it are known.
    fn add(&self, problems: &mut Problems, name: &str, what: String) {
        let key = if name.is_empty() { "search.space".to_owned() } else { join("search.space", name) };
        if problems.iter().filter(|known| known.key == key).count() < SHOWN_PROBLEMS {
            problems.add(Problem::new(&key, self.line(&key).or_else(|| self.line("search.space")), what));
        }
    }

    fn line(&self, key: &str) -> Option<u32> {
        self.document.line(key)
    }
}

/// Judges a space whose names are free: constraints alone refuse points, and know parameters only.
pub(super) fn judge_freely(document: &Document, search: &Search, problems: &mut Problems) -> Survey {
    let constraints = document.line(CONSTRAINTS);
    for name in search.space.other_names() {
        problems.add(unknown_name(name, search.space.names(), constraints));
    }
    if !problems.is_empty() {
        return Survey::default();
    }
    let verdict = |point: &Point| {
        let refusal = search.space.refusal(point, &|_| None);
        refusal.map_or(Verdict::Good, Verdict::Constrained)
    };
    let findings = Findings::of(&search.space, &verdict);
    match findings.refused.first() {
        Some((point, Verdict::Constrained(why))) if findings.survey.is_hopeless() => {
            problems.add(Problem::new(CONSTRAINTS, constraints, no_point(&findings, point, why)));
        }
        _ => check_start(search, document.line(START), &verdict, problems),
    }
    findings.survey
}

fn no_point(findings: &Findings, point: &Point, why: &str) -> String {
    let points = findings.survey.points;
    let of =
        if findings.survey.whole { format!("all {points} points") } else { format!("all of {points} points drawn") };
    format!("{of} are refused: with {point}: {why}")
}

/// What a constraint names must exist.
fn unknown_name<'k>(name: &str, known: impl Iterator<Item = &'k str>, line: Option<u32>) -> Problem {
    let hint = nearest_key(name, known).map_or_else(
        || "it is no parameter, and no key with a value".to_owned(),
        |known| format!("did you mean `{known}`?"),
    );
    Problem::new(CONSTRAINTS, line, format!("unknown name {name:?}; {hint}"))
}

/// Every start must be a good point, with all that is given of it.
fn check_start(search: &Search, line: Option<u32>, verdict: &dyn Fn(&Point) -> Verdict, problems: &mut Problems) {
    for (number, given) in search.start.iter().enumerate() {
        if let Err(why) = completed(search, given, given, search.seed, verdict) {
            problems.add(Problem::new(START, line, format!("point {}: {why}", number + 1)));
        }
    }
}

/// A good point with all values that are `given`, and those of `base` that have a meaning there, the others drawn; or why
/// there is none.
pub(super) fn completed(
    search: &Search,
    given: &Point,
    base: &Point,
    seed: u64,
    verdict: &dyn Fn(&Point) -> Verdict,
) -> Result<Point, String> {
    let dimensions = search.space.parameters().len();
    let lost = |point: &Point| given.iter().map(|(name, _)| name).find(|name| point.get(name).is_none()).cloned();
    let mut why = None;
    for draw in 0..DRAWS_OF_GIVEN {
        let point = search.space.complete(base, &scattered(seed, draw, dimensions));
        let wrong = match (lost(&point), verdict(&point)) {
            (Some(name), _) => format!("{name} has no meaning with {point}"),
            (None, Verdict::Good) => return Ok(point),
            (None, Verdict::Constrained(why)) => format!("with {point}: {why}"),
            (None, Verdict::Misconfigured(found)) => {
                let first = found.first().map(|problem| format!("{}: {}", problem.key, problem.what));
                format!("with {point}: {}", first.unwrap_or_default())
            }
        };
        why.get_or_insert(wrong);
    }
    Err(why.unwrap_or_default())
}
