//! What the dashboard knows and where the user is; `update` is all that changes it.

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

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
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

use super::feed::{Answer, Want};
use super::keys;
use super::ledger::{Ledger, Trial};
use super::message::{Effect, Fate, Move, Msg, Screen};
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

/// All that a message changes; what the terminal has to do about it comes back.
pub fn update(model: &mut Model, msg: Msg) -> Option<Effect> {
    let mut next = Some(msg);
    let (was_open, said) = (model.overlay.is_some(), model.toast.clone());
    while let Some(msg) = next.take() {
        match msg {
            Msg::Quit => return Some(Effect::Quit),
            Msg::Suspend if model.conducts => {
                model.say("Ctrl-Z would stop the sweep of this process, too: q leaves it running here", false);
            }
            Msg::Suspend => return Some(Effect::Suspend),
            Msg::Redraw => return Some(Effect::Redraw),
            Msg::Go(screen) => model.go(screen),
            Msg::NextScreen => model.go(model.screen.next()),
            Msg::PreviousScreen => model.go(model.screen.previous()),
            Msg::Back => model.back(),
            Msg::Move(to) => model.step(to),
            Msg::Help => {
                let is_open = matches!(model.overlay, Some(Overlay::Help(_)));
                model.overlay = (!is_open).then(|| Overlay::Help(Cursor::default()));
            }
            Msg::Palette => model.overlay = Some(Overlay::Palette(Palette::default())),
            Msg::Type(key) => next = typed(model, key),
            Msg::Paste(text) => paste(model, &text),
            Msg::Choose(row) => next = choose(model, row),
            Msg::ChooseSelected => next = selected_above(model).and_then(|row| choose(model, row)),
            Msg::OpenSweep(sweep) => model.open(sweep),
            Msg::OpenTrial(trial) => {
                model.trial_id = Some(trial);
                model.go(Screen::Trial);
            }
            Msg::Sweeps(SweepsMsg::Mark) => model.mark_sweep(),
            Msg::Sweeps(msg) => next = model.sweeps.update(&msg, &model.data),
            Msg::Trials(msg) => next = trials_do(model, &msg),
            Msg::Trial(TrialMsg::Copy) => return copy(model),
            Msg::Trial(msg) => next = trial_does(model, &msg),
            Msg::Compare(msg) => next = model.compare_does(&msg),
            Msg::Lanes(msg) => next = lanes_do(model, &msg),
            Msg::Search(msg) => {
                if let Some((sweep, ledger)) = model.sweep.and_then(|sweep| Some((sweep, model.data.ledger(sweep)?))) {
                    next = model.search.update(&msg, &model.data, sweep, ledger);
                }
            }
            Msg::Steer(msg) => {
                if let Some(effect) = steer::update(model, &msg) {
                    return Some(effect);
                }
            }
            Msg::Machine(msg) => next = machine::update(model, &msg),
            Msg::Told { sweep, told } => {
                // of a sweep that was left in between nobody wants to know
                if model.listens_to() == Some(sweep.as_str()) {
                    model.machine.told(told);
                }
            }
            Msg::Heard { sweep, order, heard } => steer::heard(model, &sweep, &order, heard),
            Msg::Tick(now) => {
                model.now = now;
                model.toast.take_if(|toast| toast.until <= now);
            }
            Msg::Resized(size) => model.size = size,
            Msg::Database(fate) => database_became(model, &fate),
            Msg::Answer(want, answer) => answered(model, want, answer),
            // of what is not shown any more nobody wants to know
            Msg::Unanswered(want, why) if model.wants().contains(&want) => model.say(why, true),
            Msg::Unanswered(..) => {}
        }
    }
    // what was said before is not said of what opens now
    if !was_open && model.overlay.is_some() && model.toast == said {
        model.toast = None;
    }
    model.sweeps.refresh(&model.data);
    model.fill();
    let wants = model.wants();
    model.data.keep(&wants);
    if let Some(ledger) = model.sweep.and_then(|sweep| model.data.ledger(sweep)) {
        model.trials.refresh(ledger, model.now);
        // ten thousand are not sorted for nobody
        if model.screen == Screen::Lanes {
            model.lanes.refresh(ledger, model.trials.rows(), model.trials.filter.text(), model.now);
        }
    }
    model.compare.refresh(&model.data);
    None
}

fn database_became(model: &mut Model, fate: &Fate) {
    let path = &model.database;
    model.alarm = match fate {
        Fate::There | Fate::Replaced => None,
        Fate::Gone => Some(format!("{path} was deleted or moved: this is what it said last")),
        Fate::Unreadable(why) => Some(format!("another file was put in place of {path}: {why}")),
    };
    if *fate == Fate::Replaced {
        let anew = Model::new(model.theme, model.database.clone(), None, model.now);
        *model = Model { size: model.size, conducts: model.conducts, ..anew };
        model.say("another database was put in its place, and is read from now on", false);
    }
}

/// What concerns more than the one trial is done here.
fn trial_does(model: &mut Model, msg: &TrialMsg) -> Option<Msg> {
    let sweep = model.sweep?;
    let (outline, ledger) = (model.data.outline(sweep)?, model.data.ledger(sweep)?);
    let trial = ledger.trial(model.trial_id?)?;
    match msg {
        TrialMsg::Next | TrialMsg::Previous => {
            let next = trial::neighbour(model.trials.rows(), ledger, trial.id, *msg == TrialMsg::Next);
            model.trial_id = Some(next);
            model.trials.select(next, ledger);
        }
        TrialMsg::Metrics => {
            let metrics = model.trial.metrics(&model.data, outline, trial);
            let mut cursor = Cursor::default();
            cursor.select(metrics.iter().position(|name| name == model.trial.metric(outline)).unwrap_or(0));
            model.overlay = Some(Overlay::Metrics(cursor));
        }
        _ => model.trial.update(msg, &model.data, outline, trial),
    }
    None
}

fn copy(model: &mut Model) -> Option<Effect> {
    let command = {
        let (_, ledger, trial) = model.open_trial()?;
        repeating(model.data.record(model.sweep?)?, ledger, trial)
    };
    model.say("the command is in the clipboard, if the terminal lets it", false);
    Some(Effect::Copy(command))
}

/// What concerns more than the lanes is done here.
fn lanes_do(model: &mut Model, msg: &LanesMsg) -> Option<Msg> {
    let sweep = model.sweep?;
    let ledger = model.data.ledger(sweep)?;
    match msg {
        LanesMsg::Mark => {
            let trial = model.lanes.selected(ledger)?.id;
            model.lanes.step(Move::Down, ledger);
            model.mark(sweep, trial);
            return None;
        }
        LanesMsg::Open => {
            let (trial, cell) = model.lanes.under(ledger)?;
            if let Cell::Run(run) = cell {
                model.trial.fold = trial.newest_runs().position(|its| its.fold == run.fold);
            }
        }
        LanesMsg::Running if model.open_sweep().is_some_and(|outline| outline.under_way().is_empty()) => {
            model.say("nothing runs now", false);
            return None;
        }
        _ => {}
    }
    let ledger = model.data.ledger(sweep)?;
    model.lanes.update(msg, ledger)
}

/// What concerns more than the list of trials is done here.
fn trials_do(model: &mut Model, msg: &TrialsMsg) -> Option<Msg> {
    let sweep = model.sweep?;
    let ledger = model.data.ledger(sweep)?;
    match msg {
        TrialsMsg::Mark => {
            let trial = model.trials.selected(ledger)?.id;
            model.trials.step(Move::Down, ledger);
            model.mark(sweep, trial);
            None
        }
        TrialsMsg::Unmark => {
            model.marks.clear();
            model.compare.turn_to(None);
            None
        }
        TrialsMsg::Columns => {
            model.overlay = Some(Overlay::Columns(Cursor::default()));
            None
        }
        _ => model.trials.update(msg, ledger),
    }
}

fn answered(model: &mut Model, want: Want, answer: Answer) {
    let learned = if let Want::Spec(sweep) = want { Some(sweep) } else { None };
    model.data.take(want, answer);
    if let Some(sweep) = learned {
        steer::learned(model, sweep);
    }
    if let Some(sweep) = model.awaited.take_if(|sweep| model.data.outline(*sweep).is_some()) {
        model.open(sweep);
    }
}

/// The line that the user types into.
fn line(model: &mut Model) -> Option<&mut Line> {
    match &mut model.overlay {
        Some(Overlay::Palette(palette)) => Some(&mut palette.line),
        Some(Overlay::Form(form)) => form.fields.get_mut(form.row).map(|field| &mut field.line),
        Some(Overlay::Help(_) | Overlay::Columns(_) | Overlay::Metrics(_) | Overlay::Ask(_)) => None,
        None => match model.screen {
            Screen::Sweeps => Some(&mut model.sweeps.filter),
            Screen::Trials => Some(&mut model.trials.filter),
            Screen::Trial | Screen::Compare | Screen::Search | Screen::Lanes | Screen::Machine => None,
        },
    }
}

fn paste(model: &mut Model, text: &str) {
    if model.takes_text()
        && let Some(line) = line(model)
    {
        line.insert(text);
    }
}

fn typed(model: &mut Model, key: KeyEvent) -> Option<Msg> {
    if let Some(Overlay::Form(form)) = &mut model.overlay
        && form.typed(key)
    {
        return None;
    }
    let to = match key.code {
        KeyCode::Esc => return Some(Msg::Back),
        KeyCode::Enter => {
            match &model.overlay {
                Some(Overlay::Form(_)) => return Some(Msg::Steer(SteerMsg::Send)),
                Some(_) => return Some(Msg::ChooseSelected),
                None => {}
            }
            model.sweeps.is_typing = false;
            model.trials.is_typing = false;
            return None;
        }
        KeyCode::Up => Some(Move::Up),
        KeyCode::Down | KeyCode::Tab => Some(Move::Down),
        KeyCode::PageUp => Some(Move::PageUp),
        KeyCode::PageDown => Some(Move::PageDown),
        KeyCode::Char('p') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Move::Up),
        KeyCode::Char('n') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Move::Down),
        _ => None,
    };
    if let Some(to) = to {
        match &model.overlay {
            Some(Overlay::Palette(palette)) => {
                let entries = palette.entries(model).len();
                if let Some(Overlay::Palette(palette)) = &mut model.overlay {
                    palette.cursor.step(to, entries);
                }
            }
            _ => model.step(to),
        }
        return None;
    }
    if line(model)?.edit(key)
        && let Some(Overlay::Palette(palette)) = &mut model.overlay
    {
        palette.cursor.select(0);
    }
    None
}

fn selected_above(model: &Model) -> Option<usize> {
    match &model.overlay {
        Some(Overlay::Palette(palette)) => Some(palette.cursor.selected()),
        Some(Overlay::Columns(cursor) | Overlay::Metrics(cursor)) => Some(cursor.selected()),
        Some(Overlay::Help(_) | Overlay::Ask(_) | Overlay::Form(_)) | None => None,
    }
}

/// What was chosen of what lies above the screen.
fn choose(model: &mut Model, row: usize) -> Option<Msg> {
    if let Some(Overlay::Palette(palette)) = &model.overlay {
        let chosen = palette.entries(model).into_iter().nth(row)?;
        model.overlay = None;
        return Some(chosen.msg);
    }
    match &mut model.overlay {
        Some(Overlay::Columns(cursor)) => {
            cursor.select(row);
            let ledger = model.sweep.and_then(|sweep| model.data.ledger(sweep))?;
            model.trials.toggle(row, ledger);
        }
        Some(Overlay::Metrics(_)) => {
            let metric = model.metrics().into_iter().nth(row);
            if model.screen == Screen::Compare {
                model.compare.choose_metric(metric);
            } else {
                model.trial.choose_metric(metric);
            }
            model.overlay = None;
        }
        Some(Overlay::Help(_) | Overlay::Palette(_) | Overlay::Ask(_) | Overlay::Form(_)) | None => {}
    }
    None
}
