//! Where the dashboard's data come from: the store, read a little at a time.
//!
//! The model says what its screens need to show ([`Want`]); the feed answers, and answers again with what is new
//! whenever somebody has committed to the database. What is no longer wanted is no longer read.

mod errors;
mod fetch;
mod finals;
mod log;
mod study;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::task::{AbortHandle, JoinSet};

pub use errors::{ClassErrors, Errors};
use fetch::{Cursor, Fetched, fetch};
pub use fetch::{CurveNews, FeedError, MachineNews, SweepNews, TrialsNews};
pub use finals::Final;
pub use log::LogTail;
pub use study::{Outlook, Study, Told};
use watch::{Look, Place};

use super::message::{Fate, Msg};
use crate::protocol::Split;
use crate::search::insight::{Insight, Pair};
use crate::spec::Spec;
use crate::store::{Reader, StoreError, SweepKey, SweepRecord};
use crate::sweep::{RunId, TrialId};

/// Something that a screen needs to show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// All sweeps in a few numbers.
    Sweeps,
    /// Those that are recorded as going on, and that nobody runs.
    Lost,
    /// All trials and runs of a sweep.
    Trials(SweepKey),
    /// One metric of one run.
    Curve { sweep: SweepKey, run: RunId, split: Split, metric: String },
    /// What a run has measured.
    Metrics(SweepKey, RunId),
    /// The sweep file and all that belongs to it.
    Record(SweepKey),
    /// What was seen of its devices.
    Machine(SweepKey),
    /// What a trial got wrong, when so many of its folds are finished.
    Errors { sweep: SweepKey, trial: TrialId, folds: usize },
    /// What the metrics of a trial came to, when so many of its folds are finished.
    Finals { sweep: SweepKey, trial: TrialId, folds: usize },
    /// The end of what a run has printed, by the name of its sweep.
    Log { sweep: String, run: RunId },
    /// The sweep file, understood.
    Spec(SweepKey),
    /// The next point, and what can still be gained.
    Outlook(SweepKey),
    /// What the scores say of the parameters.
    Insight(SweepKey),
    /// And of two of them together.
    Pair(SweepKey, [String; 2]),
}

/// What has been found out: all of it at first, then what is new.
#[derive(Clone, Debug)]
pub enum Answer {
    Sweeps(Vec<SweepNews>),
    Lost(BTreeSet<SweepKey>),
    Trials(TrialsNews),
    Curve(CurveNews),
    Metrics(Vec<(Split, String)>),
    Record(Box<SweepRecord>),
    Machine(MachineNews),
    Errors(Box<Errors>),
    Finals(Vec<Final>),
    Log(LogTail),
    /// Or why it cannot be understood.
    Spec(Result<Box<Spec>, String>),
    Outlook(Box<Study<Outlook>>),
    Insight(Box<Told<Insight>>),
    Pair(Box<Told<Pair>>),
}

/// Files are looked at so often, as nothing tells of them.
const FILES: Duration = Duration::from_secs(1);

/// Reads what is wanted, and says it as messages.
#[derive(Debug)]
pub struct Feed {
    reader: Reader,
    // each set that there was: of one that is gone and wanted again the answers are wanted again too
    wanted: mpsc::UnboundedReceiver<BTreeSet<Want>>,
    messages: mpsc::Sender<Msg>,
    jobs: BTreeMap<Want, Job>,
    running: JoinSet<(Want, Fetched)>,
    /// What lies where the database was opened.
    file: Place,
}

/// What is known of a want.
#[derive(Debug)]
struct Job {
    /// How far it has been answered.
    cursor: Cursor,
    task: Option<AbortHandle>,
    /// The database has changed since the task began.
    is_stale: bool,
}

impl Feed {
    pub fn new(reader: Reader, wanted: mpsc::UnboundedReceiver<BTreeSet<Want>>, messages: mpsc::Sender<Msg>) -> Self {
        Self { reader, wanted, messages, jobs: BTreeMap::new(), running: JoinSet::new(), file: Place::Same }
    }

    /// Until the dashboard has gone.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let mut news = watch::watch(&self.reader).await?;
        let mut files = tokio::time::interval(FILES);
        files.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                wanted = self.wanted.recv() => match wanted {
                    Some(wanted) => self.reconcile(wanted),
                    None => return Ok(()),
                },
                changed = news.changed() => match changed {
                    Ok(()) => {
                        let look = *news.borrow_and_update();
                        let is_new = std::mem::replace(&mut self.file, look.file) != look.file;
                        self.refresh(|cursor| !matches!(cursor, Cursor::Done | Cursor::File(_) | Cursor::Lost(_)));
                        // what could not be read may have been half written
                        if is_new || look.file == Place::Other {
                            let fate = self.fate(&mut news).await;
                            if self.messages.send(Msg::Database(fate)).await.is_err() {
                                return Ok(());
                            }
                        }
                    }
                    Err(_) => return Ok(()),
                },
                Some(done) = self.running.join_next(), if !self.running.is_empty() => {
                    // an aborted task has nothing to say
                    if let Ok((want, result)) = done && self.deliver(want, result).await.is_err() {
                        return Ok(());
                    }
                }
                _ = files.tick() => self.refresh(|cursor| matches!(cursor, Cursor::File(_) | Cursor::Lost(_))),
            }
        }
    }

    /// What has become of the database. Another one in its place is opened.
    async fn fate(&mut self, news: &mut Receiver<Look>) -> Fate {
        if self.file == Place::Same {
            return Fate::There;
        }
        if self.file == Place::Nothing {
            return Fate::Gone;
        }
        let opened = async {
            let reader = Reader::open(self.reader.path()).await?;
            Ok::<_, StoreError>((watch::watch(&reader).await?, reader))
        };
        match opened.await {
            Ok((looks, reader)) => {
                (*news, self.reader, self.file) = (looks, reader, Place::Same);
                // of the old one nothing is wanted any more: the screens begin anew
                (self.jobs, self.running) = (BTreeMap::new(), JoinSet::new());
                Fate::Replaced
            }
            Err(error) => Fate::Unreadable(super::chain(&error)),
        }
    }

    /// Begins with what is newly wanted, drops what is not wanted any more.
    fn reconcile(&mut self, wanted: BTreeSet<Want>) {
        self.jobs.retain(|want, job| {
            let keep = wanted.contains(want);
            if let (false, Some(task)) = (keep, &job.task) {
                task.abort();
            }
            keep
        });
        for want in wanted {
            if !self.jobs.contains_key(&want) {
                self.jobs.insert(want.clone(), Job { cursor: Cursor::Start, task: None, is_stale: false });
                self.start(&want);
            }
        }
    }

    /// Of a file that is gone nothing new is to be expected.
    fn refresh(&mut self, which: impl Fn(&Cursor) -> bool) {
        if self.file != Place::Same {
            return;
        }
        let due: Vec<Want> =
            self.jobs.iter().filter(|(_, job)| which(&job.cursor)).map(|(want, _)| want.clone()).collect();
        for want in due {
            match self.jobs.get_mut(&want) {
                Some(job) if job.task.is_some() => job.is_stale = true,
                _ => self.start(&want),
            }
        }
    }

    fn start(&mut self, want: &Want) {
        // a connection that is made anew would read what lies there now
        if self.file == Place::Other {
            return;
        }
        let Some(job) = self.jobs.get_mut(want) else { return };
        let (reader, want, cursor) = (self.reader.clone(), want.clone(), job.cursor.clone());
        job.is_stale = false;
        job.task = Some(self.running.spawn(async move {
            let result = fetch(&reader, &want, cursor).await;
            (want, result)
        }));
    }

    /// `Err`: nobody listens any more.
    async fn deliver(&mut self, want: Want, result: Fetched) -> Result<(), mpsc::error::SendError<Msg>> {
        let Some(job) = self.jobs.get_mut(&want) else { return Ok(()) };
        job.task = None;
        let is_stale = job.is_stale;
        let message = match result {
            Ok((answer, cursor)) => {
                job.cursor = cursor;
                answer.map(|answer| Msg::Answer(want.clone(), answer))
            }
            Err(error) => Some(Msg::Unanswered(want.clone(), super::chain(&error))),
        };
        if is_stale {
            self.start(&want);
        }
        match message {
            Some(message) => self.messages.send(message).await,
            None => Ok(()),
        }
    }
}
