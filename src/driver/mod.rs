//! Conducts a sweep: does what the state machine decides, and tells it what happened. One loop, no polling, no mutex.

mod cards;
mod child;
mod encoders;
mod gauges;
mod launcher;
mod lines;
mod live;
mod material;
mod meter;
mod slots;
mod steer;
mod verdict;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use encoders::{EncoderError, EncoderErrors, Encoders, PlacedEncoder, Revisions};
pub use launcher::{FoundProgram, Launcher, ProgramError};
pub use material::{Material, MaterialError, Materials};
pub use slots::{Card, Machine, Slot, SlotError, Slots};
pub use steer::remark;

use crate::control::{Call, Server, lock_path};
use crate::protocol::{self, Checkpoint, Measurement, Message, Split, Task};
use crate::search::Earlier;
use crate::spec::Spec;
use crate::store::{
    MetricRow, Millis, Reader, Store, StoreError, SweepRecord, Writer, fold_directory, log_path, sweep_directory,
};
use crate::sweep::{Effect, Event, Exit, Fact, Place, Plan, RunId, SlotId, Sweep, SweepEnd};
use child::{Child, Said};
use gauges::Gauges;
use launcher::Unstarted;
use live::Live;
use meter::Meter;

/// How often a run whose process died is tried again.
const RETRIES: u32 = 1;

#[derive(Debug, Error)]
pub enum DriverError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error("{sweep} is being run by another process{}", holder.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Taken { sweep: String, holder: Option<u32> },
    #[error("cannot write to {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
    #[error("cannot find this program's own file: {0}")]
    Program(io::Error),
}

/// A sweep and all that it takes to run it.
pub struct Campaign<'a> {
    pub store: &'a Store,
    pub record: &'a SweepRecord,
    pub spec: &'a Spec,
    pub launcher: Launcher,
    pub slots: Slots,
    /// Sweeps of the past that the search learns from.
    pub earlier: Arc<[Earlier]>,
    /// Try failed trials again.
    pub retry_failed: bool,
}

/// What those who watch are told.
#[derive(Debug)]
pub enum Notice<'n> {
    Fact(&'n Fact),
    Progress {
        run: RunId,
        progress: &'n protocol::Progress,
    },
    /// Runs come to their end, none is started.
    Draining {
        running: usize,
    },
    /// The same, as the time is over that the sweep may take.
    Spent {
        running: usize,
    },
    Killing,
    /// Nobody can steer it from outside.
    Deaf {
        why: io::Error,
    },
}

/// Runs a sweep to its end, from the facts that are recorded of it.
pub async fn conduct(
    campaign: Campaign<'_>,
    watch: &mut (dyn FnMut(Notice<'_>) + Send),
) -> Result<SweepEnd, DriverError> {
    let _alone = claim(campaign.store, campaign.record)?;
    let plan = Plan {
        spec: Arc::new(campaign.spec.clone()),
        slots: campaign.slots.places.len() as u32,
        retries: RETRIES,
        earlier: Arc::clone(&campaign.earlier),
    };
    let (reader, record) = (campaign.store.reader(), campaign.record);
    let mut facts = reader.facts(record.key).await?;
    facts.extend(curves(reader, record, &campaign.spec.search.objective).await?);
    let meter = Meter::new(reader, record).await?;
    let (heard, hearing) = mpsc::channel(1024);
    let mut driver = Driver {
        sweep: Sweep::replay(plan, &facts),
        writer: campaign.store.writer(campaign.record.key),
        program: std::env::current_exe().map_err(DriverError::Program)?,
        host: gethostname::gethostname().to_string_lossy().into_owned(),
        children: BTreeMap::new(),
        heard,
        watch,
        meter,
        live: Live::new(),
        is_over: false,
        campaign,
    };
    let directory = sweep_directory(driver.campaign.store.reader().path(), &driver.campaign.record.name);
    // a sweep that cannot be steered is still a sweep
    let mut server = Server::open(&directory, &driver.host).map_err(|why| (driver.watch)(Notice::Deaf { why })).ok();
    let end = Box::pin(driver.run(hearing, server.as_mut())).await;
    if let Some(server) = server {
        server.close().await;
    }
    end
}

/// What the trials that are still open are compared with: the objective of every epoch so far.
async fn curves(reader: &Reader, record: &SweepRecord, objective: &str) -> Result<Vec<Fact>, StoreError> {
    let rows = reader.curves(&record.name, objective, Split::Validation).await?;
    let measured = |row: MetricRow| {
        let MetricRow { run, epoch, step, split, name, value } = row;
        // SQLite keeps NaN as null
        let values = BTreeMap::from([(name, value.unwrap_or(f64::NAN))]);
        Fact::Measured { run, measurement: Measurement { epoch, step, split, values } }
    };
    Ok(rows.into_iter().map(measured).collect())
}

/// Two coordinators on one sweep would run everything twice.
fn claim(store: &Store, record: &SweepRecord) -> Result<File, DriverError> {
    let directory = sweep_directory(store.reader().path(), &record.name);
    let failed = |source| DriverError::Directory { path: directory.clone(), source };
    fs::create_dir_all(&directory).map_err(failed)?;
    let path = lock_path(&directory);
    let file = File::options().create(true).append(true).read(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            // the number is a courtesy to whoever finds the lock taken
            file.set_len(0).and_then(|()| fs::write(&path, std::process::id().to_string())).map_err(failed)?;
            Ok(file)
        }
        Err(fs::TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).ok().and_then(|pid| pid.trim().parse().ok());
            Err(DriverError::Taken { sweep: record.name.clone(), holder })
        }
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

struct Driver<'a> {
    sweep: Sweep,
    campaign: Campaign<'a>,
    writer: Writer,
    program: PathBuf,
    host: String,
    children: BTreeMap<RunId, Child>,
    heard: mpsc::Sender<(RunId, Said)>,
    watch: &'a mut (dyn FnMut(Notice<'_>) + Send),
    meter: Meter,
    live: Live,
    /// The machine knows that a budget of time is spent.
    is_over: bool,
}

impl Driver<'_> {
    async fn run(
        &mut self,
        mut hearing: mpsc::Receiver<(RunId, Said)>,
        mut server: Option<&mut Server>,
    ) -> Result<SweepEnd, DriverError> {
        let mut interrupts = signal(SignalKind::interrupt()).map_err(DriverError::Signals)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(DriverError::Signals)?;
        let mut gauges = Gauges::new(&self.campaign.slots.devices);
        let mut stops = 0;
        let mut first = vec![Event::Elapsed(self.meter.read()), Event::Begin];
        if self.campaign.retry_failed {
            first.insert(0, Event::RetryFailed);
        }
        for event in first {
            if let Some(end) = self.handle(event).await? {
                return Ok(end);
            }
        }
        loop {
            let (left, due) = (self.time_left(), self.live.due());
            let groups = self.children.iter().map(|(run, child)| (child.pid, *run)).collect();
            let event = tokio::select! {
                Some((run, said)) = hearing.recv() => self.understand(run, said),
                call = next_call(&mut server) => {
                    if let Some(end) = self.take(call).await? {
                        return Ok(end);
                    }
                    None
                }
                () = tokio::time::sleep(left.unwrap_or(Duration::MAX)), if left.is_some() => None,
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.live.flush(Instant::now());
                    None
                }
                samples = gauges.read(&groups) => {
                    self.writer.sample(now(), samples).await?;
                    None
                }
                _ = interrupts.recv() => { stops += 1; Some(self.stop(stops, "Ctrl-C")) }
                _ = terminations.recv() => { stops += 2; Some(self.stop(stops, "SIGTERM")) }
            };
            // first of all: a run that ends now makes room for none when the time is over
            let events = self.time_over().into_iter().chain(event);
            for event in events {
                if let Some(end) = self.handle(event).await? {
                    return Ok(end);
                }
            }
            if self.live.is_watched() {
                self.live.update(self.status());
            }
        }
    }

    /// Until a budget of time is spent, if there is one and it was not said yet.
    fn time_left(&self) -> Option<Duration> {
        let budget = &self.campaign.spec.search.budget;
        self.meter.left(budget).filter(|_| !self.is_over)
    }

    /// What the machine is told when a budget of time is spent.
    fn time_over(&mut self) -> Option<Event> {
        let left = self.time_left()?;
        if !left.is_zero() {
            return None;
        }
        self.is_over = true;
        (self.watch)(Notice::Spent { running: self.children.len() });
        Some(Event::Elapsed(self.meter.read()))
    }

    /// The first Ctrl-C drains, the second kills; a SIGTERM has no time to drain.
    fn stop(&mut self, stops: u32, why: &str) -> Event {
        let why = why.to_owned();
        if stops == 1 {
            (self.watch)(Notice::Draining { running: self.children.len() });
            return Event::Stop { why };
        }
        (self.watch)(Notice::Killing);
        Event::Kill { why }
    }

    fn understand(&mut self, run: RunId, said: Said) -> Option<Event> {
        Some(match said {
            Said::Message(Message::Progress(progress)) => {
                self.live.progress(run, &progress, Instant::now());
                (self.watch)(Notice::Progress { run, progress: &progress });
                return None;
            }
            Said::Message(Message::Metric(measurement)) => Event::Measured { run, measurement },
            Said::Message(Message::Checkpoint(checkpoint)) => {
                Event::Saved { run, checkpoint: self.beside_the_database(run, checkpoint) }
            }
            Said::Message(Message::Predictions { predictions }) => Event::Predicted { run, predictions },
            // how it ended is told with its end
            Said::Message(Message::Hello { .. } | Message::Failed { .. } | Message::Done(_)) => return None,
            Said::Ended(exit) => {
                self.children.remove(&run);
                self.meter.stop(run);
                self.live.forget(run);
                Event::Exited { run, exit }
            }
        })
    }

    /// A run names files in its own directory; the database names them from where it lies.
    fn beside_the_database(&self, run: RunId, checkpoint: Checkpoint) -> Checkpoint {
        let database = self.campaign.store.reader().path();
        let path = fold_directory(database, &self.campaign.record.name, run).join(&checkpoint.path);
        let path = database.parent().and_then(|base| path.strip_prefix(base).ok()).unwrap_or(&path);
        Checkpoint { path: path.to_string_lossy().into_owned(), ..checkpoint }
    }

    /// Does what follows from an event; the sweep's end if that was it.
    async fn handle(&mut self, event: Event) -> Result<Option<SweepEnd>, DriverError> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut facts = Vec::new();
            for effect in self.sweep.handle(event) {
                match effect {
                    Effect::Record(fact) => {
                        (self.watch)(Notice::Fact(&fact));
                        facts.push(fact);
                    }
                    Effect::Spawn { run, slot } => {
                        self.record(&mut facts).await?;
                        events.push(self.spawn(run, slot).await);
                    }
                    Effect::Terminate { run, why } => {
                        self.record(&mut facts).await?;
                        if let Some(child) = self.children.get_mut(&run) {
                            child.stop(why);
                        }
                    }
                    Effect::Leave(end) => {
                        self.record(&mut facts).await?;
                        return Ok(Some(end));
                    }
                }
            }
            self.record(&mut facts).await?;
        }
        Ok(None)
    }

    /// Facts of a life cycle are durable before what follows; measurements are committed when they are.
    async fn record(&mut self, facts: &mut Vec<Fact>) -> Result<(), DriverError> {
        let facts = std::mem::take(facts);
        let at = now();
        let passing = |fact: &Fact| matches!(fact, Fact::Measured { .. } | Fact::Saved { .. } | Fact::Predicted { .. });
        if facts.iter().all(passing) {
            if !facts.is_empty() {
                self.writer.post(at, facts).await?;
            }
        } else {
            self.writer.record(at, facts).await?;
        }
        Ok(())
    }

    async fn spawn(&mut self, run: RunId, slot: SlotId) -> Event {
        match self.start(run, slot).await {
            Ok(place) => Event::Started { run, place },
            Err(Unstarted::Configuration(why)) => Event::Exited { run, exit: Exit::Failed { why } },
            Err(Unstarted::Process(why)) => Event::NotStarted { run, why: why.to_string() },
        }
    }

    async fn start(&mut self, run: RunId, slot: SlotId) -> Result<Place, Unstarted> {
        let point = self.sweep.trial(run.trial).map(|trial| trial.point.clone()).unwrap_or_default();
        let Campaign { store, record, spec, slots, .. } = &self.campaign;
        let database = store.reader().path();
        // a program has a working directory of its own
        let directory = std::path::absolute(fold_directory(database, &record.name, run)).map_err(Unstarted::Process)?;
        let slot = slots.place(slot, Some(run));
        let task = Task {
            protocol: protocol::PROTOCOL,
            sweep: record.name.clone(),
            identity: format!("{} {}", record.name, record.created.0),
            run,
            k: spec.folds.k,
            seed: spec.folds.seed,
            params: point,
            objective: spec.search.objective.clone(),
            direction: spec.search.direction,
            device: slot.device,
            threads: slots.threads_of(self.sweep.wanted_slots()),
            directory: directory.to_string_lossy().into_owned(),
            refit: self.sweep.refit_epochs(run),
        };
        let log = log_path(database, &record.name, run);
        let launch = self.campaign.launcher.launch(task, &slot, &self.program, log).await?;
        let child = Child::start(launch, self.heard.clone()).map_err(Unstarted::Process)?;
        let pid = child.pid;
        self.children.insert(run, child);
        self.meter.start(run);
        Ok(Place { device: slot.name, host: self.host.clone(), pid })
    }
}

/// What somebody wants next; never anything where nobody can say so.
async fn next_call(server: &mut Option<&mut Server>) -> Call {
    match server {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}

/// The clock of facts.
pub fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}
