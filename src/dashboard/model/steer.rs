//! Orders to a live sweep, and remarks on any: what is asked before, and what is said of the answer.

use super::form::{Form, Purpose, named};
use super::{Model, Overlay};
use crate::control::Answer;
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::Trial;
use crate::dashboard::message::{Effect, Heard, Screen};
use crate::store::{Outline, SweepKey, SweepState};
use crate::sweep::{Order, TrialId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SteerMsg {
    Stop,
    /// Or goes on.
    Pause,
    Kill,
    KillTrial,
    /// The run of the selected slot.
    Restart,
    /// The trial.
    Retry,
    /// All that failed.
    RetryFailed,
    Enqueue,
    /// Or include.
    Exclude,
    Note,
    Tag,
    Slots,
    /// What was asked is meant.
    Sure,
    /// The form is filled in.
    Send,
}

/// An order that waits for a yes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub sweep: SweepKey,
    /// Its name.
    pub name: String,
    pub order: Order,
}

impl Ask {
    /// What follows from a yes.
    pub fn consequence(&self) -> String {
        let name = &self.name;
        match &self.order {
            Order::Stop => format!(
                "The runs of {name} come to their end, none is started, then it stops. `sweep resume {name}` continues."
            ),
            Order::Pause => {
                format!("What runs of {name} goes on, nothing is started until it is told to go on. Its clock goes on.")
            }
            Order::Unpause => format!("{name} goes on."),
            Order::Kill => format!(
                "The runs of {name} end now; what came after their last checkpoints is lost. `sweep resume {name}` \
                 continues."
            ),
            Order::KillTrial { trial } => {
                format!("{} of {name} ends for good: its runs now, and no further fold.", capital(&named(*trial)))
            }
            Order::Retry { trial: Some(trial) } => {
                format!(
                    "{} of {name} is opened again: finished folds are kept, the others run.",
                    capital(&named(*trial))
                )
            }
            Order::Retry { trial: None } => format!("All trials of {name} that failed are opened again."),
            Order::Exclude { trial } => format!(
                "{} of {name} counts in nothing: not in what is learned, nor as the best. It can be included again.",
                capital(&named(*trial))
            ),
            Order::Include { trial } => format!("{} of {name} counts again.", capital(&named(*trial))),
            Order::Restart { trial, fold } => {
                format!("Run {trial}/{fold} of {name} ends now and goes on from its last checkpoint.")
            }
            other => format!("{name}: {other}"),
        }
    }

    /// The name of the window.
    pub fn title(&self) -> String {
        match &self.order {
            Order::Stop => format!("Stop {}?", self.name),
            Order::Kill => format!("Kill {}?", self.name),
            order => format!("{}?", capital(&order.to_string())),
        }
    }

    /// Whether something is lost.
    pub fn is_grave(&self) -> bool {
        matches!(self.order, Order::Kill | Order::KillTrial { .. })
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

impl Model {
    /// The sweep that an order is for.
    fn subject(&self) -> Option<&Outline> {
        let key = match self.screen {
            Screen::Sweeps => self.sweeps.selected(&self.data),
            _ => self.sweep,
        };
        self.data.outline(key?)
    }

    /// The trial that it is for.
    fn subject_trial(&self) -> Option<&Trial> {
        let ledger = self.ledger()?;
        match self.screen {
            Screen::Trials => self.trials.selected(ledger),
            Screen::Trial => ledger.trial(self.trial_id?),
            Screen::Machine => ledger.trial(super::machine::selected(self)?.trial),
            Screen::Lanes => self.lanes.selected(ledger),
            Screen::Sweeps | Screen::Compare | Screen::Search => None,
        }
    }
}

pub(super) fn update(model: &mut Model, msg: &SteerMsg) -> Option<Effect> {
    match msg {
        SteerMsg::Sure => {
            let Some(Overlay::Ask(ask)) = model.overlay.take() else { return None };
            return Some(give(model, ask.name, ask.order));
        }
        SteerMsg::Send => return send(model),
        _ => {}
    }
    let Some(outline) = model.subject() else {
        model.say("no sweep is selected", true);
        return None;
    };
    let (sweep, name, state) = (outline.head.key, outline.name.clone(), outline.head.state);
    let trial = model.subject_trial();
    let order = match (msg, trial) {
        (SteerMsg::Stop, _) => Order::Stop,
        (SteerMsg::Pause, _) if state == SweepState::Paused => Order::Unpause,
        (SteerMsg::Pause, _) => Order::Pause,
        (SteerMsg::Kill, _) => Order::Kill,
        (SteerMsg::Restart, _) => {
            let Some(run) = super::machine::selected(model) else {
                model.say("nothing runs in this slot", true);
                return None;
            };
            Order::Restart { trial: run.trial, fold: run.fold }
        }
        (SteerMsg::RetryFailed, _) => Order::Retry { trial: None },
        (SteerMsg::KillTrial, Some(trial)) => Order::KillTrial { trial: trial.id },
        (SteerMsg::Retry, Some(trial)) => Order::Retry { trial: Some(trial.id) },
        (SteerMsg::Exclude, Some(trial)) if trial.excluded => Order::Include { trial: trial.id },
        (SteerMsg::Exclude, Some(trial)) => Order::Exclude { trial: trial.id },
        (SteerMsg::Note, Some(trial)) => {
            let form = Form::new(sweep, name, Purpose::Note(trial.id), trial.note.as_deref().unwrap_or_default());
            model.overlay = Some(Overlay::Form(form));
            return None;
        }
        (SteerMsg::Tag, Some(trial)) => {
            let tags = trial.tags.iter().map(ToString::to_string).collect();
            model.overlay = Some(Overlay::Form(Form::new(sweep, name, Purpose::Tag(trial.id, tags), "")));
            return None;
        }
        (SteerMsg::Slots | SteerMsg::Enqueue, trial) => {
            let from = trial.map(|trial| trial.id).filter(|trial| !trial.is_baseline());
            let purpose = if *msg == SteerMsg::Slots { Purpose::Slots } else { Purpose::Enqueue(from) };
            if let Some(why) = nobody_by_record(outline, &Order::Slots { count: 1 }) {
                model.say(why, true);
            } else {
                model.overlay = Some(Overlay::Form(Form::new(sweep, name, purpose, "")));
                learned(model, sweep);
            }
            return None;
        }
        _ => {
            model.say("no trial is selected", true);
            return None;
        }
    };
    if let Some(why) = nobody_by_record(outline, &order) {
        model.say(why, true);
    } else {
        model.overlay = Some(Overlay::Ask(Ask { sweep, name, order }));
    }
    None
}

/// The sweep file is there: the form can ask for a point of it.
pub(super) fn learned(model: &mut Model, sweep: SweepKey) {
    let (spec, ledger) = (model.data.spec(sweep), model.data.ledger(sweep));
    if let (Some(Overlay::Form(form)), Some(spec)) = (&mut model.overlay, spec)
        && form.sweep == sweep
        && form.fields.is_empty()
    {
        match spec {
            Ok(spec) => form.ask_for(&spec.search.space, ledger),
            Err(problems) => form.problem = Some(problems.clone()),
        }
    }
}

/// What a form needs to ask.
pub(super) fn wants(form: &Form) -> Option<Want> {
    matches!(form.purpose, Purpose::Enqueue(_)).then_some(Want::Spec(form.sweep))
}

fn send(model: &mut Model) -> Option<Effect> {
    let Some(Overlay::Form(form)) = &mut model.overlay else { return None };
    if form.fields.is_empty() {
        return None;
    }
    match form.order() {
        Ok(order) => {
            let name = form.name.clone();
            // a point can be refused: then it is changed, not typed again
            if !matches!(form.purpose, Purpose::Enqueue(_)) {
                model.overlay = None;
            }
            Some(give(model, name, order))
        }
        Err((row, problem)) => {
            (form.row, form.problem) = (row, Some(problem));
            None
        }
    }
}

fn give(model: &mut Model, sweep: String, order: Order) -> Effect {
    model.say(format!("{sweep}: {order} …"), false);
    Effect::Give { sweep, order }
}

/// What has become of an order.
pub(super) fn heard(model: &mut Model, sweep: &str, order: &Order, heard: Heard) {
    let is_enqueued = matches!(order, Order::Enqueue { .. });
    let form = match &mut model.overlay {
        Some(Overlay::Form(form)) if is_enqueued && form.name == sweep => Some(form),
        _ => None,
    };
    match heard {
        Heard::Answer(Answer::Done { trial, .. }) => {
            if form.is_some() {
                model.overlay = None;
            }
            model.say(format!("{sweep}: {}", done(order, trial)), false);
        }
        Heard::Answer(Answer::Refused { why, hint }) => {
            let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            match form {
                Some(form) => {
                    form.problem = Some(format!("{why}{hint}"));
                    model.toast = None;
                }
                None => model.say(format!("{sweep}: cannot {order}: {why}{hint}"), true),
            }
        }
        Heard::Nobody => {
            let state = model.data.outlines.iter().flatten().map(|(_, outline)| outline);
            let state = state.filter(|outline| outline.name == sweep).map(|outline| outline.head.state).next();
            model.say(nobody(sweep, state, order), true);
        }
        Heard::Failed(why) => model.say(format!("{sweep}: cannot {order}: {why}"), true),
    }
}

/// What follows from an order, in words.
fn done(order: &Order, made: Option<TrialId>) -> String {
    match order {
        Order::Stop => "stops when its runs have ended".to_owned(),
        Order::Pause => "is paused; what runs goes on".to_owned(),
        Order::Unpause => "goes on".to_owned(),
        Order::Kill => "its runs end now".to_owned(),
        Order::KillTrial { trial } => format!("{} is killed; R opens it again", named(*trial)),
        Order::Retry { trial: Some(trial) } => format!("{} is tried again", named(*trial)),
        Order::Retry { trial: None } => "all that failed is tried again".to_owned(),
        Order::Restart { trial, fold } => {
            format!("run {trial}/{fold} is told to end, and begins again at its last checkpoint")
        }
        Order::Enqueue { .. } => {
            format!("{} is the next to be tried", made.map_or_else(|| "the point".to_owned(), named))
        }
        Order::Exclude { trial } => format!("{} counts in nothing any more", named(*trial)),
        Order::Include { trial } => format!("{} counts again", named(*trial)),
        Order::Slots { count: 1 } => "1 run at a time from now on".to_owned(),
        Order::Slots { count } => format!("{count} runs at once from now on"),
        Order::Note { trial, text } if text.is_empty() => format!("{} has no note any more", named(*trial)),
        Order::Note { trial, .. } => format!("noted on {}", named(*trial)),
        Order::Tag { trial, tag } => format!("{} is tagged {tag}", named(*trial)),
        Order::Untag { trial, tag } => format!("{} is not tagged {tag} any more", named(*trial)),
    }
}

/// Why nobody can hear an order, where the database says so.
fn nobody_by_record(outline: &Outline, order: &Order) -> Option<String> {
    let is_over = matches!(outline.head.state, SweepState::Finished | SweepState::Stopped | SweepState::Failed);
    ((is_over || outline.is_lost()) && !order.is_remark())
        .then(|| nobody(&outline.name, Some(outline.head.state), order))
}

/// Why nobody hears an order, and what to do.
fn nobody(name: &str, state: Option<SweepState>, order: &Order) -> String {
    let what = match state {
        Some(SweepState::Finished) => format!("{name} is finished: nothing runs"),
        Some(SweepState::Stopped | SweepState::Failed) => format!("{name} does not run: it was stopped"),
        _ => format!("nobody runs {name}: its coordinator is gone"),
    };
    let hint = match (state, order) {
        (_, Order::Retry { .. }) => format!("`sweep resume {name} --retry-failed` tries failed trials again"),
        (Some(SweepState::Finished), _) => "`sweep run` begins another".to_owned(),
        (_, Order::Stop | Order::Pause | Order::Kill) => format!("`sweep resume {name}` goes on with it"),
        _ => format!("`sweep resume {name}` goes on with it; then give the order again"),
    };
    format!("{what}; {hint}")
}
