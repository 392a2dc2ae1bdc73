//! One trial: its curves, folds, parameters, errors and logs.

use std::collections::BTreeSet;

use super::{Cursor, Data};
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::{Ledger, Run, Trial};
use crate::dashboard::message::Move;
use crate::protocol::Split;
use crate::store::{Outline, RunState, SweepKey};
use crate::sweep::{RunId, TrialId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialMsg {
    Page(Page),
    NextPage,
    PreviousPage,
    /// The next one, or the one before, in the order of the table.
    Next,
    Previous,
    NextMetric,
    Metrics,
    Splits,
    Smooth,
    LogY,
    LogX,
    Steps,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    /// The cursor to a place in the window, in thousandths of it.
    CursorAt(u16),
    /// Writes the command that repeats it into the clipboard.
    Copy,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    #[default]
    Curves,
    Folds,
    Parameters,
    Errors,
    Log,
}

impl Page {
    pub const ALL: [Self; 5] = [Self::Curves, Self::Folds, Self::Parameters, Self::Errors, Self::Log];

    pub fn title(self) -> &'static str {
        match self {
            Self::Curves => "curves",
            Self::Folds => "folds",
            Self::Parameters => "parameters",
            Self::Errors => "errors",
            Self::Log => "log",
        }
    }

    fn shifted(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Which curves are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Splits {
    #[default]
    Both,
    Validation,
    Train,
}

impl Splits {
    /// Those of them in which a metric is measured, by what a run has measured; none of that: not known yet.
    pub(super) fn of(self, names: Option<&[(Split, String)]>, metric: &str) -> Vec<Split> {
        let measured =
            |split: Split| names.is_none_or(|names| names.iter().any(|(s, name)| *s == split && name == metric));
        let wanted: &[Split] = match self {
            Self::Both => &[Split::Train, Split::Validation, Split::Machine],
            Self::Validation => &[Split::Validation, Split::Machine],
            Self::Train => &[Split::Train, Split::Machine],
        };
        let shown: Vec<Split> = wanted.iter().copied().filter(|split| measured(*split)).collect();
        // not every metric is measured in training
        if shown.is_empty() { vec![Split::Validation] } else { shown }
    }

    pub(super) fn next(self) -> Self {
        match self {
            Self::Both => Self::Validation,
            Self::Validation => Self::Train,
            Self::Train => Self::Both,
        }
    }
}

/// Weights of the moving average.
pub(super) const SMOOTHING: [f64; 5] = [0.0, 0.6, 0.8, 0.9, 0.97];

/// Of the window, for a step of the cursor.
const STEP: f64 = 0.02;

#[derive(Debug)]
pub struct TrialView {
    pub page: Page,
    /// None: the objective.
    pub metric: Option<String>,
    pub splits: Splits,
    smoothing: usize,
    pub is_log_y: bool,
    pub is_log_x: bool,
    /// None: by steps where an epoch has several points, else by epochs.
    steps: Option<bool>,
    /// The part of the x axis that is seen.
    pub window: (f64, f64),
    /// Where in the window.
    pub cursor: Option<f64>,
    /// The fold that stands out, among the newest runs.
    pub fold: Option<usize>,
    /// Of the list of parameters.
    pub parameters: Cursor,
    /// Of the list of mistakes.
    pub mistakes: Cursor,
    /// Lines from the end of the log.
    pub above_end: usize,
}

impl Default for TrialView {
    fn default() -> Self {
        Self {
            page: Page::default(),
            metric: None,
            splits: Splits::default(),
            smoothing: 0,
            is_log_y: false,
            is_log_x: false,
            steps: None,
            window: (0.0, 1.0),
            cursor: None,
            fold: None,
            parameters: Cursor::default(),
            mistakes: Cursor::default(),
            above_end: 0,
        }
    }
}

impl TrialView {
    /// Whether a message does anything on this page.
    pub(in crate::dashboard) fn heeds(&self, msg: &TrialMsg) -> bool {
        match msg {
            TrialMsg::Page(_) | TrialMsg::NextPage | TrialMsg::PreviousPage | TrialMsg::Next | TrialMsg::Previous => {
                true
            }
            TrialMsg::Copy => self.page == Page::Parameters,
            _ => self.page == Page::Curves,
        }
    }

    pub fn smoothing(&self) -> f64 {
        SMOOTHING[self.smoothing]
    }

    pub fn metric<'a>(&'a self, outline: &'a Outline) -> &'a str {
        self.metric.as_deref().unwrap_or(&outline.objective)
    }

    /// All metrics that the trial's first run has, the objective first, those of single classes last.
    pub fn metrics(&self, data: &Data, outline: &Outline, trial: &Trial) -> Vec<String> {
        let Some(names) = trial.runs.first().and_then(|run| data.metrics(outline.head.key, id_of(trial, run))) else {
            return vec![outline.objective.clone()];
        };
        in_order(names, &outline.objective)
    }

    /// Splits of the chosen metric that are drawn.
    pub fn shown_splits(&self, data: &Data, sweep: SweepKey, trial: &Trial, metric: &str) -> Vec<Split> {
        let names = trial.runs.first().and_then(|run| data.metrics(sweep, id_of(trial, run)));
        self.splits.of(names, metric)
    }

    /// The curves that are drawn: of each attempt at each fold.
    pub fn curves(&self, data: &Data, outline: &Outline, trial: &Trial) -> Vec<(usize, Split, Want)> {
        let (sweep, metric) = (outline.head.key, self.metric(outline));
        let folds: Vec<_> = trial.newest_runs().map(|run| run.fold).collect();
        let mut curves = Vec::new();
        for split in self.shown_splits(data, sweep, trial, metric) {
            for run in &trial.runs {
                let fold = folds.iter().position(|fold| *fold == run.fold).unwrap_or(0);
                let want = Want::Curve { sweep, run: id_of(trial, run), split, metric: metric.to_owned() };
                curves.push((fold, split, want));
            }
        }
        curves
    }

    /// Whether the x axis is in optimiser steps.
    pub fn by_steps(&self, data: &Data, outline: &Outline, trial: &Trial) -> bool {
        self.steps.unwrap_or_else(|| {
            let curves = self.curves(data, outline, trial);
            let mut samples = curves.iter().filter_map(|(_, _, want)| data.curve(want));
            samples.any(|samples| samples.windows(2).any(|pair| pair[0].epoch == pair[1].epoch))
        })
    }

    /// What this page needs besides the sweep's trials.
    pub(super) fn wants(&self, data: &Data, outline: &Outline, trial: &Trial) -> Vec<Want> {
        let sweep = outline.head.key;
        match self.page {
            Page::Curves => {
                let mut wants: Vec<Want> =
                    self.curves(data, outline, trial).into_iter().map(|(_, _, want)| want).collect();
                wants.extend(trial.runs.first().map(|run| Want::Metrics(sweep, id_of(trial, run))));
                wants
            }
            Page::Folds => Vec::new(),
            Page::Parameters => vec![Want::Record(sweep)],
            Page::Errors => vec![Want::Errors { sweep, trial: trial.id, folds: trial.folds_done() }],
            Page::Log => {
                let run = self.run(trial);
                run.map(|run| Want::Log { sweep: outline.name.clone(), run: id_of(trial, run) }).into_iter().collect()
            }
        }
    }

    /// The newest attempt at the chosen fold; where none is chosen, the one that runs or the last.
    pub fn run<'a>(&self, trial: &'a Trial) -> Option<&'a Run> {
        match self.fold {
            Some(fold) => trial.newest_runs().nth(fold),
            None => {
                trial.newest_runs().find(|run| run.state == RunState::Running).or_else(|| trial.newest_runs().last())
            }
        }
    }

    pub(super) fn update(&mut self, msg: &TrialMsg, data: &Data, outline: &Outline, trial: &Trial) {
        match msg {
            TrialMsg::Page(page) => self.page = *page,
            TrialMsg::NextPage => self.page = self.page.shifted(1),
            TrialMsg::PreviousPage => self.page = self.page.shifted(Page::ALL.len() - 1),
            TrialMsg::NextMetric => {
                let metrics = self.metrics(data, outline, trial);
                let place = metrics.iter().position(|name| name == self.metric(outline)).map_or(0, |place| place + 1);
                self.choose_metric(metrics.get(place % metrics.len().max(1)).cloned());
            }
            TrialMsg::Splits => self.splits = self.splits.next(),
            TrialMsg::Smooth => self.smoothing = (self.smoothing + 1) % SMOOTHING.len(),
            TrialMsg::LogY => self.is_log_y = !self.is_log_y,
            TrialMsg::LogX => self.is_log_x = !self.is_log_x,
            TrialMsg::Steps => self.steps = Some(!self.by_steps(data, outline, trial)),
            TrialMsg::ZoomIn => self.zoom(0.5),
            TrialMsg::ZoomOut => self.zoom(2.0),
            TrialMsg::ZoomReset => (self.window, self.cursor) = ((0.0, 1.0), None),
            TrialMsg::CursorAt(thousandths) => self.cursor = Some(f64::from(*thousandths) / 1000.0),
            // what other parts of the model do
            TrialMsg::Next | TrialMsg::Previous | TrialMsg::Metrics | TrialMsg::Copy => {}
        }
    }

    pub(super) fn choose_metric(&mut self, metric: Option<String>) {
        self.metric = metric;
        self.is_log_y = false;
    }

    pub(super) fn step(&mut self, to: Move, data: &Data, sweep: SweepKey, trial: &Trial) {
        match self.page {
            Page::Curves => match to {
                Move::Left => self.shift(-STEP),
                Move::Right => self.shift(STEP),
                Move::PageUp => self.shift(-10.0 * STEP),
                Move::PageDown => self.shift(10.0 * STEP),
                Move::Rows(rows) => self.zoom(if rows < 0 { 0.8 } else { 1.25 }),
                _ => self.step_fold(to, trial),
            },
            Page::Folds => self.step_fold(to, trial),
            Page::Parameters => {
                let parameters = data.ledger(sweep).map_or(0, |ledger| ledger.parameters.len());
                self.parameters.scroll(to, parameters);
            }
            Page::Errors => {
                let folds = trial.folds_done();
                let errors = data.errors(&Want::Errors { sweep, trial: trial.id, folds });
                self.mistakes.step(to, errors.map_or(0, |errors| errors.mistakes.len()));
            }
            Page::Log => match to {
                Move::Left | Move::Right => {
                    // from the one that is shown
                    let shown = self.run(trial).map(|run| run.fold);
                    self.fold = trial.newest_runs().position(|run| Some(run.fold) == shown);
                    self.step_fold(if to == Move::Left { Move::Up } else { Move::Down }, trial);
                }
                Move::Up => self.above_end += 1,
                Move::Down => self.above_end = self.above_end.saturating_sub(1),
                Move::PageUp => self.above_end += 20,
                Move::PageDown => self.above_end = self.above_end.saturating_sub(20),
                Move::Rows(rows) => self.above_end = self.above_end.saturating_add_signed(-rows),
                Move::First => self.above_end = usize::MAX / 2,
                Move::Last | Move::To(_) => self.above_end = 0,
            },
        }
    }

    fn step_fold(&mut self, to: Move, trial: &Trial) {
        let folds = trial.newest_runs().count();
        self.above_end = 0;
        self.fold = match (to, self.fold) {
            _ if folds == 0 => None,
            (Move::Up, None) | (Move::Last, _) => Some(folds - 1),
            (Move::Down, None) | (Move::First, _) => Some(0),
            // beyond the ends is no fold, and all of them
            (Move::Up, Some(fold)) => fold.checked_sub(1),
            (Move::Down, Some(fold)) => Some(fold + 1).filter(|fold| *fold < folds),
            (Move::To(fold), _) => Some(fold.min(folds - 1)),
            (_, fold) => fold,
        };
    }

    /// Moves the cursor; at an edge the window goes with it.
    fn shift(&mut self, by: f64) {
        let at = self.cursor.unwrap_or(0.5) + by;
        self.cursor = Some(at.clamp(0.0, 1.0));
        let beyond = at - at.clamp(0.0, 1.0);
        if beyond != 0.0 {
            let (low, high) = self.window;
            let moved = (beyond * (high - low)).clamp(-low, 1.0 - high);
            self.window = (low + moved, high + moved);
        }
    }

    /// Around the cursor.
    fn zoom(&mut self, factor: f64) {
        let (low, high) = self.window;
        let span = ((high - low) * factor).clamp(0.005, 1.0);
        let at = self.cursor.unwrap_or(0.5);
        let low = (low + at * (high - low) - at * span).clamp(0.0, 1.0 - span);
        self.window = (low, low + span);
    }
}

/// Names of metrics: the objective first, those of single classes and of the machine last.
pub(super) fn in_order(names: &[(Split, String)], objective: &str) -> Vec<String> {
    let known: BTreeSet<&String> =
        names.iter().filter(|(split, _)| *split != Split::Machine).map(|(_, name)| name).collect();
    let mut known: Vec<String> = known.into_iter().cloned().collect();
    known.sort_by_key(|name| (name != objective, name != "loss", name.contains('/')));
    let machine = names.iter().filter(|(split, _)| *split == Split::Machine).map(|(_, name)| name.clone());
    known.extend(machine);
    known
}

/// The run's name in the whole sweep.
pub fn id_of(trial: &Trial, run: &Run) -> RunId {
    RunId { trial: trial.id, fold: run.fold, attempt: run.attempt }
}

/// The trial after or before another in the order of the table; the same one at the ends.
pub(super) fn neighbour(rows: &[u32], ledger: &Ledger, of: TrialId, forward: bool) -> TrialId {
    let place = rows.iter().position(|row| ledger.trials[*row as usize].id == of);
    let next = place.and_then(|place| if forward { place.checked_add(1) } else { place.checked_sub(1) });
    next.and_then(|next| rows.get(next)).map_or(of, |row| ledger.trials[*row as usize].id)
}
