//! What a message changes, and what the terminal has to do about it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    Cell, Cursor, LanesMsg, Line, Model, Overlay, Palette, SteerMsg, SweepsMsg, TrialMsg, TrialsMsg, machine,
    repeating, steer, trial,
};
use crate::dashboard::feed::{Answer, Want};
use crate::dashboard::message::{Effect, Fate, Move, Msg, Screen};

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
        Fate::Gone => Some(format!("{path} is gone: this is what it said last")),
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
