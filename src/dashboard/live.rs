//! What the coordinator of a sweep tells to those who watch: what is where, how far each run is.

use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::message::{Msg, Told};
use crate::control;
use crate::store::sweep_directory;

/// A sweep that is resumed has a new coordinator: it is looked for so often.
const PATIENCE: Duration = Duration::from_secs(2);

/// Listens to one sweep at a time.
#[derive(Debug, Default)]
pub(super) struct Listener(Option<(String, JoinHandle<()>)>);

impl Listener {
    /// To the sweep of this name, or to none.
    pub(super) fn turn_to(&mut self, sweep: Option<&str>, database: &Path, messages: &mpsc::Sender<Msg>) {
        if self.0.as_ref().map(|(known, _)| known.as_str()) == sweep {
            return;
        }
        if let Some((_, task)) = self.0.take() {
            task.abort();
        }
        self.0 = sweep.map(|sweep| {
            let task = tokio::spawn(listen(database.to_owned(), sweep.to_owned(), messages.clone()));
            (sweep.to_owned(), task)
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((_, task)) = self.0.take() {
            task.abort();
        }
    }
}

async fn listen(database: std::path::PathBuf, sweep: String, messages: mpsc::Sender<Msg>) {
    let directory = sweep_directory(&database, &sweep);
    let tell = async |told| messages.send(Msg::Told { sweep: sweep.clone(), told }).await;
    loop {
        if let Ok(mut updates) = control::watch(&directory).await {
            if tell(Told::Lives(updates.coordinator())).await.is_err() {
                return;
            }
            // one that speaks otherwise is as good as gone
            while let Ok(Some(update)) = updates.next().await {
                if tell(Told::Update(update)).await.is_err() {
                    return;
                }
            }
        }
        if tell(Told::Left).await.is_err() {
            return;
        }
        sleep(PATIENCE).await;
    }
}
