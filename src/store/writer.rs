//! The one writer: a queue, and a task that commits whatever is queued in one transaction.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::error::{StoreError, failed};
use super::project::Projection;
use super::{Millis, NewSweep, Reading, SweepKey};
use crate::sweep::Fact;

/// Requests that can wait; more make their senders wait.
pub(super) const QUEUE: usize = 4096;

/// Records the facts of one sweep. Clones write to the same queue.
#[derive(Clone, Debug)]
pub struct Writer {
    sweep: SweepKey,
    requests: mpsc::Sender<Request>,
}

impl Writer {
    pub(super) fn new(sweep: SweepKey, requests: mpsc::Sender<Request>) -> Self {
        Self { sweep, requests }
    }

    /// Returns when the facts, and all that was posted before them, are committed.
    pub async fn record(&self, at: Millis, facts: Vec<Fact>) -> Result<(), StoreError> {
        ask(&self.requests, at, Work::Facts(self.sweep, facts)).await.map(|_| ())
    }

    /// Returns when the facts are queued. If they cannot be written, the next `record` or `flush` says so.
    pub async fn post(&self, at: Millis, facts: Vec<Fact>) -> Result<(), StoreError> {
        let request = Request { at, work: Work::Facts(self.sweep, facts), done: None };
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Queues what was seen of the machine at a moment; it is committed when it can be.
    pub async fn sample(&self, at: Millis, samples: Vec<Reading>) -> Result<(), StoreError> {
        let request = Request { at, work: Work::Samples(self.sweep, samples), done: None };
        self.requests.send(request).await.map_err(|_| StoreError::Closed)
    }

    /// Returns when all that was posted is committed.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.record(Millis(0), Vec::new()).await
    }
}

#[derive(Debug)]
pub(super) struct Request {
    at: Millis,
    work: Work,
    done: Option<oneshot::Sender<Result<SweepKey, StoreError>>>,
}

#[derive(Debug)]
pub(super) enum Work {
    Create(Box<NewSweep>),
    Facts(SweepKey, Vec<Fact>),
    Samples(SweepKey, Vec<Reading>),
    Close,
}

/// Queues some work and waits for its commit.
pub(super) async fn ask(requests: &mpsc::Sender<Request>, at: Millis, work: Work) -> Result<SweepKey, StoreError> {
    let (done, answer) = oneshot::channel();
    requests.send(Request { at, work, done: Some(done) }).await.map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

/// Runs until the store is closed, or it and its writers are gone and the queue is empty.
pub(super) async fn write(
    path: PathBuf,
    connection: SqliteConnection,
    mut queue: mpsc::Receiver<Request>,
    commits: Arc<AtomicU64>,
) {
    let mut file = File { path, connection, projection: Projection::default(), broken: None, commits };
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, QUEUE).await > 0 {
        let outcome = file.commit(&batch).await;
        if let Err(error) = &outcome {
            file.broken.get_or_insert_with(|| error.clone());
        }
        let mut closing = None;
        for (index, request) in batch.drain(..).enumerate() {
            if let Work::Close = request.work {
                closing = request.done;
                queue.close();
            } else if let Some(done) = request.done {
                // whoever asked may be gone
                let _ = done.send(outcome.as_ref().map(|keys| keys[index]).map_err(Clone::clone));
            }
        }
        if let Some(done) = closing {
            let File { path, connection, broken, .. } = file;
            let closed = connection.close().await.map_err(failed(&path, "close"));
            let _ = done.send(broken.map_or(closed, Err).map(|()| SweepKey(0)));
            return;
        }
    }
    if let Err(error) = file.connection.close().await {
        tracing::warn!(path = %file.path.display(), %error, "cannot close the database");
    }
}

struct File {
    path: PathBuf,
    connection: SqliteConnection,
    projection: Projection,
    /// After a failed commit the facts would have a gap.
    broken: Option<StoreError>,
    commits: Arc<AtomicU64>,
}

impl File {
    /// All of the batch, or nothing. Gives the sweep of each request.
    async fn commit(&mut self, batch: &[Request]) -> Result<Vec<SweepKey>, StoreError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        self.transaction(batch).await.map_err(|error| match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => {
                StoreError::OtherWriter { path: self.path.clone() }
            }
            sqlx::Error::RowNotFound => StoreError::UnknownTrial { path: self.path.clone() },
            _ => StoreError::from_sqlite(self.path.clone(), "record", error),
        })
    }

    async fn transaction(&mut self, batch: &[Request]) -> sqlx::Result<Vec<SweepKey>> {
        // immediate: a transaction that first reads and then writes could not wait for another writer
        let mut transaction = self.connection.begin_with("begin immediate").await?;
        let mut keys = Vec::with_capacity(batch.len());
        for request in batch {
            keys.push(match &request.work {
                Work::Create(new) => self.projection.create(&mut transaction, &self.path, new, request.at).await?,
                Work::Facts(sweep, facts) => {
                    for fact in facts {
                        self.projection.apply(&mut transaction, *sweep, request.at, fact).await?;
                    }
                    *sweep
                }
                Work::Samples(sweep, samples) => {
                    self.projection.samples(&mut transaction, *sweep, request.at, samples).await?;
                    *sweep
                }
                Work::Close => SweepKey(0),
            });
        }
        self.projection.touch(&mut transaction).await?;
        transaction.commit().await?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        tracing::trace!(requests = batch.len(), "committed");
        Ok(keys)
    }
}
