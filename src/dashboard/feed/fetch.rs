//! How each want is answered: from the beginning, then from where the last answer ended.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use tokio::time::Instant;

use super::{Answer, Errors, LogTail, Want, finals, study};
use crate::control;
use crate::dashboard::ledger::Ledger;
use crate::protocol::Split;
use crate::spec::Problems;
use crate::store::{
    Extent, Gauge, Head, Millis, Outline, Reader, Recorded, Sample, StoreError, SweepKey, log_path, sweep_directory,
};
use crate::sweep::{Fact, RunId};

#[derive(Debug, Error)]
pub enum FeedError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a computation of the dashboard has failed")]
    Computation(#[from] tokio::task::JoinError),
    #[error("the sweep file cannot be understood")]
    Spec(#[from] Problems),
}

/// How far a want has been answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cursor {
    Start,
    /// Facts of each sweep.
    Facts(BTreeMap<SweepKey, Head>),
    Seq(u64),
    /// Epoch and step of the last sample.
    Step(Option<(u32, u64)>),
    /// When what is known last was seen.
    Seen(Option<Millis>),
    /// Metrics that are known.
    Names(Vec<(Split, String)>),
    /// Bytes of a file.
    File(u64),
    /// Sweeps without a coordinator.
    Lost(BTreeSet<SweepKey>),
    /// How far a sweep went that something was computed of, and when that may be done again.
    Extent {
        known: Extent,
        rest: Instant,
    },
    /// Nothing will change it.
    Done,
}

/// What is new of a sweep, for the list of all.
#[derive(Clone, Debug)]
pub enum SweepNews {
    New(Box<Outline>),
    Went { head: Head, facts: Vec<Recorded> },
}

#[derive(Clone, Debug)]
pub enum TrialsNews {
    All(Box<Ledger>),
    Facts(Vec<Recorded>),
}

/// Samples that come after an (epoch, step); from the beginning after none.
#[derive(Clone, Debug)]
pub struct CurveNews {
    pub after: Option<(u32, u64)>,
    pub samples: Vec<Sample>,
}

/// What was seen after a moment; from the beginning after none.
#[derive(Clone, Debug)]
pub struct MachineNews {
    pub after: Option<Millis>,
    pub gauges: Vec<Gauge>,
}

pub(super) type Fetched = Result<(Option<Answer>, Cursor), FeedError>;

/// The next answer to a want, and how far it reaches; none where nothing is new.
pub(super) async fn fetch(reader: &Reader, want: &Want, cursor: Cursor) -> Fetched {
    match want {
        Want::Sweeps => sweeps(reader, cursor).await,
        Want::Lost => lost(reader, cursor).await,
        Want::Trials(sweep) => trials(reader, *sweep, cursor).await,
        Want::Curve { sweep, run, split, metric } => curve(reader, *sweep, *run, *split, metric, cursor).await,
        Want::Metrics(sweep, run) => metrics(reader, *sweep, *run, cursor).await,
        Want::Record(sweep) => {
            let record = reader.record(*sweep).await?;
            Ok((Some(Answer::Record(Box::new(record))), Cursor::Done))
        }
        Want::Machine(sweep) => machine(reader, *sweep, cursor).await,
        Want::Errors { sweep, trial, .. } => {
            let errors = Errors::read(reader, *sweep, *trial).await?;
            Ok((Some(Answer::Errors(Box::new(errors))), Cursor::Done))
        }
        Want::Finals { sweep, trial, .. } => {
            let finals = finals::read(reader, *sweep, *trial).await?;
            Ok((Some(Answer::Finals(finals)), Cursor::Done))
        }
        Want::Log { sweep, run } => log(reader, sweep, *run, cursor).await,
        Want::Spec(sweep) => {
            let record = reader.record(*sweep).await?;
            let spec = study::spec_of(&record).map(Box::new).map_err(|problems| problems.to_string());
            Ok((Some(Answer::Spec(spec)), Cursor::Done))
        }
        Want::Outlook(sweep) => {
            let (told, cursor) = study::outlook(reader, *sweep, cursor).await?;
            Ok((told.map(|told| Answer::Outlook(Box::new(told))), cursor))
        }
        Want::Insight(sweep) => {
            let (told, cursor) = study::insights(reader, *sweep, cursor).await?;
            Ok((told.map(|told| Answer::Insight(Box::new(told))), cursor))
        }
        Want::Pair(sweep, parameters) => {
            let (told, cursor) = study::pairs(reader, *sweep, parameters.clone(), cursor).await?;
            Ok((told.map(|told| Answer::Pair(Box::new(told))), cursor))
        }
    }
}

async fn sweeps(reader: &Reader, cursor: Cursor) -> Fetched {
    let Cursor::Facts(mut known) = cursor else {
        let outlines = reader.outlines(None).await?;
        let known = outlines.iter().map(|outline| (outline.head.key, outline.head.clone())).collect();
        let news = outlines.into_iter().map(|outline| SweepNews::New(Box::new(outline))).collect();
        return Ok((Some(Answer::Sweeps(news)), Cursor::Facts(known)));
    };
    let (mut news, mut anew) = (Vec::new(), Vec::new());
    for head in reader.heads().await? {
        match known.get(&head.key) {
            Some(old) if *old == head => {}
            Some(old) => {
                let facts = reader.facts_since(head.key, old.next_seq).await?;
                // one that was recorded in between comes with it, and is not asked for again
                let next_seq = facts.last().map_or(head.next_seq, |last| last.seq + 1);
                let head = Head { next_seq, ..head };
                if facts.iter().any(|recorded| Outline::is_undone_by(&recorded.fact)) {
                    anew.push(head.key);
                } else {
                    known.insert(head.key, head.clone());
                    news.push(SweepNews::Went { head, facts });
                }
            }
            None => anew.push(head.key),
        }
    }
    for key in anew {
        for outline in reader.outlines(Some(key)).await? {
            known.insert(key, outline.head.clone());
            news.push(SweepNews::New(Box::new(outline)));
        }
    }
    Ok(((!news.is_empty()).then_some(Answer::Sweeps(news)), Cursor::Facts(known)))
}

async fn trials(reader: &Reader, sweep: SweepKey, cursor: Cursor) -> Fetched {
    if let Cursor::Seq(seq) = cursor {
        let facts = reader.facts_since(sweep, seq).await?;
        let Some(last) = facts.last() else { return Ok((None, Cursor::Seq(seq))) };
        // when the runs ended that were lost before it, no fact tells
        if !facts.iter().any(|recorded| recorded.fact == Fact::SweepResumed) {
            let next = last.seq + 1;
            return Ok((Some(Answer::Trials(TrialsNews::Facts(facts))), Cursor::Seq(next)));
        }
    }
    let snapshot = reader.snapshot(sweep).await?;
    let seen = || study::seen_k(snapshot.runs.iter().map(|run| run.run.fold));
    let k = study::k_of(reader, sweep).await?.unwrap_or_else(seen);
    let ledger = tokio::task::spawn_blocking(move || Ledger::new(snapshot, k)).await?;
    let seq = ledger.next_seq();
    Ok((Some(Answer::Trials(TrialsNews::All(Box::new(ledger)))), Cursor::Seq(seq)))
}

async fn curve(reader: &Reader, sweep: SweepKey, run: RunId, split: Split, metric: &str, cursor: Cursor) -> Fetched {
    let (after, is_first) = match cursor {
        Cursor::Step(after) => (after, false),
        _ => (None, true),
    };
    let samples = reader.samples(sweep, run, split, metric, after).await?;
    let reached = samples.last().map(|sample| (sample.epoch, sample.step)).or(after);
    let answer = (is_first || !samples.is_empty()).then_some(Answer::Curve(CurveNews { after, samples }));
    Ok((answer, Cursor::Step(reached)))
}

async fn metrics(reader: &Reader, sweep: SweepKey, run: RunId, cursor: Cursor) -> Fetched {
    let names = reader.metric_names(sweep, run).await?;
    let is_new = !matches!(&cursor, Cursor::Names(known) if *known == names);
    Ok((is_new.then(|| Answer::Metrics(names.clone())), Cursor::Names(names)))
}

async fn machine(reader: &Reader, sweep: SweepKey, cursor: Cursor) -> Fetched {
    let (after, is_first) = match cursor {
        Cursor::Seen(after) => (after, false),
        _ => (None, true),
    };
    let gauges = reader.gauges(sweep, after).await?;
    let reached = gauges.last().map(|gauge| gauge.at).or(after);
    let answer = (is_first || !gauges.is_empty()).then_some(Answer::Machine(MachineNews { after, gauges }));
    Ok((answer, Cursor::Seen(reached)))
}

/// Of sweeps that were begun on this machine: what runs elsewhere cannot be known.
async fn lost(reader: &Reader, cursor: Cursor) -> Fetched {
    let here = gethostname::gethostname();
    let mut lost = BTreeSet::new();
    for live in reader.live().await? {
        if *live.host == *here && !control::is_conducted(&sweep_directory(reader.path(), &live.name)).await {
            lost.insert(live.key);
        }
    }
    let is_known = matches!(&cursor, Cursor::Lost(known) if *known == lost);
    Ok(((!is_known).then(|| Answer::Lost(lost.clone())), Cursor::Lost(lost)))
}

async fn log(reader: &Reader, sweep: &str, run: RunId, cursor: Cursor) -> Fetched {
    let path = log_path(reader.path(), sweep, run);
    let known = if let Cursor::File(bytes) = cursor { Some(bytes) } else { None };
    let tail = tokio::task::spawn_blocking(move || LogTail::read(&path, known)).await?;
    Ok(match tail {
        Some(tail) => {
            let bytes = tail.bytes;
            (Some(Answer::Log(tail)), Cursor::File(bytes))
        }
        None => (None, cursor),
    })
}
