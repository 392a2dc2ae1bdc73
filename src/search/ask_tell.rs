//! The sampler for a loop that is not ours: one line in, one line out where there is something to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::space::Point;
use super::{Earlier, History, Proposal, Tried, TriedState, propose};
use crate::spec::Search;

/// A conversation: points that were asked for, and what was told of them.
pub struct AskTell<'a> {
    search: Search,
    /// Folds of a trial, over all repeats.
    folds: u32,
    accepts: &'a dyn Fn(&Point) -> bool,
    history: History,
    /// What was told of each trial.
    told: Vec<Told>,
}

/// An answer, to be printed as one line of JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    Trial { trial: u32, params: Point, why: String },
    Exhausted { why: String },
    Error { why: String, hint: String },
}

#[derive(Clone, Debug, PartialEq)]
enum Told {
    Nothing,
    Folds(BTreeMap<u32, f64>),
    Whole(f64),
    Failed,
}

/// What is wrong with a line, and what to write instead.
type Wrong = (String, String);

const FORMS: &str = "one JSON object a line: {\"type\":\"ask\"}, {\"type\":\"tell\",\"trial\":0,\"score\":0.8} with or \
                     without \"fold\", or {\"type\":\"tell\",\"trial\":0,\"failed\":\"why\"}";

impl<'a> AskTell<'a> {
    pub fn new(search: Search, folds: u32, accepts: &'a dyn Fn(&Point) -> bool) -> Self {
        Self { search, folds, accepts, history: History::default(), told: Vec::new() }
    }

    /// With sweeps of the past to learn from.
    #[must_use]
    pub fn after(self, earlier: Arc<[Earlier]>) -> Self {
        Self { history: History { earlier, ..self.history }, ..self }
    }

    /// What to say to a line. Nothing where something was told that can be so.
    pub fn answer(&mut self, line: &str) -> Option<Answer> {
        if line.trim().is_empty() {
            return None;
        }
        self.understand(line).unwrap_or_else(|(why, hint)| Some(Answer::Error { why, hint }))
    }

    fn understand(&mut self, line: &str) -> Result<Option<Answer>, Wrong> {
        let message: Value = serde_json::from_str(line).map_err(|error| not_json(line, &error))?;
        let Value::Object(message) = message else {
            return Err(("expected a JSON object".to_owned(), FORMS.to_owned()));
        };
        match message.get("type").and_then(Value::as_str) {
            Some("ask") => {
                known_keys(&message, &["type"])?;
                Ok(Some(self.ask()))
            }
            Some("tell") => {
                known_keys(&message, &["type", "trial", "fold", "score", "failed"])?;
                self.tell(&message).map(|()| None)
            }
            Some(other) => Err((format!("unknown type {other:?}"), FORMS.to_owned())),
            None => Err(("no type".to_owned(), FORMS.to_owned())),
        }
    }

    fn ask(&mut self) -> Answer {
        let trial = self.history.trials.len() as u32;
        if let Some(most) = self.search.budget.trials.filter(|most| trial >= *most) {
            return Answer::Exhausted { why: format!("search.trials = {most}") };
        }
        match propose(&self.search, &self.history, self.accepts) {
            Proposal::Point { point, why } => {
                let tried = Tried { point: point.clone(), scores: Vec::new(), state: TriedState::Open };
                self.history.trials.push(tried);
                self.told.push(Told::Nothing);
                Answer::Trial { trial, params: point, why }
            }
            Proposal::Exhausted { why } => Answer::Exhausted { why },
        }
    }

    fn tell(&mut self, message: &Map<String, Value>) -> Result<(), Wrong> {
        let trial = self.asked(message)?;
        let fold = self.fold(message)?;
        let news = match (message.get("score"), message.get("failed")) {
            (Some(score), None) => score.as_f64().filter(|score| score.is_finite()).map(Some).ok_or_else(|| {
                let what = format!("score: expected a finite number, found {score}");
                (what, "a trial without a score is told as \"failed\":\"why\"".to_owned())
            })?,
            (None, Some(Value::String(_))) => None,
            (None, Some(other)) => {
                return Err((format!("failed: expected a string, found {other}"), "say why it failed".to_owned()));
            }
            (Some(_), Some(_)) => return Err(("score and failed exclude each other".to_owned(), FORMS.to_owned())),
            (None, None) => return Err(("neither score nor failed".to_owned(), FORMS.to_owned())),
        };
        if self.folds > 1 && news.is_some() {
            self.same_form(trial, fold.is_some())?;
        }
        let told = &mut self.told[trial as usize];
        let again = |what: String| (what, "what was told cannot be changed; ask for another trial".to_owned());
        match (&mut *told, fold, news) {
            (Told::Failed, ..) => return Err(again(format!("trial {trial} has failed already"))),
            (Told::Whole(score), ..) => return Err(again(format!("trial {trial} has its score already: {score}"))),
            (Told::Folds(folds), Some(fold), _) if folds.contains_key(&fold) => {
                return Err(again(format!("fold {fold} of trial {trial} has its score already: {}", folds[&fold])));
            }
            (Told::Folds(_), None, Some(_)) => {
                let what = format!("trial {trial} is told fold by fold");
                return Err((what, "name the fold".to_owned()));
            }
            (Told::Folds(folds), _, None) if folds.len() == self.folds as usize => {
                return Err(again(format!("trial {trial} has the scores of all its folds already")));
            }
            (_, _, None) => *told = Told::Failed,
            (Told::Nothing, None, Some(score)) => *told = Told::Whole(score),
            (Told::Nothing, Some(fold), Some(score)) => *told = Told::Folds([(fold, score)].into()),
            (Told::Folds(folds), Some(fold), Some(score)) => {
                folds.insert(fold, score);
            }
        }
        let tried = &mut self.history.trials[trial as usize];
        tried.scores.extend(news.map(|score| (fold.unwrap_or(0), score)));
        tried.state = match told {
            Told::Failed => TriedState::Failed,
            Told::Folds(folds) if folds.len() < self.folds as usize => TriedState::Open,
            Told::Nothing => TriedState::Open,
            Told::Folds(_) | Told::Whole(_) => TriedState::Finished,
        };
        Ok(())
    }

    /// A whole score is no score of any fold: beside single folds, of which some are harder than others, it would mislead.
    fn same_form(&self, trial: u32, by_fold: bool) -> Result<(), Wrong> {
        let is_other = |told: &Told| match told {
            Told::Folds(_) => !by_fold,
            Told::Whole(_) => by_fold,
            Told::Nothing | Told::Failed => false,
        };
        let mut others = (0..).zip(&self.told).filter(|(other, _)| *other != trial);
        let Some((other, _)) = others.find(|(_, told)| is_other(told)) else { return Ok(()) };
        Err(if by_fold {
            (
                format!("trial {other} was told whole, this one is told by a fold"),
                "tell all trials the same way".to_owned(),
            )
        } else {
            (format!("trial {other} is told fold by fold"), "name the fold, as for the others".to_owned())
        })
    }

    /// The number of a trial that was asked for.
    fn asked(&self, message: &Map<String, Value>) -> Result<u32, Wrong> {
        let value = message.get("trial").ok_or_else(|| ("no trial".to_owned(), FORMS.to_owned()))?;
        let known = value.as_u64().filter(|trial| *trial < self.told.len() as u64);
        known.map(|trial| trial as u32).ok_or_else(|| {
            let hint = match self.told.len() {
                0 => "no trial was asked for yet: {\"type\":\"ask\"} comes first".to_owned(),
                1 => "only trial 0 was asked for so far".to_owned(),
                asked => format!("trials 0 to {} were asked for so far", asked - 1),
            };
            (format!("unknown trial {value}"), hint)
        })
    }

    fn fold(&self, message: &Map<String, Value>) -> Result<Option<u32>, Wrong> {
        let Some(value) = message.get("fold") else { return Ok(None) };
        let known = value.as_u64().filter(|fold| *fold < u64::from(self.folds));
        known.map(|fold| Some(fold as u32)).ok_or_else(|| {
            let hint = match self.folds {
                1 => "[folds] k of the sweep file is how many folds a trial has: 1, which is fold 0".to_owned(),
                folds => format!("folds are 0 to {}: [folds] of the sweep file", folds - 1),
            };
            (format!("unknown fold {value}"), hint)
        })
    }
}

fn not_json(line: &str, error: &serde_json::Error) -> Wrong {
    let hint = if line.contains("NaN") || line.contains("Infinity") {
        "JSON has no NaN and no Infinity: a trial without a score is told as \"failed\":\"why\""
    } else {
        FORMS
    };
    (format!("not JSON: {error}"), hint.to_owned())
}

fn known_keys(message: &Map<String, Value>, known: &[&str]) -> Result<(), Wrong> {
    match message.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err((format!("unknown key {key:?}; known here: {}", known.join(", ")), FORMS.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use insta::assert_snapshot;

    use super::*;
    use crate::spec::SearchOnly;

    /// The conversation of these lines: what was said behind `>`, and the answers.
    fn talk(spec: &str, lines: &[&str]) -> String {
        let only = SearchOnly::parse("test", spec, &[]).unwrap_or_else(|problems| panic!("{problems}"));
        let accepts = |point: &Point| only.accepts(point);
        let mut conversation = AskTell::new(only.search.clone(), only.folds, &accepts);
        lines.iter().fold(String::new(), |mut picture, line| {
            writeln!(picture, "> {line}").expect("a string takes all");
            if let Some(answer) = conversation.answer(line) {
                let answer = serde_json::to_string(&answer).expect("serialises");
                writeln!(picture, "{answer}").expect("a string takes all");
            }
            picture
        })
    }

    const ASK: &str = r#"{"type":"ask"}"#;

    #[test]
    fn a_grid_is_asked_to_its_end() {
        let spec = "[search]\nstart = [{ b = \"y\" }]\n[search.space]\na = [0.1, 1e-7]\nb = [\"x\", \"y\"]";
        let tell = r#"{"type":"tell","trial":1,"score":0.25}"#;
        assert_snapshot!(talk(spec, &[ASK, ASK, tell, ASK, ASK, ASK]));
    }

    #[test]
    fn folds_are_told_one_by_one() {
        let spec = "[folds]\nk = 2\n[search]\ntrials = 1\n[search.space]\na = [1, 2]";
        let lines = [
            ASK,
            r#"{"type":"tell","trial":0,"fold":1,"score":1}"#,
            r#"{"type":"tell","trial":0,"fold":1,"score":2}"#,
            r#"{"type":"tell","trial":0,"score":2}"#,
            r#"{"type":"tell","trial":0,"fold":2,"score":2}"#,
            r#"{"type":"tell","trial":0,"fold":0,"score":-3.5e-3}"#,
            r#"{"type":"tell","trial":0,"fold":0,"score":2}"#,
            ASK,
        ];
        assert_snapshot!(talk(spec, &lines));
    }

    #[test]
    fn what_makes_no_sense_is_answered_and_it_goes_on() {
        let spec = "[search]\nsampler = \"sobol\"\n[search.space]\na = [true, false]";
        let lines = [
            r#"{"type":"tell","trial":0,"score":1}"#,
            "",
            "  ",
            "ask",
            "[1]",
            "3",
            "{}",
            r#"{"type":"aks"}"#,
            r#"{"type":"ask","n":2}"#,
            ASK,
            r#"{"type":"tell","score":1}"#,
            r#"{"type":"tell","trial":1,"score":1}"#,
            r#"{"type":"tell","trial":-1,"score":1}"#,
            r#"{"type":"tell","trial":0.5,"score":1}"#,
            r#"{"type":"tell","trial":0}"#,
            r#"{"type":"tell","trial":0,"score":NaN}"#,
            r#"{"type":"tell","trial":0,"score":null}"#,
            r#"{"type":"tell","trial":0,"score":"0.5"}"#,
            r#"{"type":"tell","trial":0,"score":1e999}"#,
            r#"{"type":"tell","trial":0,"score":1,"failed":"x"}"#,
            r#"{"type":"tell","trial":0,"failed":true}"#,
            r#"{"type":"tell","trial":0,"fold":1,"score":1}"#,
            r#"{"type":"tell","trial":0,"fold":"a","score":1}"#,
            r#"{"type":"tell","trial":0,"score":1,"note":"x"}"#,
            r#"{"type":"tell","trial":0,"failed":"out of memory"}"#,
            r#"{"type":"tell","trial":0,"score":1}"#,
            ASK,
            r#"{"type":"tell","trial":1,"score":1}"#,
            r#"{"type":"tell","trial":1,"score":2}"#,
            r#"{"type":"tell","trial":7,"score":2}"#,
            ASK,
        ];
        assert_snapshot!(talk(spec, &lines));
    }

    /// Beside single folds a whole score would be one of a fold that is as easy as all of them.
    #[test]
    fn all_trials_are_told_the_same_way() {
        let spec = "[folds]\nk = 2\n[search.space]\na = [1, 2, 3]";
        let whole = r#"{"type":"tell","trial":0,"score":1}"#;
        let fold = r#"{"type":"tell","trial":1,"fold":0,"score":1}"#;
        let other = r#"{"type":"tell","trial":1,"fold":1,"score":2}"#;
        let failed = r#"{"type":"tell","trial":1,"failed":"too late"}"#;
        let spec = format!("[search]\n{spec}");
        assert_snapshot!(talk(&spec, &[ASK, ASK, whole, fold]));
        assert_snapshot!(talk(&spec, &[ASK, ASK, fold, whole, other, failed]));
    }

    /// What is told is what the search sees.
    #[test]
    fn the_history_is_what_was_told() {
        let spec = "[folds]\nk = 2\n[search.space]\na = [1, 2, 3, 4]";
        let only = SearchOnly::parse("test", &format!("[search]\n{spec}"), &[]).expect("a good file");
        let mut conversation = AskTell::new(only.search.clone(), only.folds, &|_| true);
        let lines = [
            r#"{"type":"tell","trial":0,"fold":1,"score":0.5}"#,
            r#"{"type":"tell","trial":0,"fold":0,"score":0.75}"#,
            r#"{"type":"tell","trial":1,"fold":0,"score":0.25}"#,
            r#"{"type":"tell","trial":2,"fold":0,"score":0.125}"#,
            r#"{"type":"tell","trial":2,"fold":1,"failed":"no memory"}"#,
        ];
        for line in [ASK; 4].iter().chain(&lines) {
            conversation.answer(line);
        }
        let seen: Vec<_> =
            conversation.history.trials.iter().map(|tried| (tried.scores.clone(), tried.state)).collect();
        let wanted = [
            (vec![(1, 0.5), (0, 0.75)], TriedState::Finished),
            (vec![(0, 0.25)], TriedState::Open),
            (vec![(0, 0.125)], TriedState::Failed),
            (vec![], TriedState::Open),
        ];
        assert_eq!(seen, wanted);
    }
}
