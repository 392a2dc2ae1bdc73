//! The trials of the open sweep: which are shown, in which order, and what of them.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Cursor;
use super::line::Line;
use super::palette::likeness;
use crate::dashboard::filter::{Field, Filter, FilterError, Subject, Value};
use crate::dashboard::format;
use crate::dashboard::ledger::{Ledger, Setting, Standing, Trial};
use crate::dashboard::message::{Move, Msg};
use crate::store::{GivenUp, Millis, TrialState};
use crate::sweep::TrialId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialsMsg {
    /// The selected one.
    Open,
    Filter,
    /// Mark it for comparison, or take the mark away.
    Mark,
    Unmark,
    /// By the next column.
    SortNext,
    /// By a column; by the same one again the other way round.
    Sort(Field),
    Reverse,
    /// Choose the columns.
    Columns,
    /// To the best trial.
    Best,
}

#[derive(Debug)]
pub struct Trials {
    pub cursor: Cursor,
    pub filter: Line,
    pub is_typing: bool,
    pub sort: Field,
    pub is_reversed: bool,
    /// Columns that the user does not want to see, by their names.
    pub hidden: BTreeSet<String>,
    /// Parameters that are scrolled away to the left.
    pub scrolled: usize,
    /// What is wrong with the filter: what stands before it is in force.
    pub error: Option<FilterError>,
    compiled: Filter,
    /// Places in the ledger, as they are shown.
    rows: Vec<u32>,
    /// The selected trial, wherever it is sorted to.
    selected: Option<TrialId>,
    made_of: Option<MadeOf>,
}

/// What the rows follow from: as long as it is the same, so are they.
#[derive(Debug, PartialEq)]
struct MadeOf {
    version: (u64, bool),
    parameters: usize,
    filter: String,
    sort: Field,
    is_reversed: bool,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            cursor: Cursor::default(),
            filter: Line::default(),
            is_typing: false,
            sort: Field::Score,
            is_reversed: false,
            hidden: BTreeSet::new(),
            scrolled: 0,
            error: None,
            compiled: Filter::All(Vec::new()),
            rows: Vec::new(),
            selected: None,
            made_of: None,
        }
    }
}

impl Trials {
    /// Places in the ledger, in the order in which they are shown.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    pub fn selected<'a>(&self, ledger: &'a Ledger) -> Option<&'a Trial> {
        ledger.trials.get(*self.rows.get(self.cursor.selected())? as usize)
    }

    /// All columns that there are, with whether they are shown.
    pub fn columns(&self, ledger: &Ledger) -> Vec<(Field, String, bool)> {
        fields(ledger)
            .map(|field| {
                let name = name_of(field, ledger).into_owned();
                let is_shown = !self.hidden.contains(&name);
                (field, name, is_shown)
            })
            .collect()
    }

    /// Sorts and filters again where something has changed.
    pub(super) fn refresh(&mut self, ledger: &Ledger, now: Millis) {
        let made_of = MadeOf {
            version: ledger.version(),
            parameters: ledger.parameters.len(),
            filter: self.filter.text().to_owned(),
            sort: self.sort,
            is_reversed: self.is_reversed,
        };
        if self.made_of.as_ref() == Some(&made_of) {
            return;
        }
        if self.made_of.as_ref().is_none_or(|old| old.filter != made_of.filter || old.parameters != made_of.parameters)
        {
            (self.compiled, self.error) = Filter::as_understood(self.filter.text(), &ledger.parameters);
        }
        let passes =
            |index: &u32| self.compiled.accepts(&Asked { ledger, trial: &ledger.trials[*index as usize], now });
        let mut rows: Vec<u32> = (0..ledger.trials.len() as u32).filter(passes).collect();
        sort(&mut rows, ledger, self.sort, self.is_reversed, now);
        self.rows = rows;
        let of_trial = |id| self.rows.iter().position(|row| ledger.trials[*row as usize].id == id);
        // who has not chosen yet sees the first; who has keeps what he has chosen
        let row = self.selected.and_then(of_trial).unwrap_or(0);
        self.cursor.select(row);
        self.made_of = Some(made_of);
    }

    pub(super) fn update(&mut self, msg: &TrialsMsg, ledger: &Ledger) -> Option<Msg> {
        match msg {
            TrialsMsg::Open => return self.selected(ledger).map(|trial| Msg::OpenTrial(trial.id)),
            TrialsMsg::Filter => self.is_typing = true,
            TrialsMsg::SortNext => {
                let shown: Vec<Field> =
                    self.columns(ledger).into_iter().filter(|column| column.2).map(|it| it.0).collect();
                let place = shown.iter().position(|field| *field == self.sort).map_or(0, |place| place + 1);
                self.sort = shown.get(place).or(shown.first()).copied().unwrap_or(Field::Score);
                self.is_reversed = false;
            }
            TrialsMsg::Sort(field) => {
                self.is_reversed = self.sort == *field && !self.is_reversed;
                self.sort = *field;
            }
            TrialsMsg::Reverse => self.is_reversed = !self.is_reversed,
            TrialsMsg::Best => {
                if let Some(best) = ledger.best() {
                    self.select(best.id, ledger);
                }
            }
            TrialsMsg::Mark | TrialsMsg::Unmark | TrialsMsg::Columns => {}
        }
        None
    }

    pub(super) fn step(&mut self, to: Move, ledger: &Ledger) {
        match to {
            Move::Left => self.scrolled = self.scrolled.saturating_sub(1),
            Move::Right => self.scrolled = (self.scrolled + 1).min(ledger.parameters.len().saturating_sub(1)),
            _ => {
                self.cursor.step(to, self.rows.len());
                self.selected = self.selected(ledger).map(|trial| trial.id);
            }
        }
    }

    /// To a trial, where it is shown.
    pub(super) fn select(&mut self, trial: TrialId, ledger: &Ledger) {
        if let Some(row) = self.rows.iter().position(|row| ledger.trials[*row as usize].id == trial) {
            self.step(Move::To(row), ledger);
        }
    }

    /// Shows or hides the n-th column.
    pub(super) fn toggle(&mut self, column: usize, ledger: &Ledger) {
        if let Some((_, name, is_shown)) = self.columns(ledger).into_iter().nth(column)
            && (is_shown || !self.hidden.remove(&name))
        {
            self.hidden.insert(name);
        }
    }
}

/// All fields of a sweep's trials, in the order of their columns.
fn fields(ledger: &Ledger) -> impl Iterator<Item = Field> {
    use Field::{Folds, Remarks, Score, State, Time, Why};
    let parameters = (0..ledger.parameters.len()).map(Field::Parameter);
    // most sweeps have none
    let remarks = ledger.trials.iter().any(Trial::has_remarks).then_some(Remarks);
    [Field::Trial, State, Score, Folds, Time].into_iter().chain(remarks).chain(parameters).chain([Why])
}

/// The title of a column; of a parameter its dotted key.
pub fn name_of(field: Field, ledger: &Ledger) -> Cow<'_, str> {
    match field {
        Field::Trial => "trial".into(),
        Field::State => "state".into(),
        Field::Score => "score".into(),
        Field::Error => "se".into(),
        Field::Standing => "standing".into(),
        Field::Folds => "folds".into(),
        Field::Time => "time".into(),
        Field::Why => "why".into(),
        Field::Remarks => "remarks".into(),
        Field::Parameter(index) => ledger.parameters.get(index).map_or("".into(), Into::into),
    }
}

/// A trial that is asked by a filter.
struct Asked<'a> {
    ledger: &'a Ledger,
    trial: &'a Trial,
    now: Millis,
}

impl Subject for Asked<'_> {
    fn value(&self, field: Field) -> Value {
        let number = |number: Option<f64>| number.map_or(Value::Nothing, Value::Number);
        let trial = self.trial;
        match field {
            Field::Trial => Value::Number(f64::from(trial.id.0)),
            Field::State => Value::Words(states(trial)),
            Field::Score => number(trial.score_so_far()),
            Field::Error => number(trial.score_se),
            Field::Standing => match self.ledger.standing(trial) {
                Standing::Best => Value::Text("best".to_owned()),
                Standing::Tied => Value::Text("tied".to_owned()),
                Standing::Behind => Value::Text("behind".to_owned()),
                Standing::Unknown => Value::Nothing,
            },
            Field::Folds => Value::Number(trial.folds_done() as f64),
            Field::Time => number(trial.seconds(self.now)),
            Field::Why => trial.why.as_ref().map_or(Value::Nothing, |why| Value::Text(why.to_string())),
            Field::Remarks if trial.has_remarks() => Value::Text(trial.remarks()),
            Field::Remarks => Value::Nothing,
            Field::Parameter(index) => match trial.setting(index) {
                Setting::Absent => Value::Nothing,
                Setting::Text(text) => Value::Text(text.to_string()),
                other => number(other.number()),
            },
        }
    }

    /// Letters in their order in a short value, or the word as it is in a long one.
    fn has_word(&self, word: &str) -> bool {
        let trial = self.trial;
        let is_in = |text: &str| {
            if text.len() <= 24 {
                likeness(text, word).is_some()
            } else {
                text.to_lowercase().contains(&word.to_lowercase())
            }
        };
        let id = trial.id.to_string();
        id == word
            || states(trial).iter().any(|state| is_in(state))
            || (trial.has_remarks() && trial.remarks().to_lowercase().contains(&word.to_lowercase()))
            || trial.why.as_ref().is_some_and(|why| why.to_lowercase().contains(&word.to_lowercase()))
            || (0..self.ledger.parameters.len()).any(|index| match trial.setting(index) {
                Setting::Text(text) => is_in(text),
                Setting::Absent => false,
                other => format::setting(other) == word,
            })
    }
}

/// The words for its state.
fn states(trial: &Trial) -> &'static [&'static str] {
    match (trial.state, trial.given_up) {
        (TrialState::Waiting, _) => &["waiting"],
        (TrialState::Running, _) => &["running"],
        (TrialState::Finished, _) => &["finished"],
        (TrialState::Pruned, Some(GivenUp::Race)) => &["pruned", "raced"],
        (TrialState::Pruned, _) => &["pruned"],
        (TrialState::Failed, _) => &["failed"],
        (TrialState::Cancelled, _) => &["cancelled"],
    }
}

/// What a row is sorted by: what has no value comes last, whichever way round.
enum Place {
    Number(f64),
    Text(String),
}

pub(super) fn sort(rows: &mut [u32], ledger: &Ledger, by: Field, is_reversed: bool, now: Millis) {
    let direction = |order: Ordering| if is_reversed { order.reverse() } else { order };
    let mut placed: Vec<(Option<Place>, u32)> =
        rows.iter().map(|row| (place(&ledger.trials[*row as usize], ledger, by, now), *row)).collect();
    placed.sort_by(|(a, i), (b, j)| {
        let order = match (a, b) {
            (Some(Place::Number(a)), Some(Place::Number(b))) => direction(a.total_cmp(b)),
            (Some(Place::Text(a)), Some(Place::Text(b))) => direction(a.cmp(b)),
            (Some(Place::Number(_)), Some(Place::Text(_))) | (Some(_), None) => Ordering::Less,
            (Some(Place::Text(_)), Some(Place::Number(_))) | (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        order.then(i.cmp(j))
    });
    for (row, (_, placed)) in rows.iter_mut().zip(placed) {
        *row = placed;
    }
}

fn place(trial: &Trial, ledger: &Ledger, by: Field, now: Millis) -> Option<Place> {
    match by {
        Field::Trial => Some(Place::Number(f64::from(trial.id.0))),
        // what happens first, then what went wrong, then what is over
        Field::State => Some(Place::Number(match trial.state {
            TrialState::Running => 0.0,
            TrialState::Failed => 1.0,
            TrialState::Finished => 2.0,
            TrialState::Pruned => 3.0,
            TrialState::Waiting => 4.0,
            TrialState::Cancelled => 5.0,
        })),
        // the best first: only a trial with all its folds has a score to be compared
        Field::Score => {
            trial.score.filter(|score| score.is_finite()).map(|score| Place::Number(-ledger.direction.gain(score)))
        }
        Field::Error => trial.score_se.map(Place::Number),
        Field::Standing => Some(Place::Number(match ledger.standing(trial) {
            Standing::Best => 0.0,
            Standing::Tied => 1.0,
            Standing::Behind => 2.0,
            Standing::Unknown => 3.0,
        })),
        Field::Folds => Some(Place::Number(-(trial.folds_done() as f64))),
        Field::Time => trial.seconds(now).map(Place::Number),
        Field::Why => trial.why.as_ref().map(|why| Place::Text(why.to_string())),
        Field::Remarks => trial.has_remarks().then(|| Place::Text(trial.remarks())),
        Field::Parameter(index) => match trial.setting(index) {
            Setting::Absent => None,
            Setting::Text(text) => Some(Place::Text(text.to_string())),
            other => other.number().map(Place::Number),
        },
    }
}
