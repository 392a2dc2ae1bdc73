//! The machine that the open sweep runs on: what is where, and what comes next.

use std::collections::BTreeMap;

use super::{Cursor, Model};
use crate::control::{Status, Update};
use crate::dashboard::ledger::Ledger;
use crate::dashboard::message::{Msg, Screen, Told};
use crate::protocol::Progress;
use crate::store::{Millis, Outline, RunState, TrialState};
use crate::sweep::{FoldId, RunId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineMsg {
    /// The trial that runs in the selected slot.
    Open,
    /// Shows more of the past, and little again.
    Span,
}

/// How much of the past is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Minutes,
    Hour,
    All,
}

#[derive(Debug, Default)]
pub struct MachineView {
    pub cursor: Cursor,
    /// None: little of what runs, all of what is over.
    span: Option<Span>,
    /// The coordinator tells; its process, where the system knows it.
    pub is_told: bool,
    pub coordinator: Option<u32>,
    status: Option<Status>,
    pub progress: BTreeMap<RunId, Progress>,
}

/// What is in a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotRow {
    pub slot: u32,
    pub device: String,
    pub run: Option<RunId>,
    pub since: Option<Millis>,
}

impl MachineView {
    pub fn span(&self, outline: &Outline) -> Span {
        self.span.unwrap_or(if outline.is_live() { Span::Minutes } else { Span::All })
    }

    pub(super) fn told(&mut self, told: Told) {
        match told {
            Told::Lives(coordinator) => (self.is_told, self.coordinator) = (true, coordinator),
            Told::Update(Update::Status(status)) => {
                self.progress.retain(|run, _| status.slots.iter().any(|slot| slot.run == Some(*run)));
                self.status = Some(status);
            }
            Told::Update(Update::Progress { run, progress }) => drop(self.progress.insert(run, progress)),
            Told::Left => {
                (self.is_told, self.coordinator, self.status) = (false, None, None);
                self.progress.clear();
            }
        }
    }
}

impl Model {
    /// The sweep whose coordinator is to be listened to, by its name.
    pub fn listens_to(&self) -> Option<&str> {
        let is_shown = matches!(self.screen, Screen::Machine | Screen::Lanes);
        self.open_sweep().filter(|outline| is_shown && outline.is_live()).map(|outline| outline.name.as_str())
    }

    /// What the coordinator says; nothing of one that is not listened to any more.
    pub fn status(&self) -> Option<&Status> {
        self.machine.status.as_ref().filter(|_| self.listens_to().is_some())
    }

    /// How far a run is, as its coordinator says.
    pub fn progress(&self, run: RunId) -> Option<&Progress> {
        self.status().and_then(|_| self.machine.progress.get(&run))
    }

    /// What its coordinator says; else what the database knows.
    pub fn slots(&self) -> Vec<SlotRow> {
        let Some((outline, ledger)) = self.open_sweep().zip(self.ledger()) else { return Vec::new() };
        let since = |run: RunId| outline.under_way().iter().find(|(known, _)| *known == run).map(|(_, since)| *since);
        if let Some(status) = self.status() {
            let row = |slot: &crate::control::SlotStatus| SlotRow {
                slot: slot.slot.0,
                device: slot.device.clone(),
                run: slot.run,
                since: slot.run.and_then(since),
            };
            return status.slots.iter().map(row).collect();
        }
        let mut slots: BTreeMap<u32, SlotRow> = BTreeMap::new();
        for trial in &ledger.trials {
            for run in &trial.runs {
                let (Some(slot), Some(device)) = (run.slot, &run.device) else { continue };
                let row = slots.entry(slot).or_insert_with(|| SlotRow {
                    slot,
                    device: device.to_string(),
                    run: None,
                    since: None,
                });
                let id = RunId { trial: trial.id, fold: run.fold, attempt: run.attempt };
                if run.state == RunState::Running && outline.is_live() {
                    (row.run, row.since, row.device) = (Some(id), since(id).or(run.started), device.to_string());
                }
            }
        }
        slots.into_values().collect()
    }

    /// Runs that could be started next.
    pub fn waiting(&self) -> Vec<RunId> {
        match (self.status(), self.open_sweep().zip(self.ledger())) {
            (Some(status), _) => status.waiting.clone(),
            (None, Some((outline, ledger))) if outline.is_live() => open_folds(ledger),
            _ => Vec::new(),
        }
    }
}

/// Folds of open trials that have not been run.
fn open_folds(ledger: &Ledger) -> Vec<RunId> {
    let is_open = |state| matches!(state, TrialState::Waiting | TrialState::Running);
    let open = ledger.trials.iter().filter(|trial| is_open(trial.state));
    open.flat_map(|trial| {
        let folds = (0..ledger.folds).map(|place| FoldId::at(place, ledger.k));
        let is_new = |fold: &FoldId| trial.runs.iter().all(|run| run.fold != *fold);
        folds.filter(is_new).map(|fold| RunId { trial: trial.id, fold, attempt: 1 })
    })
    .collect()
}

pub(super) fn update(model: &mut Model, msg: &MachineMsg) -> Option<Msg> {
    match msg {
        MachineMsg::Open => selected(model).map(|run| Msg::OpenTrial(run.trial)),
        MachineMsg::Span => {
            let outline = model.open_sweep()?;
            model.machine.span = Some(match model.machine.span(outline) {
                Span::Minutes => Span::Hour,
                Span::Hour => Span::All,
                Span::All => Span::Minutes,
            });
            None
        }
    }
}

/// The run in the selected slot.
pub(super) fn selected(model: &Model) -> Option<RunId> {
    let slots = model.slots();
    slots.get(model.machine.cursor.selected().min(slots.len().saturating_sub(1)))?.run
}
