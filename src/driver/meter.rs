//! What a sweep has spent of the clock and of its devices, in all its sessions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::spec::Budget;
use crate::store::{Reader, StoreError, SweepRecord};
use crate::sweep::{Elapsed, RunId};

#[derive(Debug)]
pub(super) struct Meter {
    /// Of sessions before, and of the runs that ended in this one.
    before: Elapsed,
    since: Instant,
    running: BTreeMap<RunId, Instant>,
}

impl Meter {
    /// From what the database knows of a sweep.
    pub(super) async fn new(reader: &Reader, record: &SweepRecord) -> Result<Self, StoreError> {
        let sweeps = reader.sweeps().await?;
        let seconds = sweeps.iter().find(|row| row.sweep == record.name).map_or(0.0, |row| row.seconds);
        let device_seconds = reader.device_seconds(record.key).await?;
        Ok(Self { before: Elapsed { seconds, device_seconds }, since: Instant::now(), running: BTreeMap::new() })
    }

    /// The baseline takes no device, and what comes after the search is none of its budget.
    pub(super) fn start(&mut self, run: RunId) {
        if !run.trial.is_baseline() && !run.fold.is_holdout() {
            self.running.insert(run, Instant::now());
        }
    }

    pub(super) fn stop(&mut self, run: RunId) {
        if let Some(start) = self.running.remove(&run) {
            self.before.device_seconds += start.elapsed().as_secs_f64();
        }
    }

    pub(super) fn read(&self) -> Elapsed {
        let running: f64 = self.running.values().map(|start| start.elapsed().as_secs_f64()).sum();
        Elapsed {
            seconds: self.before.seconds + self.since.elapsed().as_secs_f64(),
            device_seconds: self.before.device_seconds + running,
        }
    }

    /// How long until the first budget of time is spent, as things go on: nothing if it is; none if there is no budget.
    pub(super) fn left(&self, budget: &Budget) -> Option<Duration> {
        let Elapsed { seconds, device_seconds } = self.read();
        let clock = budget.seconds.map(|most| most - seconds);
        let devices = budget.device_seconds.map(|most| {
            let left = most - device_seconds;
            // with nothing running it is never spent; without anything left it is already
            if left > 0.0 { left / self.running.len() as f64 } else { left }
        });
        let left = [clock, devices].into_iter().flatten().reduce(f64::min)?;
        if left <= 0.0 {
            return Some(Duration::ZERO);
        }
        // late rather than a moment too early; a year is for ever
        Some(Duration::from_secs_f64(left.min(31_536_000.0)) + Duration::from_millis(1))
    }
}
