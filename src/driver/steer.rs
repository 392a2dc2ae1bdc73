//! What people want of a sweep: orders of a live one, remarks on any.

use std::sync::Arc;

use super::{Campaign, Driver, DriverError, RETRIES, claim, now};
use crate::control::{Answer, Call, SlotStatus, Status};
use crate::spec::Spec;
use crate::store::{Store, SweepRecord};
use crate::sweep::{Effect, Event, Order, Plan, Refusal, Sweep, SweepEnd, TrialId, Who};

impl Driver<'_> {
    /// Does what somebody wants, and answers when it is durable.
    pub(super) async fn take(&mut self, call: Call) -> Result<Option<SweepEnd>, DriverError> {
        let (order, by, answer) = match call {
            Call::Order { order, by, answer } => (order, by, answer),
            Call::Watch { answer } => {
                let watcher = self.live.subscribe(self.status());
                // who has left already hears nothing
                let _ = answer.send(watcher);
                return Ok(None);
            }
        };
        if let Some(refusal) = self.sweep.refusal(&order) {
            let _ = answer.send(refused(&refusal));
            return Ok(None);
        }
        let next = TrialId(self.sweep.proposed() as i32);
        let mut done = Answer::done(&order);
        let is_asked = matches!(order, Order::Enqueue { .. });
        let end = self.handle(Event::Ordered { order, by }).await?;
        if let (Answer::Done { trial, point, .. }, true) = (&mut done, is_asked) {
            *trial = Some(next);
            *point = self.sweep.trial(next).map(|trial| trial.point.clone());
        }
        let _ = answer.send(done);
        Ok(end)
    }

    /// What is where.
    pub(super) fn status(&self) -> Status {
        let Campaign { record, slots, .. } = &self.campaign;
        let places = self.sweep.slots();
        let places = places.map(|(slot, run)| SlotStatus { slot, device: slots.place(slot, run).name.clone(), run });
        Status {
            sweep: record.name.clone(),
            state: self.sweep.stage(),
            wanted_slots: self.sweep.wanted_slots(),
            slots: places.collect(),
            waiting: self.sweep.waiting().into_iter().take(Status::MOST_WAITING).collect(),
        }
    }
}

fn refused(refusal: &Refusal) -> Answer {
    Answer::refused(refusal.to_string(), refusal.hint())
}

/// Records a remark on a trial of a sweep that nobody runs, as its coordinator would; other orders are refused. An
/// error is that a coordinator lives.
pub async fn remark(
    store: &Store,
    record: &SweepRecord,
    spec: &Spec,
    order: Order,
    by: Who,
) -> Result<Answer, DriverError> {
    let _alone = claim(store, record)?;
    let facts = store.reader().facts(record.key).await?;
    let plan = Plan { spec: Arc::new(spec.clone()), slots: 0, retries: RETRIES, earlier: Arc::default() };
    let mut sweep = Sweep::replay(plan, &facts);
    if !order.is_remark() {
        return Ok(Answer::refused("nobody runs the sweep", None));
    }
    if let Some(refusal) = sweep.refusal(&order) {
        return Ok(refused(&refusal));
    }
    let answer = Answer::done(&order);
    let effects = sweep.handle(Event::Ordered { order, by });
    let facts = effects.into_iter().filter_map(|effect| match effect {
        Effect::Record(fact) => Some(fact),
        _ => None,
    });
    store.writer(record.key).record(now(), facts.collect()).await?;
    Ok(answer)
}
