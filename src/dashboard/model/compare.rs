//! Trials beside each other, of one sweep or of several; and whole sweeps by their best ones.

use std::collections::{BTreeMap, BTreeSet};

use super::pairing::{Folds, pairs};
use super::trial::{SMOOTHING, in_order};
use super::{Cursor, Data, Model, Splits, id_of};
use crate::crossval::Comparison;
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::{Ledger, Run, Setting, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::protocol::Split;
use crate::store::{Outline, SweepKey, TrialState};
use crate::sweep::{FoldId, TrialId};

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

/// Which trials are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Trials,
    /// The best one of each marked sweep.
    Sweeps,
}

/// Trials whose curves are drawn at once: more cannot be told apart.
pub const MOST_DRAWN: usize = 7;

/// Curves that are read for them at most.
const MOST_CURVES: usize = 140;

/// Of the chart, for a step of its cursor.
const STEP: f64 = 0.02;

#[derive(Debug)]
pub struct CompareView {
    /// None: what suits the source.
    sheet: Option<Sheet>,
    /// None: what was marked.
    source: Option<Source>,
    /// None: the best one.
    reference: Option<(SweepKey, TrialId)>,
    /// The line of the list that stands out; none: all of them.
    pub chosen: Option<usize>,
    /// None: the objective.
    pub metric: Option<String>,
    pub splits: Splits,
    pub is_each: bool,
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
            is_each: false,
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

/// A trial with all that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    pub outline: &'a Outline,
    pub ledger: &'a Ledger,
    pub trial: &'a Trial,
}

/// What is compared now.
#[derive(Debug)]
pub struct Lineup<'a> {
    pub all: Vec<Compared<'a>>,
    /// The one that the others are measured against.
    pub reference: usize,
    /// What they are and why these.
    pub note: String,
    pub is_read: bool,
}

impl<'a> Compared<'a> {
    fn key(&self) -> (SweepKey, TrialId) {
        (self.outline.head.key, self.trial.id)
    }

    /// What a parameter is set to; absent too where its sweep does not vary it.
    pub fn setting(&self, parameter: &str) -> &'a Setting {
        let place = self.ledger.parameters.iter().position(|name| name == parameter);
        place.map_or(&Setting::Absent, |place| self.trial.setting(place))
    }

    /// The runs whose curves are drawn when so many trials are.
    pub fn runs(&self, drawn: usize) -> impl Iterator<Item = &'a Run> + use<'a> {
        self.trial.newest_runs().take((MOST_CURVES / drawn.max(1)).max(1))
    }
}

impl<'a> Lineup<'a> {
    pub fn drawn(&self) -> &[Compared<'a>] {
        &self.all[..self.all.len().min(MOST_DRAWN)]
    }

    /// All folds that any of them has run.
    pub fn folds(&self) -> Vec<FoldId> {
        let folds: BTreeSet<FoldId> =
            self.all.iter().flat_map(|it| it.trial.newest_runs().map(|run| run.fold)).collect();
        folds.into_iter().collect()
    }

    /// Parameters that any of them has; or only those in which they differ.
    pub fn parameters(&self, shows_all: bool) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for it in &self.all {
            let own = it.ledger.parameters.iter().map(String::as_str);
            let new: Vec<&str> = own.filter(|name| !names.contains(name)).collect();
            names.extend(new);
        }
        names.retain(|name| {
            let first = self.all.first().map(|it| it.setting(name));
            shows_all || self.all.iter().any(|it| Some(it.setting(name)) != first)
        });
        names
    }

    /// Metrics that any of them has, the objective of the reference first, those of single classes last.
    pub fn metrics(&self, data: &'a Data) -> Vec<&'a str> {
        let objective = self.all.get(self.reference).map_or("", |it| it.outline.objective.as_str());
        let finals = self.all.iter().filter_map(|it| data.finals(&finals_of(it)));
        let names: BTreeSet<&str> = finals.flatten().map(|metric| metric.name.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| (*name != objective, *name != "loss", name.contains('/')));
        names
    }

    /// Whether they are of several sweeps.
    pub fn is_mixed(&self) -> bool {
        self.all.windows(2).any(|pair| pair[0].outline.head.key != pair[1].outline.head.key)
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
        Ok(of.trial.compared_with(reference.trial))
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

    /// What is marked; where nothing is, what one would look at first.
    pub fn lineup(&self) -> Lineup<'_> {
        let (picked, note) = self.picked();
        let all: Vec<Compared<'_>> = picked.iter().filter_map(|picked| self.compared(*picked)).collect();
        let is_read = all.len() == picked.len();
        let best = || {
            let scored = all.iter().enumerate().filter(|(_, it)| it.trial.state == TrialState::Finished);
            let scored = scored.filter_map(|(place, it)| Some((place, it.outline.direction.gain(it.trial.score?))));
            scored.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(place, _)| place)
        };
        let wanted = self.compare.reference.and_then(|wanted| all.iter().position(|it| it.key() == wanted));
        let reference = wanted.or_else(best).unwrap_or(0);
        Lineup { all, reference, note, is_read }
    }

    fn compared(&self, (sweep, trial): (SweepKey, TrialId)) -> Option<Compared<'_>> {
        let (outline, ledger) = (self.data.outline(sweep)?, self.data.ledger(sweep)?);
        Some(Compared { outline, ledger, trial: ledger.trial(trial)? })
    }

    fn picked(&self) -> (Vec<(SweepKey, TrialId)>, String) {
        if self.compare.source(&self.sweeps.marks, &self.marks) == Source::Sweeps {
            return self.picked_of_sweeps();
        }
        let mut picked: Vec<_> = self.marks.iter().copied().collect();
        let (sweep, ledger) = match (picked.as_slice(), self.sweep) {
            ([], Some(sweep)) => (sweep, self.data.ledger(sweep)),
            ([(sweep, _)], _) => (*sweep, self.data.ledger(*sweep)),
            ([], None) => return (picked, "nothing is marked (Space on Trials)".to_owned()),
            _ => {
                let note = format!("{} marked trials", picked.len());
                return (picked, note);
            }
        };
        let Some(ledger) = ledger else { return (picked, "reading …".to_owned()) };
        let marked = picked.first().map(|(_, trial)| *trial);
        let mut company = first_two(ledger).into_iter().filter(|trial| Some(*trial) != marked);
        let note = if marked.is_some() {
            picked.extend(company.next().map(|trial| (sweep, trial)));
            "one is marked: beside the best other one of its sweep"
        } else {
            picked.extend(company.map(|trial| (sweep, trial)));
            match picked.len() {
                0 => "nothing is marked (Space on Trials), and none has finished",
                1 => "nothing is marked (Space on Trials): the only one",
                _ => "nothing is marked (Space on Trials): best and runner-up",
            }
        };
        (picked, note.to_owned())
    }

    fn picked_of_sweeps(&self) -> (Vec<(SweepKey, TrialId)>, String) {
        let sweeps = &self.compared_sweeps();
        let best = |sweep: &SweepKey| {
            let best = self.data.outline(*sweep)?.best()?;
            Some((*sweep, best.trial))
        };
        let picked: Vec<_> = sweeps.iter().filter_map(best).collect();
        let none = sweeps.len() - picked.len();
        let without = if none > 0 { format!(", {none} without a finished one") } else { String::new() };
        let note = match (self.sweeps.marks.len(), sweeps.len()) {
            (0, _) => "no sweep is marked (Space on Sweeps): the open one".to_owned(),
            (1, 2) => format!("the best trials of the marked sweep and of the open one{without}"),
            (_, count) => format!("the best trials of {count} marked sweeps{without}"),
        };
        (picked, note)
    }

    /// The marked ones; one alone beside the open one.
    fn compared_sweeps(&self) -> BTreeSet<SweepKey> {
        let mut sweeps = self.sweeps.marks.clone();
        if sweeps.len() < 2 {
            sweeps.extend(self.sweep);
        }
        sweeps
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
            CompareMsg::Each => self.compare.is_each = !self.compare.is_each,
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

/// What all metrics of a trial came to.
pub fn finals_of(of: &Compared<'_>) -> Want {
    Want::Finals { sweep: of.outline.head.key, trial: of.trial.id, folds: of.trial.folds_done() }
}

fn shifted(sheet: Sheet, by: usize) -> Sheet {
    Sheet::ALL[(sheet as usize + by) % Sheet::ALL.len()]
}

/// The best finished trial and the one after it; where no other finished, the one that came farthest.
fn first_two(ledger: &Ledger) -> Vec<TrialId> {
    let Some(best) = ledger.best() else { return Vec::new() };
    let others = ledger.trials.iter().filter(|trial| trial.id != best.id && !trial.id.is_baseline());
    let ranked = others.filter_map(|trial| {
        let gain = ledger.direction.gain(trial.score_so_far()?);
        Some(((trial.state == TrialState::Finished, trial.folds_done()), gain, trial.id))
    });
    let second = ranked.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(b.2.cmp(&a.2)));
    [best.id].into_iter().chain(second.map(|(_, _, trial)| trial)).collect()
}
