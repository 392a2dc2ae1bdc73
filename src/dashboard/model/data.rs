//! What the feed has told so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::dashboard::feed::{
    Answer, CurveNews, Errors, Final, LogTail, MachineNews, Outlook, Study, SweepNews, Told, TrialsNews, Want,
};
use crate::dashboard::ledger::Ledger;
use crate::dashboard::machine::Machine;
use crate::protocol::Split;
use crate::search::insight::{Insight, Pair};
use crate::spec::Spec;
use crate::store::{Outline, Sample, SweepKey, SweepRecord};
use crate::sweep::RunId;

#[derive(Debug, Default)]
pub struct Data {
    /// None before the first answer.
    pub outlines: Option<BTreeMap<SweepKey, Outline>>,
    /// Sweeps that are recorded as going on, and that nobody runs.
    lost: BTreeSet<SweepKey>,
    ledgers: BTreeMap<SweepKey, Ledger>,
    /// In their place, of sweeps that nobody runs.
    still: BTreeMap<SweepKey, Ledger>,
    curves: BTreeMap<Want, Vec<Sample>>,
    metrics: BTreeMap<(SweepKey, RunId), Vec<(Split, String)>>,
    records: BTreeMap<SweepKey, SweepRecord>,
    errors: BTreeMap<Want, Errors>,
    finals: BTreeMap<Want, Vec<Final>>,
    logs: BTreeMap<RunId, LogTail>,
    specs: BTreeMap<SweepKey, Result<Box<Spec>, String>>,
    outlooks: BTreeMap<SweepKey, Study<Outlook>>,
    insights: BTreeMap<SweepKey, Told<Insight>>,
    pairs: BTreeMap<Want, Told<Pair>>,
    machines: BTreeMap<SweepKey, Machine>,
}

impl Data {
    pub fn outline(&self, sweep: SweepKey) -> Option<&Outline> {
        self.outlines.as_ref()?.get(&sweep)
    }

    pub fn ledger(&self, sweep: SweepKey) -> Option<&Ledger> {
        self.still.get(&sweep).or_else(|| self.ledgers.get(&sweep))
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

    /// By its [`Want::Finals`].
    pub fn finals(&self, want: &Want) -> Option<&[Final]> {
        self.finals.get(want).map(Vec::as_slice)
    }

    /// Of a run of the open sweep.
    pub fn log(&self, run: RunId) -> Option<&LogTail> {
        self.logs.get(&run)
    }

    /// The sweep file, or why it cannot be understood; none before it is read.
    pub fn spec(&self, sweep: SweepKey) -> Option<&Result<Box<Spec>, String>> {
        self.specs.get(&sweep)
    }

    pub fn outlook(&self, sweep: SweepKey) -> Option<&Study<Outlook>> {
        self.outlooks.get(&sweep)
    }

    pub fn insight(&self, sweep: SweepKey) -> Option<&Told<Insight>> {
        self.insights.get(&sweep)
    }

    /// By its [`Want::Pair`].
    pub fn pair(&self, want: &Want) -> Option<&Told<Pair>> {
        self.pairs.get(want)
    }

    pub fn machine(&self, sweep: SweepKey) -> Option<&Machine> {
        self.machines.get(&sweep)
    }

    pub(super) fn take(&mut self, want: Want, answer: Answer) {
        match answer {
            Answer::Sweeps(news) => {
                self.take_sweeps(news);
                self.stand_still();
            }
            Answer::Lost(lost) => {
                self.lost = lost;
                for (sweep, outline) in self.outlines.iter_mut().flatten() {
                    outline.is_lost = self.lost.contains(sweep);
                }
                self.stand_still();
            }
            Answer::Trials(news) => {
                let Want::Trials(sweep) = want else { return };
                match (news, self.ledgers.get_mut(&sweep)) {
                    (TrialsNews::All(ledger), _) => drop(self.ledgers.insert(sweep, *ledger)),
                    (TrialsNews::Facts(facts), Some(ledger)) => ledger.fold(&facts),
                    // of a sweep that was closed in between
                    (TrialsNews::Facts(_), None) => {}
                }
                self.stand_still();
            }
            Answer::Metrics(names) => {
                let Want::Metrics(sweep, run) = want else { return };
                self.metrics.insert((sweep, run), names);
            }
            Answer::Record(record) => drop(self.records.insert(record.key, *record)),
            Answer::Errors(errors) => drop(self.errors.insert(want, *errors)),
            Answer::Finals(finals) => drop(self.finals.insert(want, finals)),
            Answer::Log(tail) => {
                let Want::Log { run, .. } = want else { return };
                self.logs.insert(run, tail);
            }
            Answer::Spec(spec) => {
                let Want::Spec(sweep) = want else { return };
                self.specs.insert(sweep, spec);
            }
            Answer::Outlook(outlook) => {
                let Want::Outlook(sweep) = want else { return };
                self.outlooks.insert(sweep, *outlook);
            }
            Answer::Insight(insight) => {
                let Want::Insight(sweep) = want else { return };
                self.insights.insert(sweep, *insight);
            }
            Answer::Pair(pair) => drop(self.pairs.insert(want, *pair)),
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
        self.still.retain(|sweep, _| wanted.contains(&Want::Trials(*sweep)));
        self.curves.retain(|want, _| wanted.contains(want));
        self.metrics.retain(|(sweep, run), _| wanted.contains(&Want::Metrics(*sweep, *run)));
        self.machines.retain(|sweep, _| wanted.contains(&Want::Machine(*sweep)));
        self.records.retain(|sweep, _| wanted.contains(&Want::Record(*sweep)));
        self.errors.retain(|want, _| wanted.contains(want));
        self.finals.retain(|want, _| wanted.contains(want));
        // what took long to compute is shown until it has been computed anew
        let is_open = |sweep: &SweepKey| wanted.contains(&Want::Trials(*sweep));
        self.specs.retain(|sweep, _| is_open(sweep) || wanted.contains(&Want::Spec(*sweep)));
        self.outlooks.retain(|sweep, _| is_open(sweep));
        self.insights.retain(|sweep, _| is_open(sweep));
        self.pairs.retain(|want, _| matches!(want, Want::Pair(sweep, _) if is_open(sweep)));
        self.logs.retain(|run, _| wanted.iter().any(|want| matches!(want, Want::Log { run: of, .. } if of == run)));
    }

    /// What is under way in a sweep that nobody runs.
    fn stand_still(&mut self) {
        for (sweep, ledger) in &self.ledgers {
            let outline = self.outlines.as_ref().and_then(|outlines| outlines.get(sweep));
            let Some(outline) = outline.filter(|outline| outline.is_lost()) else {
                self.still.remove(sweep);
                continue;
            };
            if self.still.get(sweep).is_none_or(|still| still.next_seq() != ledger.next_seq()) {
                let since = outline.head.touched.unwrap_or(outline.created);
                self.still.insert(*sweep, ledger.stood_still(since));
            }
        }
    }

    fn take_sweeps(&mut self, news: Vec<SweepNews>) {
        let outlines = self.outlines.get_or_insert_default();
        for news in news {
            match news {
                SweepNews::New(mut outline) => {
                    outline.is_lost = self.lost.contains(&outline.head.key);
                    outlines.insert(outline.head.key, *outline);
                }
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
