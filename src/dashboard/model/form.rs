//! What is typed before an order is given: the values of a point, a note, a tag, a number.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::line::Line;
use crate::dashboard::ledger::{Ledger, Setting, Trial};
use crate::search::space::{Domain, Point, Space};
use crate::spec::Override;
use crate::store::SweepKey;
use crate::sweep::{Order, TrialId};

#[derive(Clone, Debug)]
pub struct Form {
    pub sweep: SweepKey,
    /// Its name.
    pub name: String,
    pub purpose: Purpose,
    /// None yet of a point, until the space is known.
    pub fields: Vec<Field>,
    pub row: usize,
    /// Why it could not be done.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    Note(TrialId),
    /// Those that it has are taken away by their names.
    Tag(TrialId, Vec<String>),
    Slots,
    /// What a trial has is where one begins.
    Enqueue(Option<TrialId>),
}

/// A line of it.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub line: Line,
    /// What it may be; a text may be anything.
    pub domain: Option<Domain>,
}

impl Form {
    pub fn new(sweep: SweepKey, name: String, purpose: Purpose, text: &str) -> Self {
        let label = match &purpose {
            Purpose::Note(_) => "note",
            Purpose::Tag(..) => "tag",
            Purpose::Slots => "runs at once",
            Purpose::Enqueue(_) => "",
        };
        let field = Field { name: label.to_owned(), line: Line::new(text), domain: None };
        let fields = if matches!(purpose, Purpose::Enqueue(_)) { Vec::new() } else { vec![field] };
        Self { sweep, name, purpose, fields, row: 0, problem: None }
    }

    pub fn title(&self) -> String {
        match &self.purpose {
            Purpose::Note(trial) => format!("Note on {}", named(*trial)),
            Purpose::Tag(trial, _) => format!("Tag {}", named(*trial)),
            Purpose::Slots => format!("Slots of {}", self.name),
            Purpose::Enqueue(_) => format!("Next trial of {}", self.name),
        }
    }

    /// What is to be known before one types.
    pub fn advice(&self) -> String {
        match &self.purpose {
            Purpose::Note(_) => "in place of the note that there is; an empty one takes it away".to_owned(),
            Purpose::Tag(_, tags) if tags.is_empty() => "letters, digits and - _ . : / +".to_owned(),
            Purpose::Tag(_, tags) => format!("has {}: one of them again takes it away", tags.join(", ")),
            Purpose::Slots => "beyond that, runs come to their end and no other follows".to_owned(),
            Purpose::Enqueue(Some(trial)) => format!("as {}; what is left empty is drawn", named(*trial)),
            Purpose::Enqueue(None) => "what is left empty is drawn".to_owned(),
        }
    }

    /// Of a point: a field for each parameter, with the value of a trial.
    pub(super) fn ask_for(&mut self, space: &Space, ledger: Option<&Ledger>) {
        let Purpose::Enqueue(from) = self.purpose else { return };
        let trial = from.and_then(|trial| ledger?.trial(trial));
        let free = space.parameters().iter();
        self.fields = free
            .map(|free| {
                let text = ledger.zip(trial).and_then(|(ledger, trial)| value_of(ledger, trial, &free.name));
                let line = Line::new(&text.unwrap_or_default());
                Field { name: free.name.clone(), line, domain: Some(free.domain.clone()) }
            })
            .collect();
    }

    /// Whether the key was one of the form's.
    pub(super) fn typed(&mut self, key: KeyEvent) -> bool {
        let last = self.fields.len().saturating_sub(1);
        let Some(field) = self.fields.get_mut(self.row) else { return false };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Up | KeyCode::BackTab => self.row = self.row.checked_sub(1).unwrap_or(last),
            KeyCode::Down | KeyCode::Tab => self.row = if self.row == last { 0 } else { self.row + 1 },
            KeyCode::Left | KeyCode::Right if !control && field.is_choice() => {
                field.choose(if key.code == KeyCode::Left { -1 } else { 1 });
                self.problem = None;
            }
            _ => {
                let is_edited = field.line.edit(key);
                if is_edited {
                    self.problem = None;
                }
                return is_edited;
            }
        }
        true
    }

    /// The order that has been written; else what is wrong, and the field.
    pub(super) fn order(&self) -> Result<Order, (usize, String)> {
        let text = self.fields.first().map(|field| field.line.text().trim()).unwrap_or_default();
        match &self.purpose {
            Purpose::Note(trial) => Ok(Order::Note { trial: *trial, text: text.to_owned() }),
            Purpose::Tag(..) if text.is_empty() => Err((0, "it has no letters".to_owned())),
            Purpose::Tag(trial, tags) => {
                let (trial, tag) = (*trial, text.to_owned());
                Ok(if tags.contains(&tag) { Order::Untag { trial, tag } } else { Order::Tag { trial, tag } })
            }
            Purpose::Slots => match text.parse() {
                Ok(0) => Err((0, "0 would be a pause: P pauses".to_owned())),
                Ok(count) => Ok(Order::Slots { count }),
                Err(_) => Err((0, format!("{text:?} is no number of runs"))),
            },
            Purpose::Enqueue(_) => {
                let mut point = Point::default();
                for (row, field) in self.fields.iter().enumerate() {
                    let named = |why| (row, format!("{}: {why}", field.name));
                    if let Some(value) = field.value().map_err(named)? {
                        point.insert(&field.name, value);
                    }
                }
                Ok(Order::Enqueue { point, from: None })
            }
        }
    }
}

impl Field {
    /// Whether it is one of a few values.
    pub fn is_choice(&self) -> bool {
        matches!(self.domain, Some(Domain::Values(_)))
    }

    /// The value that is so many further on in the list.
    fn choose(&mut self, by: isize) {
        let Some(Domain::Values(values)) = &self.domain else { return };
        let known = values.iter().position(|value| text_of(value) == self.line.text());
        let next = match known {
            Some(place) => (place as isize + by).rem_euclid(values.len() as isize) as usize,
            None => 0,
        };
        if let Some(value) = values.get(next) {
            self.line = Line::new(&text_of(value));
        }
    }

    /// None where it is left empty.
    fn value(&self) -> Result<Option<Value>, String> {
        let text = self.line.text().trim();
        let Some(domain) = self.domain.as_ref().filter(|_| !text.is_empty()) else { return Ok(None) };
        if let Domain::Values(values) = domain
            && let Some(value) = values.iter().find(|value| text_of(value) == text)
        {
            return Ok(Some(value.clone()));
        }
        let value = Override::parse(&format!("value={text}")).map_err(|problem| problem.what)?.value;
        if domain.contains(&value) { Ok(Some(value)) } else { Err(format!("{text} is not in {domain}")) }
    }
}

/// As one types it: a text without quotes.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// To the last digit; none where the parameter has no meaning.
fn value_of(ledger: &Ledger, trial: &Trial, parameter: &str) -> Option<String> {
    let index = ledger.parameters.iter().position(|known| known == parameter)?;
    match trial.setting(index) {
        Setting::Absent => None,
        Setting::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(format!("{number:.0}")),
        Setting::Number(number) => Some(format!("{number:?}")),
        Setting::Truth(truth) => Some(truth.to_string()),
        Setting::Text(text) => Some(text.to_string()),
    }
}

/// `trial 3`, or `baseline`.
pub(super) fn named(trial: TrialId) -> String {
    if trial.is_baseline() { trial.to_string() } else { format!("trial {trial}") }
}
