//! What those who watch a live sweep are told besides the facts: never more than they can take, and never waiting for
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::control::{Status, Update, Watcher};
use crate::protocol::Progress;
use crate::sweep::RunId;

/// Between two lines about one run.
const PACE: Duration = Duration::from_millis(250);
/// Lines that a watcher may be behind before it is left.
const BEHIND: usize = 512;

#[derive(Debug)]
pub(super) struct Live {
    watchers: broadcast::Sender<Arc<str>>,
    status: Option<Status>,
    runs: BTreeMap<RunId, Recent>,
}

#[derive(Debug)]
struct Recent {
    said: Instant,
    /// Newer than what was said.
    unsaid: Option<Progress>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { watchers: broadcast::Sender::new(BEHIND), status: None, runs: BTreeMap::new() }
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watchers.receiver_count() > 0
    }

    pub(super) fn subscribe(&mut self, status: Status) -> Watcher {
        let first = line(&Update::Status(status.clone()));
        // those who watch already hear of a change, too
        self.update(status);
        Watcher { first, further: self.watchers.subscribe() }
    }

    /// Tells a status that is news.
    pub(super) fn update(&mut self, status: Status) {
        if self.status.as_ref() != Some(&status) {
            self.say(&Update::Status(status.clone()));
            self.status = Some(status);
        }
    }

    pub(super) fn progress(&mut self, run: RunId, progress: &Progress, now: Instant) {
        if !self.is_watched() {
            self.runs.clear();
            return;
        }
        match self.runs.get_mut(&run) {
            Some(recent) if now < recent.said + PACE => recent.unsaid = Some(progress.clone()),
            _ => {
                self.runs.insert(run, Recent { said: now, unsaid: None });
                self.say(&Update::Progress { run, progress: progress.clone() });
            }
        }
    }

    /// Of a run that has ended nothing more is said.
    pub(super) fn forget(&mut self, run: RunId) {
        self.runs.remove(&run);
    }

    /// When something is to be said that was held back.
    pub(super) fn due(&self) -> Option<Instant> {
        let unsaid = self.runs.values().filter(|recent| recent.unsaid.is_some());
        unsaid.map(|recent| recent.said + PACE).min()
    }

    /// Says what is due.
    pub(super) fn flush(&mut self, now: Instant) {
        let mut due = Vec::new();
        for (run, recent) in &mut self.runs {
            if now >= recent.said + PACE
                && let Some(progress) = recent.unsaid.take()
            {
                recent.said = now;
                due.push(Update::Progress { run: *run, progress });
            }
        }
        for update in &due {
            self.say(update);
        }
    }

    fn say(&self, update: &Update) {
        // where nobody watches nobody hears it
        let _ = self.watchers.send(line(update));
    }
}

fn line(update: &Update) -> Arc<str> {
    let mut line = serde_json::to_string(update).expect("its keys are strings, and its numbers finite or null");
    line.push('\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{FoldId, TrialId};

    fn progress(step: u64) -> Progress {
        Progress { epoch: 1, epochs: 2, step, steps: 1000, loss: f64::NAN }
    }

    fn heard(watcher: &mut Watcher) -> Vec<String> {
        let heard = std::iter::from_fn(|| watcher.further.try_recv().ok());
        heard.map(|line| line.trim_end().to_owned()).collect()
    }

    fn status(wanted_slots: u32) -> Status {
        let (sweep, state) = ("lr".to_owned(), crate::sweep::Stage::Running);
        Status { sweep, state, wanted_slots, slots: Vec::new(), waiting: Vec::new() }
    }

    /// A thousand steps within a moment are two lines: the first, and the last when its time has come.
    #[test]
    fn progress_is_told_a_few_times_a_second() {
        let now = Instant::now();
        let mut live = Live::new();
        let run = RunId { trial: TrialId(3), fold: FoldId { repeat: 0, fold: 1 }, attempt: 1 };
        live.progress(run, &progress(1), now);
        let mut watcher = live.subscribe(status(2));
        heard(&mut watcher);
        for step in 2..1000 {
            live.progress(run, &progress(step), now);
        }
        live.flush(now);
        let line = |step: u64| {
            format!(
                r#"{{"type":"progress","trial":3,"repeat":0,"fold":1,"attempt":1,"epoch":1,"epochs":2,"step":{step},"steps":1000,"loss":null}}"#
            )
        };
        assert_eq!(heard(&mut watcher), [line(2)]);
        let due = live.due().expect("the last step is not told yet");
        assert_eq!(due, now + PACE);
        live.flush(due);
        assert_eq!(heard(&mut watcher), [line(999)]);
        assert_eq!(live.due(), None);
        live.progress(run, &progress(1000), due);
        assert!(live.due().is_some());
        live.forget(run);
        assert_eq!(live.due(), None, "the run has ended");
        live.update(status(2));
        assert_eq!(heard(&mut watcher), Vec::<String>::new(), "that is no news");
        live.update(status(3));
        assert_eq!(heard(&mut watcher).len(), 1);
    }
}
