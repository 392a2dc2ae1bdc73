//! Trials as lanes: a row a trial, a cell a fold, filled by its epochs.

use super::trial::id_of;
use super::trials::sort;
use super::{Cursor, Data};
use crate::dashboard::feed::Want;
use crate::dashboard::filter::Field;
use crate::dashboard::ledger::{Ledger, Run, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::protocol::Split;
use crate::store::{GivenUp, Millis, Outline, Sample, TrialState};
use crate::sweep::{FoldId, RunId, TrialId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LanesMsg {
    /// The trial, at the fold under the cursor.
    Open,
    /// By number, by score, by state.
    SortNext,
    /// By a column; by the same one again the other way round.
    Sort(Field),
    Reverse,
    /// To the next fold that runs.
    Running,
    /// To the best trial.
    Best,
    /// Mark the trial for comparison, or take the mark away.
    Mark,
    /// To a fold of a trial, by their places.
    At {
        row: usize,
        place: usize,
    },
}

/// Curves of runs that are followed at once: more do not run on one screen.
const MOST_FOLLOWED: usize = 64;

#[derive(Debug)]
pub struct LanesView {
    pub cursor: Cursor,
    /// The fold under the cursor, by its place in the lane.
    place: usize,
    pub sort: Field,
    pub is_reversed: bool,
    /// Places in the ledger, as they are shown.
    rows: Vec<u32>,
    /// The trial that the user has gone to; none: whichever comes first.
    selected: Option<TrialId>,
    pub shape: Shape,
    made_of: Option<MadeOf>,
}

/// What all lanes have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Cells of a lane: folds of all repeats.
    pub folds: usize,
    /// Folds of one repeat.
    k: u32,
    /// Epochs of the longest finished run.
    epochs: u32,
}

/// What lies in a lane where a fold is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Its newest attempt.
    Run(&'a Run),
    Waiting,
    /// Not run any more, as the race was over for its trial.
    RacedOut,
    /// Not run any more for another reason.
    NotRun,
}

/// What the rows follow from.
#[derive(Debug, PartialEq)]
struct MadeOf {
    version: (u64, bool),
    filter: String,
    sort: Field,
    is_reversed: bool,
}

impl Default for LanesView {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            place: 0,
            sort: Field::Trial,
            // the newest first
            is_reversed: true,
            rows: Vec::new(),
            selected: None,
            shape: Shape::default(),
            made_of: None,
        }
    }
}

impl LanesView {
    /// Places in the ledger, in the order in which they are shown.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    pub fn selected<'a>(&self, ledger: &'a Ledger) -> Option<&'a Trial> {
        ledger.trials.get(*self.rows.get(self.cursor.selected())? as usize)
    }

    /// The fold under the cursor, by its place in the lane.
    pub fn place(&self) -> usize {
        self.place.min(self.shape.folds.saturating_sub(1))
    }

    /// What lies under the cursor.
    pub fn under<'a>(&self, ledger: &'a Ledger) -> Option<(&'a Trial, Cell<'a>)> {
        let trial = self.selected(ledger)?;
        Some((trial, cell(trial, self.shape.fold(self.place()))))
    }

    /// The curves of what runs or has failed among the rows that are seen, and of the run under the cursor.
    pub(super) fn wants(&self, outline: &Outline, ledger: &Ledger) -> Vec<Want> {
        // also of a lost sweep
        let running = outline.running.iter().map(|(run, _)| *run);
        // of a run without an end of its own only its curve tells how far it came
        let seen = self.cursor.seen(self.rows.len()).map(|row| &ledger.trials[self.rows[row] as usize]);
        let failed = seen.flat_map(|trial| {
            let open = trial.newest_runs().filter(|run| run.epochs.is_none() && !run.is_running());
            open.map(|run| id_of(trial, run))
        });
        let followed = running.chain(failed).take(MOST_FOLLOWED);
        let under = match self.under(ledger) {
            Some((trial, Cell::Run(run))) => Some(id_of(trial, run)),
            _ => None,
        };
        followed.chain(under).map(|run| curve_of(outline, run)).collect()
    }

    /// Sorts again where something has changed. `shown` are the trials that pass the filter.
    pub(super) fn refresh(&mut self, ledger: &Ledger, shown: &[u32], filter: &str, now: Millis) {
        let (version, filter) = (ledger.version(), filter.to_owned());
        let made_of = MadeOf { version, filter, sort: self.sort, is_reversed: self.is_reversed };
        if self.made_of.as_ref() == Some(&made_of) {
            return;
        }
        self.shape = Shape::of(ledger);
        self.rows = shown.to_vec();
        sort(&mut self.rows, ledger, self.sort, self.is_reversed, now);
        let row = self.selected.and_then(|id| self.row_of(id, ledger)).unwrap_or(0);
        self.cursor.select(row);
        self.made_of = Some(made_of);
    }

    pub(super) fn update(&mut self, msg: &LanesMsg, ledger: &Ledger) -> Option<Msg> {
        match msg {
            LanesMsg::Open => return self.selected(ledger).map(|trial| Msg::OpenTrial(trial.id)),
            LanesMsg::SortNext => {
                let next = match self.sort {
                    Field::Trial => Field::Score,
                    Field::Score => Field::State,
                    _ => Field::Trial,
                };
                (self.sort, self.is_reversed) = (next, next == Field::Trial);
            }
            LanesMsg::Sort(field) if *field == self.sort => self.is_reversed = !self.is_reversed,
            LanesMsg::Sort(field) => (self.sort, self.is_reversed) = (*field, *field == Field::Trial),
            LanesMsg::Reverse => self.is_reversed = !self.is_reversed,
            LanesMsg::Best => {
                if let Some(row) = ledger.best().and_then(|best| self.row_of(best.id, ledger)) {
                    self.go(row, self.place, ledger);
                }
            }
            LanesMsg::Running => {
                if let Some((row, place)) = self.next_running(ledger) {
                    self.go(row, place, ledger);
                }
            }
            LanesMsg::At { row, place } => self.go(*row, *place, ledger),
            LanesMsg::Mark => {}
        }
        None
    }

    pub(super) fn step(&mut self, to: Move, ledger: &Ledger) {
        match to {
            Move::Left => self.place = self.place().saturating_sub(1),
            Move::Right => self.place = (self.place + 1).min(self.shape.folds.saturating_sub(1)),
            _ => {
                self.cursor.step(to, self.rows.len());
                self.selected = self.selected(ledger).map(|trial| trial.id);
            }
        }
    }

    fn go(&mut self, row: usize, place: usize, ledger: &Ledger) {
        self.place = place;
        self.step(Move::To(row), ledger);
    }

    fn row_of(&self, trial: TrialId, ledger: &Ledger) -> Option<usize> {
        self.rows.iter().position(|row| ledger.trials[*row as usize].id == trial)
    }

    /// After the cursor, from left to right and downwards, and around again.
    fn next_running(&self, ledger: &Ledger) -> Option<(usize, usize)> {
        let running = |row: usize| {
            let trial = &ledger.trials[self.rows[row] as usize];
            let places = trial.newest_runs().filter(|run| run.is_running());
            places.map(move |run| (row, self.shape.place(run.fold)))
        };
        let here = (self.cursor.selected(), self.place());
        let after = (here.0..self.rows.len()).flat_map(running).find(|at| *at > here);
        after.or_else(|| (0..=here.0.min(self.rows.len().checked_sub(1)?)).flat_map(running).next())
    }
}

/// The curve of a run's objective.
pub(super) fn curve_of(outline: &Outline, run: RunId) -> Want {
    let metric = outline.objective.clone();
    Want::Curve { sweep: outline.head.key, run, split: Split::Validation, metric }
}

/// What a run has measured of the objective, as far as it is followed.
pub fn samples<'a>(data: &'a Data, outline: &Outline, trial: &Trial, run: &Run) -> &'a [Sample] {
    data.curve(&curve_of(outline, id_of(trial, run))).unwrap_or_default()
}

/// What lies in a trial's lane at a fold.
pub fn cell(trial: &Trial, fold: FoldId) -> Cell<'_> {
    match trial.newest_run(fold) {
        Some(run) => Cell::Run(run),
        None if matches!(trial.state, TrialState::Waiting | TrialState::Running) => Cell::Waiting,
        None if trial.given_up == Some(GivenUp::Race) => Cell::RacedOut,
        None => Cell::NotRun,
    }
}

impl Shape {
    fn of(ledger: &Ledger) -> Self {
        let runs = ledger.trials.iter().flat_map(|trial| &trial.runs);
        let epochs = runs.filter_map(|run| run.epochs).max().unwrap_or(0);
        Self { folds: ledger.folds.max(1) as usize, k: ledger.k.max(1), epochs }
    }

    /// What lies at a place in a lane.
    pub fn fold(&self, place: usize) -> FoldId {
        FoldId::at(place as u32, self.k)
    }

    fn place(&self, fold: FoldId) -> usize {
        fold.repeat as usize * self.k as usize + fold.fold as usize
    }

    /// The part of the longest run that so many epochs are.
    pub fn part(&self, epochs: u32) -> f64 {
        // what is longer than all before fills its cell as it goes
        f64::from(epochs) / f64::from(self.epochs.max(epochs).max(1))
    }
}
