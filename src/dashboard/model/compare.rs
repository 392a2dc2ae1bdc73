//! Trials beside each other, of one sweep or of several; and whole sweeps by their best ones.

use std::collections::{BTreeMap, BTreeSet};

use super::pairing::{Folds, pairs};
use super::trial::{SMOOTHING, in_order};
use super::{Compared, Cursor, Data, Lineup, Model, Splits, finals_of, id_of};
use crate::crossval::Comparison;
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::Run;
use crate::dashboard::message::{Move, Msg};
use crate::protocol::Split;
use crate::store::SweepKey;
use crate::sweep::TrialId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareMsg {
    Sheet(Sheet),
    NextSheet,
    PreviousSheet,
    /// Marked trials, or the best ones of marked sweeps.
    Source,
    /// Measure the others against the selected one; once more: against the best.
    Reference,
    /// The selected trial.
    Open,
    /// Take the mark of the selected one away.
    Unmark,
    NextMetric,
    Metrics,
    Splits,
    /// The mean over the folds, or each of them.
    Each,
    Smooth,
    LogY,
    /// Best so far by seconds, or by trials.
    Seconds,
    /// All parameters, or those that differ.
    All,
    /// The cursor to a place in the chart, in thousandths of it.
    CursorAt(u16),
}

/// What of them is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet {
    /// How good each sweep was after so many trials.
    Progress,
    Curves,
    Folds,
    Parameters,
    Metrics,
}

impl Sheet {
    pub const ALL: [Self; 5] = [Self::Progress, Self::Curves, Self::Folds, Self::Parameters, Self::Metrics];

    pub fn title(self) -> &'static str {
        match self {
            Self::Progress => "best so far",
            Self::Curves => "curves",
            Self::Folds => "folds",
            Self::Parameters => "parameters",
            Self::Metrics => "metrics",
        }
    }
}

/// What is drawn of a trial's folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverFolds {
    /// Their mean, with a band of its standard error.
    Mean,
    /// Each of them.
    Each,
}

impl OverFolds {
    fn other(self) -> Self {
        match self {
            Self::Mean => Self::Each,
            Self::Each => Self::Mean,
        }
    }
}

/// Which trials are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Trials,
    /// The best one of each marked sweep.
    Sweeps,
}

/// Of the chart, for a step of its cursor.
const STEP: f64 = 0.02;

#[derive(Debug)]
pub struct CompareView {
    /// None: what suits the source.
    sheet: Option<Sheet>,
    /// None: what was marked.
    source: Option<Source>,
    /// None: the best one.
    pub(super) reference: Option<(SweepKey, TrialId)>,
    /// The line of the list that stands out; none: all of them.
    pub chosen: Option<usize>,
    /// None: the objective.
    pub metric: Option<String>,
    pub splits: Splits,
    pub over_folds: OverFolds,
    smoothing: usize,
    pub is_log_y: bool,
    pub by_seconds: bool,
    pub shows_all: bool,
    /// A part of the chart.
    pub at: Option<f64>,
    /// Rows of the sheet.
    pub rows: Cursor,
    /// Columns of the sheet that are scrolled away.
    pub scrolled: usize,
    folds: BTreeMap<SweepKey, Folds>,
}

impl Default for CompareView {
    fn default() -> Self {
        Self {
            sheet: None,
            source: None,
            reference: None,
            chosen: None,
            metric: None,
            splits: Splits::Validation,
            over_folds: OverFolds::Mean,
            smoothing: 0,
            is_log_y: false,
            by_seconds: false,
            shows_all: false,
            at: None,
            rows: Cursor::default(),
            scrolled: 0,
            folds: BTreeMap::new(),
        }
    }
}

impl CompareView {
    pub fn source(&self, sweeps: &BTreeSet<SweepKey>, trials: &BTreeSet<(SweepKey, TrialId)>) -> Source {
        let marked = if !sweeps.is_empty() && trials.is_empty() { Source::Sweeps } else { Source::Trials };
        self.source.unwrap_or(marked)
    }

    pub fn smoothing(&self) -> f64 {
        SMOOTHING[self.smoothing]
    }

    /// The metric that is drawn; without a choice the objective of the reference.
    pub fn metric<'a>(&'a self, lineup: &Lineup<'a>) -> &'a str {
        let objective = lineup.all.get(lineup.reference).map_or("", |it| it.outline.objective.as_str());
        self.metric.as_deref().unwrap_or(objective)
    }

    /// What is drawn of one of them: each run with its splits.
    pub fn curves(&self, data: &Data, of: &Compared<'_>, metric: &str, drawn: usize) -> Vec<(Split, Want)> {
        let sweep = of.outline.head.key;
        let names = of.trial.runs.first().and_then(|run| data.metrics(sweep, id_of(of.trial, run)));
        let splits = self.splits.of(names, metric);
        let want = |run: &Run, split| {
            let want = Want::Curve { sweep, run: id_of(of.trial, run), split, metric: metric.to_owned() };
            (split, want)
        };
        of.runs(drawn).flat_map(|run| splits.iter().map(move |split| want(run, *split))).collect()
    }

    /// How one differs from the reference, on the folds that both have; or why that says nothing.
    pub fn against(&self, lineup: &Lineup<'_>, of: &Compared<'_>) -> Result<Option<Comparison>, String> {
        let Some(reference) = lineup.all.get(lineup.reference) else { return Ok(None) };
        let folds = |of: &Compared<'_>| self.folds.get(&of.outline.head.key);
        pairs((of.outline, folds(of)), (reference.outline, folds(reference)))?;
        Ok(of.trial.compared_with(reference.trial, of.ledger.k))
    }

    /// Understands the sweep files that have been read, once.
    pub(super) fn refresh(&mut self, data: &Data) {
        self.folds.retain(|sweep, _| data.record(*sweep).is_some());
        for (sweep, _) in data.outlines.iter().flatten() {
            if let (Some(record), false) = (data.record(*sweep), self.folds.contains_key(sweep)) {
                self.folds.insert(*sweep, Folds::of(record));
            }
        }
    }

    fn shift(&mut self, by: f64) {
        self.at = Some((self.at.unwrap_or(0.5) + by).clamp(0.0, 1.0));
    }
}

impl Model {
    pub fn sheet(&self) -> Sheet {
        let source = self.compare.source(&self.sweeps.marks, &self.marks);
        let suits = if source == Source::Sweeps { Sheet::Progress } else { Sheet::Curves };
        self.compare.sheet.unwrap_or(suits)
    }

    /// Metrics that are measured of what is compared.
    pub fn compared_metrics(&self) -> Vec<String> {
        let lineup = self.lineup();
        let mut names = BTreeSet::new();
        for it in lineup.drawn() {
            let run = it.trial.runs.first();
            let of_run = run.and_then(|run| self.data.metrics(it.outline.head.key, id_of(it.trial, run)));
            names.extend(of_run.unwrap_or_default().iter().cloned());
        }
        let objective = lineup.all.get(lineup.reference).map_or("", |it| it.outline.objective.as_str());
        let names: Vec<(Split, String)> = names.into_iter().collect();
        let ordered = in_order(&names, objective);
        if ordered.is_empty() { vec![objective.to_owned()] } else { ordered }
    }

    pub(super) fn compare_wants(&self) -> Vec<Want> {
        let (picked, _) = self.picked();
        let sweeps: BTreeSet<SweepKey> = picked.iter().map(|(sweep, _)| *sweep).collect();
        let mut wants: Vec<Want> = sweeps.iter().map(|sweep| Want::Trials(*sweep)).collect();
        // within one sweep the folds are the same whatever they are
        if sweeps.len() > 1 {
            wants.extend(sweeps.iter().map(|sweep| Want::Record(*sweep)));
        }
        let lineup = self.lineup();
        let drawn = lineup.drawn();
        match self.sheet() {
            Sheet::Curves => {
                let metric = self.compare.metric(&lineup);
                for it in drawn {
                    let first = it.trial.runs.first();
                    wants.extend(first.map(|run| Want::Metrics(it.outline.head.key, id_of(it.trial, run))));
                    let curves = self.compare.curves(&self.data, it, metric, drawn.len());
                    wants.extend(curves.into_iter().map(|(_, want)| want));
                }
            }
            Sheet::Metrics => wants.extend(lineup.all.iter().map(finals_of)),
            Sheet::Progress | Sheet::Folds | Sheet::Parameters => {}
        }
        wants
    }

    pub(super) fn step_compare(&mut self, to: Move) {
        let compared = self.lineup().all.len();
        let (sheet, rows) = (self.sheet(), self.sheet_rows());
        let view = &mut self.compare;
        match to {
            Move::Up | Move::Down | Move::To(_) => {
                view.chosen = match (to, view.chosen) {
                    _ if compared == 0 => None,
                    (Move::Up, None) => Some(compared - 1),
                    (Move::Down, None) => Some(0),
                    // beyond the ends is none, and all of them
                    (Move::Up, Some(row)) => row.checked_sub(1),
                    (Move::Down, Some(row)) => Some(row + 1).filter(|row| *row < compared),
                    (Move::To(row), chosen) => Some(row).filter(|row| *row < compared && chosen != Some(*row)),
                    (_, chosen) => chosen,
                };
            }
            Move::Left | Move::Right if matches!(sheet, Sheet::Progress | Sheet::Curves) => {
                view.shift(if to == Move::Left { -STEP } else { STEP });
            }
            Move::Left => view.scrolled = view.scrolled.saturating_sub(1),
            Move::Right => view.scrolled = (view.scrolled + 1).min(compared.saturating_sub(1)),
            _ => view.rows.scroll(to, rows),
        }
    }

    pub(super) fn compare_does(&mut self, msg: &CompareMsg) -> Option<Msg> {
        let sheet = self.sheet();
        let chosen = self.compare.chosen.and_then(|row| self.lineup().all.get(row).map(Compared::key));
        let source = self.compare.source(&self.sweeps.marks, &self.marks);
        match msg {
            CompareMsg::Sheet(sheet) => self.compare.open(*sheet),
            CompareMsg::NextSheet => self.compare.open(shifted(sheet, 1)),
            CompareMsg::PreviousSheet => self.compare.open(shifted(sheet, Sheet::ALL.len() - 1)),
            CompareMsg::Source => {
                let other = if source == Source::Sweeps { Source::Trials } else { Source::Sweeps };
                self.compare.turn_to(Some(other));
            }
            CompareMsg::Reference => {
                self.compare.reference = chosen.filter(|chosen| self.compare.reference != Some(*chosen));
            }
            CompareMsg::Open => {
                // its sweep must be the open one: the screens are about that
                let (sweep, trial) = chosen.or_else(|| {
                    let lineup = self.lineup();
                    lineup.all.get(lineup.reference).map(Compared::key)
                })?;
                self.switch_to(sweep);
                return Some(Msg::OpenTrial(trial));
            }
            CompareMsg::Unmark => {
                let (sweep, trial) = chosen?;
                match source {
                    Source::Sweeps => drop(self.sweeps.marks.remove(&sweep)),
                    Source::Trials => drop(self.marks.remove(&(sweep, trial))),
                }
                self.compare.chosen = None;
            }
            CompareMsg::NextMetric => {
                let metrics = self.compared_metrics();
                let place = self.metric_place(&metrics).map_or(0, |place| place + 1);
                self.compare.choose_metric(metrics.get(place % metrics.len().max(1)).cloned());
            }
            CompareMsg::Metrics => {
                let place = self.metric_place(&self.compared_metrics()).unwrap_or(0);
                let mut cursor = Cursor::default();
                cursor.select(place);
                self.overlay = Some(super::Overlay::Metrics(cursor));
            }
            CompareMsg::Splits => self.compare.splits = self.compare.splits.next(),
            CompareMsg::Each => self.compare.over_folds = self.compare.over_folds.other(),
            CompareMsg::Smooth => self.compare.smoothing = (self.compare.smoothing + 1) % SMOOTHING.len(),
            CompareMsg::LogY => self.compare.is_log_y = !self.compare.is_log_y,
            CompareMsg::Seconds => self.compare.by_seconds = !self.compare.by_seconds,
            CompareMsg::All => self.compare.shows_all = !self.compare.shows_all,
            CompareMsg::CursorAt(thousandths) => self.compare.at = Some(f64::from(*thousandths) / 1000.0),
        }
        None
    }

    fn metric_place(&self, metrics: &[String]) -> Option<usize> {
        let lineup = self.lineup();
        metrics.iter().position(|name| name == self.compare.metric(&lineup))
    }

    fn sheet_rows(&self) -> usize {
        let lineup = self.lineup();
        match self.sheet() {
            Sheet::Progress | Sheet::Curves => 0,
            Sheet::Folds => lineup.folds().len(),
            Sheet::Parameters => lineup.parameters(self.compare.shows_all).len(),
            Sheet::Metrics => lineup.metrics(&self.data).len(),
        }
    }
}

impl CompareView {
    fn open(&mut self, sheet: Sheet) {
        self.sheet = Some(sheet);
        self.rows = Cursor::default();
        (self.scrolled, self.at) = (0, None);
    }

    /// To marked trials or sweeps; with none, to what is marked.
    pub(super) fn turn_to(&mut self, source: Option<Source>) {
        if self.source != source {
            (self.source, self.sheet, self.chosen) = (source, None, None);
        }
    }

    pub(super) fn choose_metric(&mut self, metric: Option<String>) {
        self.metric = metric;
        self.is_log_y = false;
    }
}

fn shifted(sheet: Sheet, by: usize) -> Sheet {
    Sheet::ALL[(sheet as usize + by) % Sheet::ALL.len()]
}
