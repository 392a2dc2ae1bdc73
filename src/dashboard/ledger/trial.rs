//! A trial, its runs and its settings, compactly.

use std::sync::Arc;

use serde_json::Value;

use crate::crossval::Comparison;
use crate::store::{GivenUp, Millis, RunState, TrialState};
use crate::sweep::{FoldId, RunEnd, RunId, TrialEnd, TrialId};

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub id: TrialId,
    pub state: TrialState,
    pub why: Option<Box<str>>,
    /// Mean over all folds; none before it is finished.
    pub score: Option<f64>,
    pub score_se: Option<f64>,
    pub given_up: Option<GivenUp>,
    /// It counts in nothing.
    pub excluded: bool,
    pub note: Option<Box<str>>,
    /// Sorted.
    pub tags: Vec<Box<str>>,
    /// One for each of the ledger's parameters, as far as they were known when it was proposed.
    pub(super) values: Box<[Setting]>,
    pub proposed: Millis,
    pub ended: Option<Millis>,
    /// In the order of repeat, fold, attempt.
    pub runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub fold: FoldId,
    pub attempt: u32,
    pub state: RunState,
    /// The objective at its best epoch; of a pruned run, so far.
    pub score: Option<f64>,
    pub best_epoch: Option<u32>,
    pub epochs: Option<u32>,
    pub peak_memory_mb: Option<u32>,
    pub slot: Option<u32>,
    pub device: Option<Arc<str>>,
    pub host: Option<Arc<str>>,
    pub pid: Option<u32>,
    pub started: Option<Millis>,
    pub ended: Option<Millis>,
    pub why: Option<Box<str>>,
}

/// What a parameter is set to.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Setting {
    /// The parameter has no meaning at this point.
    #[default]
    Absent,
    Number(f64),
    Truth(bool),
    /// Texts as they are, lists and tables as JSON.
    Text(Arc<str>),
}

impl Trial {
    pub(super) fn proposed(id: TrialId, values: Box<[Setting]>, proposed: Millis) -> Self {
        Self {
            id,
            state: TrialState::Waiting,
            why: None,
            score: None,
            score_se: None,
            given_up: None,
            excluded: false,
            note: None,
            tags: Vec::new(),
            values,
            proposed,
            ended: None,
            runs: Vec::new(),
        }
    }

    /// The value of a ledger's parameter.
    pub fn setting(&self, parameter: usize) -> &Setting {
        self.values.get(parameter).unwrap_or(&Setting::Absent)
    }

    /// Whether anything was said of it.
    pub fn has_remarks(&self) -> bool {
        self.excluded || self.note.is_some() || !self.tags.is_empty()
    }

    /// `excluded fast large “the loss explodes”`
    pub fn remarks(&self) -> String {
        let excluded = self.excluded.then(|| "excluded".to_owned());
        let tags = self.tags.iter().map(ToString::to_string);
        let note = self.note.as_ref().map(|note| format!("“{note}”"));
        excluded.into_iter().chain(tags).chain(note).collect::<Vec<_>>().join(" ")
    }

    /// The newest attempt at each fold.
    pub fn newest_runs(&self) -> impl Iterator<Item = &Run> {
        let later = self.runs.iter().skip(1).map(Some).chain([None]);
        self.runs
            .iter()
            .zip(later)
            .filter(|(run, later)| later.is_none_or(|later| later.fold != run.fold))
            .map(|(run, _)| run)
    }

    /// The newest attempt at one fold.
    pub fn newest_run(&self, fold: FoldId) -> Option<&Run> {
        let after = self.runs.partition_point(|run| run.fold <= fold);
        self.runs[..after].last().filter(|run| run.fold == fold)
    }

    pub fn folds_done(&self) -> usize {
        self.newest_runs().filter(|run| run.state == RunState::Finished).count()
    }

    /// Mean over the folds that are finished.
    pub fn score_so_far(&self) -> Option<f64> {
        if self.score.is_some() {
            return self.score;
        }
        let (count, sum) = self
            .newest_runs()
            .filter(|run| run.state == RunState::Finished)
            .filter_map(|run| run.score)
            .fold((0, 0.0), |(count, sum), score| (count + 1, sum + score));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Seconds of all its runs; those that go on count up to now.
    pub fn seconds(&self, now: Millis) -> Option<f64> {
        let spans = self.runs.iter().filter_map(|run| run.seconds(now));
        spans.fold(None, |sum, span| Some(sum.unwrap_or(0.0) + span))
    }

    /// On the folds that both have finished, of repeats of `k`.
    pub fn compared_with(&self, other: &Self, k: u32) -> Option<Comparison> {
        let own = self.runs.iter().filter(|run| run.state == RunState::Finished);
        let paired = own.filter_map(|run| {
            let its = other.runs.iter().find(|its| its.fold == run.fold && its.state == RunState::Finished)?;
            Some(run.score? - its.score?)
        });
        let differences: Vec<f64> = paired.collect();
        Comparison::of(&differences, k)
    }

    pub(super) fn run_mut(&mut self, id: RunId) -> &mut Run {
        let place = self.runs.binary_search_by_key(&(id.fold, id.attempt), |run| (run.fold, run.attempt));
        let index = place.unwrap_or_else(|index| {
            self.runs.insert(index, Run::new(id));
            index
        });
        &mut self.runs[index]
    }

    pub(super) fn end(&mut self, end: &TrialEnd, at: Millis) {
        self.ended = Some(at);
        (self.state, self.score, self.score_se, self.why) = match end {
            TrialEnd::Finished { score, score_se } => (TrialState::Finished, Some(*score), *score_se, None),
            TrialEnd::Failed { why } => (TrialState::Failed, None, None, Some(why.as_str().into())),
            TrialEnd::Dropped { why } | TrialEnd::Pruned { why } => {
                (TrialState::Pruned, None, None, Some(why.as_str().into()))
            }
            TrialEnd::Cancelled { why } => (TrialState::Cancelled, None, None, Some(why.as_str().into())),
        };
        match end {
            TrialEnd::Dropped { .. } => self.given_up = Some(GivenUp::Race),
            TrialEnd::Pruned { .. } => self.given_up = Some(GivenUp::Prune),
            TrialEnd::Finished { .. } | TrialEnd::Failed { .. } | TrialEnd::Cancelled { .. } => {}
        }
    }
}

impl Run {
    fn new(id: RunId) -> Self {
        Self {
            fold: id.fold,
            attempt: id.attempt,
            state: RunState::Running,
            score: None,
            best_epoch: None,
            epochs: None,
            peak_memory_mb: None,
            slot: None,
            device: None,
            host: None,
            pid: None,
            started: None,
            ended: None,
            why: None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == RunState::Running
    }

    /// From its start to its end, or to now.
    pub fn seconds(&self, now: Millis) -> Option<f64> {
        let started = self.started?;
        let ended = self.ended.unwrap_or(if self.state == RunState::Running { now } else { started });
        Some((ended.0 - started.0).max(0) as f64 / 1000.0)
    }

    pub(super) fn end(&mut self, end: &RunEnd, at: Millis) {
        self.ended = self.ended.or(Some(at));
        let (state, because) = match end {
            RunEnd::Finished { score, best_epoch, epochs, peak_memory_mb } => {
                self.score = Some(*score);
                self.best_epoch = Some(*best_epoch);
                self.epochs = Some(*epochs);
                self.peak_memory_mb = Some(*peak_memory_mb as u32);
                (RunState::Finished, None)
            }
            RunEnd::Failed { why } | RunEnd::Crashed { why } => (RunState::Failed, Some(why)),
            RunEnd::Interrupted { why } => (RunState::Interrupted, Some(why)),
            RunEnd::Cancelled { why } => (RunState::Cancelled, Some(why)),
            RunEnd::Pruned { why, score, best_epoch, epochs } => {
                (self.score, self.best_epoch, self.epochs) = (*score, *best_epoch, *epochs);
                (RunState::Pruned, Some(why))
            }
        };
        self.state = state;
        self.why = because.map(|why| why.as_str().into());
    }
}

impl Setting {
    /// As a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Truth(truth) => Some(f64::from(u8::from(*truth))),
            Self::Absent | Self::Text(_) => None,
        }
    }
}

/// Texts that come again and again, each kept once.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(Vec<Arc<str>>);

impl Names {
    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        // beyond that they hardly come again, and looking them up would cost more than keeping them
        if self.0.len() < 64 {
            self.0.push(Arc::clone(&new));
        }
        new
    }

    pub(super) fn setting(&mut self, value: &Value) -> Setting {
        match value {
            Value::Null => Setting::Absent,
            Value::Bool(truth) => Setting::Truth(*truth),
            Value::Number(number) => number.as_f64().map_or(Setting::Absent, Setting::Number),
            Value::String(text) => Setting::Text(self.get(text)),
            other => Setting::Text(self.get(&other.to_string())),
        }
    }
}
