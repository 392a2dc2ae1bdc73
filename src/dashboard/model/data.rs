//! What the feed has told so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::dashboard::feed::{Answer, CurveNews, Errors, LogTail, MachineNews, SweepNews, TrialsNews, Want};
use crate::dashboard::ledger::Ledger;
use crate::dashboard::machine::Machine;
use crate::protocol::Split;
use crate::search::space::Space;
use crate::store::{Outline, Sample, SweepKey, SweepRecord};
use crate::sweep::RunId;

#[derive(Debug, Default)]
pub struct Data {
    /// None before the first answer.
    pub outlines: Option<BTreeMap<SweepKey, Outline>>,
    ledgers: BTreeMap<SweepKey, Ledger>,
    curves: BTreeMap<Want, Vec<Sample>>,
    metrics: BTreeMap<(SweepKey, RunId), Vec<(Split, String)>>,
    records: BTreeMap<SweepKey, SweepRecord>,
    errors: BTreeMap<Want, Errors>,
    logs: BTreeMap<RunId, LogTail>,
    spaces: BTreeMap<SweepKey, Arc<Space>>,
    machines: BTreeMap<SweepKey, Machine>,
}

impl Data {
    pub fn outline(&self, sweep: SweepKey) -> Option<&Outline> {
        self.outlines.as_ref()?.get(&sweep)
    }

    pub fn ledger(&self, sweep: SweepKey) -> Option<&Ledger> {
        self.ledgers.get(&sweep)
    }

    /// By its [`Want::Curve`]; none before it is there.
    pub fn curve(&self, want: &Want) -> Option<&[Sample]> {
        self.curves.get(want).map(Vec::as_slice)
    }

    /// What a run has measured.
    pub fn metrics(&self, sweep: SweepKey, run: RunId) -> Option<&[(Split, String)]> {
        self.metrics.get(&(sweep, run)).map(Vec::as_slice)
    }

    pub fn record(&self, sweep: SweepKey) -> Option<&SweepRecord> {
        self.records.get(&sweep)
    }

    /// By its [`Want::Errors`].
    pub fn errors(&self, want: &Want) -> Option<&Errors> {
        self.errors.get(want)
    }

    /// Of a run of the open sweep.
    pub fn log(&self, run: RunId) -> Option<&LogTail> {
        self.logs.get(&run)
    }

    pub fn space(&self, sweep: SweepKey) -> Option<&Space> {
        self.spaces.get(&sweep).map(|space| &**space)
    }

    pub fn machine(&self, sweep: SweepKey) -> Option<&Machine> {
        self.machines.get(&sweep)
    }

    pub(super) fn take(&mut self, want: Want, answer: Answer) {
        match answer {
            Answer::Sweeps(news) => self.take_sweeps(news),
            Answer::Trials(news) => {
                let Want::Trials(sweep) = want else { return };
                match (news, self.ledgers.get_mut(&sweep)) {
                    (TrialsNews::All(ledger), _) => drop(self.ledgers.insert(sweep, *ledger)),
                    (TrialsNews::Facts(facts), Some(ledger)) => ledger.fold(&facts),
                    // of a sweep that was closed in between
                    (TrialsNews::Facts(_), None) => {}
                }
            }
            Answer::Metrics(names) => {
                let Want::Metrics(sweep, run) = want else { return };
                self.metrics.insert((sweep, run), names);
            }
            Answer::Record(record) => drop(self.records.insert(record.key, *record)),
            Answer::Errors(errors) => drop(self.errors.insert(want, *errors)),
            Answer::Log(tail) => {
                let Want::Log { run, .. } = want else { return };
                self.logs.insert(run, tail);
            }
            Answer::Machine(MachineNews { after, gauges }) => {
                let Want::Machine(sweep) = want else { return };
                let machine = self.machines.entry(sweep).or_default();
                if after.is_none() {
                    *machine = Machine::default();
                }
                // what does not continue it is of a time when it was wanted before
                if machine.last() == after {
                    machine.take(gauges);
                }
            }
            Answer::Space(space) => {
                let Want::Space(sweep) = want else { return };
                self.spaces.insert(sweep, space);
            }
            Answer::Curve(CurveNews { after: None, samples }) => drop(self.curves.insert(want, samples)),
            Answer::Curve(CurveNews { after, samples }) => {
                if let Some(curve) = self.curves.get_mut(&want)
                    && curve.last().map(|last| (last.epoch, last.step)) == after
                {
                    curve.extend(samples);
                }
            }
        }
    }

    /// Lets go of what no screen shows any more.
    pub(super) fn keep(&mut self, wanted: &BTreeSet<Want>) {
        self.ledgers.retain(|sweep, _| wanted.contains(&Want::Trials(*sweep)));
        self.curves.retain(|want, _| wanted.contains(want));
        self.metrics.retain(|(sweep, run), _| wanted.contains(&Want::Metrics(*sweep, *run)));
        self.machines.retain(|sweep, _| wanted.contains(&Want::Machine(*sweep)));
        self.spaces.retain(|sweep, _| wanted.contains(&Want::Space(*sweep)));
        self.records.retain(|sweep, _| wanted.contains(&Want::Record(*sweep)));
        self.errors.retain(|want, _| wanted.contains(want));
        self.logs.retain(|run, _| wanted.iter().any(|want| matches!(want, Want::Log { run: of, .. } if of == run)));
    }

    fn take_sweeps(&mut self, news: Vec<SweepNews>) {
        let outlines = self.outlines.get_or_insert_default();
        for news in news {
            match news {
                SweepNews::New(outline) => drop(outlines.insert(outline.head.key, *outline)),
                SweepNews::Went { head, facts } => {
                    if let Some(outline) = outlines.get_mut(&head.key) {
                        outline.fold(&facts);
                        outline.head = head;
                    }
                }
            }
        }
    }
}
