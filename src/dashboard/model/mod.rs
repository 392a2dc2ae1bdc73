//! What the dashboard knows and where the user is; [`update()`] is all that changes it.

mod command;
mod compare;
mod cursor;
mod data;
mod form;
mod lanes;
mod line;
mod lineup;
mod machine;
mod pairing;
mod palette;
mod search;
mod steer;
mod sweeps;
mod trial;
mod trials;
mod update;

use std::collections::BTreeSet;

use ratatui::layout::Size;

pub use command::repeating;
pub use compare::{CompareMsg, CompareView, OverFolds, Sheet, Source};
pub use cursor::Cursor;
pub use data::Data;
pub use form::{Field, Form, Purpose};
pub use lanes::{Cell, LanesMsg, LanesView, Shape, cell, samples};
pub use line::Line;
pub use lineup::{Compared, Lineup, MOST_DRAWN, finals_of};
pub use machine::{MachineMsg, MachineView, SlotRow, Span};
pub use palette::{Entry, Palette, likeness};
pub use search::{Panel, SearchMsg, SearchView, of_space, spec, told};
pub use steer::{Ask, SteerMsg};
pub use sweeps::{Sweeps, SweepsMsg};
pub use trial::{Page, Splits, TrialMsg, TrialView, id_of};
pub use trials::{Trials, TrialsMsg, name_of};
pub use update::update;

use super::feed::Want;
use super::keys;
use super::ledger::{Ledger, Trial};
use super::message::{Move, Screen};
use super::theme::Theme;
use crate::store::{Millis, Outline, SweepKey};
use crate::sweep::TrialId;

/// How long a message stays.
const TOAST_MS: i64 = 6000;

#[derive(Debug)]
pub struct Model {
    pub theme: Theme,
    /// Where the data come from, as the user named it.
    pub database: String,
    pub size: Size,
    pub now: Millis,
    /// A sweep is run by the same process.
    pub conducts: bool,
    pub screen: Screen,
    /// Where Esc leads to.
    trail: Vec<Screen>,
    pub overlay: Option<Overlay>,
    pub toast: Option<Toast>,
    /// What is wrong with the database as long as it is.
    pub alarm: Option<String>,
    pub data: Data,
    /// The sweep that the screens from the second on are about.
    pub sweep: Option<SweepKey>,
    /// To be opened as soon as it is known.
    awaited: Option<SweepKey>,
    /// The trial of the third screen.
    pub trial_id: Option<TrialId>,
    /// Trials to be compared.
    pub marks: BTreeSet<(SweepKey, TrialId)>,
    pub sweeps: Sweeps,
    pub trials: Trials,
    pub trial: TrialView,
    pub compare: CompareView,
    pub lanes: LanesView,
    pub search: SearchView,
    pub machine: MachineView,
}

/// What lies above a screen.
#[derive(Debug)]
pub enum Overlay {
    Help(Cursor),
    Palette(Palette),
    /// The columns of the trials, to be shown or hidden.
    Columns(Cursor),
    /// The metrics of the trial, one to be drawn.
    Metrics(Cursor),
    /// Whether an order is meant.
    Ask(Ask),
    /// What an order needs to know.
    Form(Form),
}

/// Something to be said in passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub text: String,
    pub is_error: bool,
    pub until: Millis,
}

impl Model {
    /// On the list of sweeps, or on one of them.
    pub fn new(theme: Theme, database: String, sweep: Option<SweepKey>, now: Millis) -> Self {
        Self {
            theme,
            database,
            size: Size::new(80, 24),
            now,
            conducts: false,
            screen: Screen::Sweeps,
            trail: Vec::new(),
            overlay: None,
            toast: None,
            alarm: None,
            data: Data::default(),
            sweep: None,
            awaited: sweep,
            trial_id: None,
            marks: BTreeSet::new(),
            sweeps: Sweeps::default(),
            trials: Trials::default(),
            trial: TrialView::default(),
            compare: CompareView::default(),
            lanes: LanesView::default(),
            search: SearchView::default(),
            machine: MachineView::default(),
        }
    }

    pub fn open_sweep(&self) -> Option<&Outline> {
        self.data.outline(self.sweep?)
    }

    /// Of the open sweep.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.data.ledger(self.sweep?)
    }

    /// Of a sweep; its budget is known as soon as it has been opened.
    pub fn seconds_left(&self, outline: &Outline) -> Option<f64> {
        let budget = spec(&self.data, outline.head.key).and_then(|spec| spec.search.budget.seconds);
        outline.seconds_left(self.now, budget)
    }

    /// What is to be read for what is shown.
    pub fn wants(&self) -> BTreeSet<Want> {
        let mut wants = BTreeSet::from([Want::Sweeps, Want::Lost]);
        // with its budget
        wants.extend(self.sweep.map(Want::Spec));
        wants.extend(self.sweep.or(self.awaited).map(Want::Trials));
        if self.screen == Screen::Trial
            && let Some((outline, _, trial)) = self.open_trial()
        {
            wants.extend(self.trial.wants(&self.data, outline, trial));
        }
        match self.screen {
            Screen::Compare => wants.extend(self.compare_wants()),
            Screen::Lanes => {
                if let Some((outline, ledger)) = self.open_sweep().zip(self.ledger()) {
                    wants.extend(self.lanes.wants(outline, ledger));
                }
            }
            Screen::Search => {
                if let Some(sweep) = self.sweep {
                    wants.extend(self.search.wants(&self.data, sweep));
                }
            }
            Screen::Machine => wants.extend(self.sweep.map(Want::Machine)),
            Screen::Sweeps | Screen::Trials | Screen::Trial => {}
        }
        if let Some(Overlay::Form(form)) = &self.overlay {
            wants.extend(steer::wants(form));
        }
        wants
    }

    /// What the third screen is about, as soon as it is known.
    pub fn open_trial(&self) -> Option<(&Outline, &Ledger, &Trial)> {
        let sweep = self.sweep?;
        let (outline, ledger) = (self.data.outline(sweep)?, self.data.ledger(sweep)?);
        Some((outline, ledger, ledger.trial(self.trial_id?)?))
    }

    /// Whether keys are letters now.
    pub fn takes_text(&self) -> bool {
        match self.overlay {
            Some(Overlay::Palette(_) | Overlay::Form(_)) => true,
            Some(Overlay::Help(_) | Overlay::Columns(_) | Overlay::Metrics(_) | Overlay::Ask(_)) => false,
            None => match self.screen {
                Screen::Sweeps => self.sweeps.is_typing,
                Screen::Trials => self.trials.is_typing,
                Screen::Trial | Screen::Compare | Screen::Search | Screen::Lanes | Screen::Machine => false,
            },
        }
    }

    /// Whether the passing of time is seen.
    pub fn animates(&self) -> bool {
        let lives = |outline: &Outline| outline.is_live();
        self.toast.is_some() || self.data.outlines.iter().flat_map(|outlines| outlines.values()).any(lives)
    }

    pub(super) fn say(&mut self, text: impl Into<String>, is_error: bool) {
        self.toast = Some(Toast { text: text.into(), is_error, until: Millis(self.now.0 + TOAST_MS) });
    }

    fn go(&mut self, screen: Screen) {
        if screen != self.screen {
            self.trail.retain(|past| *past != screen);
            self.trail.push(self.screen);
            self.screen = screen;
        }
    }

    /// A screen that was gone to before there was anything to show is about what was selected.
    fn fill(&mut self) {
        if self.screen != Screen::Sweeps && self.sweep.is_none() && self.awaited.is_none() {
            self.sweep = self.sweeps.selected(&self.data);
        }
        if self.screen == Screen::Trial && self.trial_id.is_none() {
            self.trial_id = self.ledger().and_then(|ledger| self.trials.selected(ledger)).map(|trial| trial.id);
        }
    }

    fn open(&mut self, sweep: SweepKey) {
        self.switch_to(sweep);
        self.go(Screen::Trials);
    }

    /// The screens are about another sweep.
    fn switch_to(&mut self, sweep: SweepKey) {
        if self.sweep != Some(sweep) {
            self.sweep = Some(sweep);
            self.trial_id = None;
            self.trials = Trials::default();
            self.trial = TrialView::default();
            self.lanes = LanesView::default();
            self.search = SearchView::default();
            self.machine = MachineView::default();
        }
    }

    fn back(&mut self) {
        if self.overlay.take().is_some() {
            return;
        }
        if self.screen == Screen::Sweeps && (self.sweeps.is_typing || !self.sweeps.filter.text().is_empty()) {
            self.sweeps.is_typing = false;
            self.sweeps.filter.clear();
        } else if self.screen == Screen::Trials && (self.trials.is_typing || !self.trials.filter.text().is_empty()) {
            self.trials.is_typing = false;
            self.trials.filter.clear();
        } else if let Some(screen) = self.trail.pop() {
            self.screen = screen;
        }
    }

    fn step(&mut self, to: Move) {
        let ledger = self.sweep.and_then(|sweep| self.data.ledger(sweep));
        match &mut self.overlay {
            Some(Overlay::Help(cursor)) => cursor.scroll(to, keys::help_lines(self.screen)),
            Some(Overlay::Palette(_) | Overlay::Ask(_) | Overlay::Form(_)) => {}
            Some(Overlay::Columns(cursor)) => {
                cursor.step(to, ledger.map_or(0, |ledger| self.trials.columns(ledger).len()));
            }
            Some(Overlay::Metrics(_)) => self.step_metrics(to),
            None => match self.screen {
                Screen::Sweeps => self.sweeps.step(to, &self.data),
                Screen::Trials => {
                    if let Some(ledger) = ledger {
                        self.trials.step(to, ledger);
                    }
                }
                Screen::Machine => {
                    let slots = self.slots().len();
                    self.machine.cursor.step(to, slots);
                }
                Screen::Trial => {
                    let trial = self.trial_id.and_then(|trial| ledger?.trial(trial));
                    if let (Some(sweep), Some(trial)) = (self.sweep, trial) {
                        self.trial.step(to, &self.data, sweep, trial);
                    }
                }
                Screen::Compare => self.step_compare(to),
                Screen::Lanes => {
                    if let Some(ledger) = ledger {
                        self.lanes.step(to, ledger);
                    }
                }
                Screen::Search => {
                    if let (Some(sweep), Some(ledger)) = (self.sweep, ledger) {
                        self.search.step(to, &self.data, sweep, ledger);
                    }
                }
            },
        }
    }

    /// Marks a trial for comparison, or takes the mark away.
    fn mark(&mut self, sweep: SweepKey, trial: TrialId) {
        if !self.marks.remove(&(sweep, trial)) {
            self.marks.insert((sweep, trial));
        }
        self.compare.turn_to((!self.marks.is_empty()).then_some(Source::Trials));
    }

    fn mark_sweep(&mut self) {
        self.sweeps.mark(&self.data);
        self.compare.turn_to((!self.sweeps.marks.is_empty()).then_some(Source::Sweeps));
    }

    fn step_metrics(&mut self, to: Move) {
        let metrics = self.metrics().len();
        if let Some(Overlay::Metrics(cursor)) = &mut self.overlay {
            cursor.step(to, metrics);
        }
    }

    /// Those of the open trial, or of what is compared.
    pub fn metrics(&self) -> Vec<String> {
        if self.screen == Screen::Compare {
            return self.compared_metrics();
        }
        self.open_trial().map(|(outline, _, trial)| self.trial.metrics(&self.data, outline, trial)).unwrap_or_default()
    }
}
