//! The side of whoever steers or watches.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;

use super::socket::{connect, socket_path};
use super::wire::{Answer, Request, Update};
use crate::sweep::Order;

#[derive(Debug, Error)]
pub enum ControlError {
    /// No coordinator is there to hear it.
    #[error("nobody listens at {}", path.display())]
    Nobody { path: PathBuf },
    #[error("cannot speak to the coordinator at {}: {source}", path.display())]
    Failed { path: PathBuf, source: io::Error },
    #[error("the coordinator at {} left without an answer", path.display())]
    Left { path: PathBuf },
    #[error("the coordinator at {} speaks otherwise: is it of another version? {line}", path.display())]
    Strange { path: PathBuf, line: String },
}

/// Whether a coordinator listens in the directory of a sweep.
pub async fn is_live(directory: &Path) -> bool {
    matches!(connect(directory).await, Ok(Some(_)))
}

/// Gives an order, and returns when it is durable or refused.
pub async fn order(directory: &Path, order: &Order) -> Result<Answer, ControlError> {
    let mut updates = ask(directory, &Request::Order { order: order.clone() }).await?;
    let line = updates.line().await?.ok_or_else(|| ControlError::Left { path: updates.path.clone() })?;
    serde_json::from_str(&line).map_err(|_| ControlError::Strange { path: updates.path, line })
}

/// Watches a live sweep.
pub async fn watch(directory: &Path) -> Result<Updates, ControlError> {
    ask(directory, &Request::Watch).await
}

async fn ask(directory: &Path, request: &Request) -> Result<Updates, ControlError> {
    let path = socket_path(directory);
    let failed = |source| ControlError::Failed { path: path.clone(), source };
    let stream = connect(directory).await.map_err(failed)?;
    let stream = stream.ok_or_else(|| ControlError::Nobody { path: path.clone() })?;
    let coordinator = stream.peer_cred().ok().and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let mut stream = BufReader::new(stream);
    let mut line = serde_json::to_string(request).map_err(|error| failed(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).await.map_err(failed)?;
    Ok(Updates { lines: stream.lines(), path, coordinator })
}

/// What is told to who watches.
#[derive(Debug)]
pub struct Updates {
    lines: Lines<BufReader<UnixStream>>,
    path: PathBuf,
    coordinator: Option<u32>,
}

impl Updates {
    /// The process at the other end, where the system tells.
    pub fn coordinator(&self) -> Option<u32> {
        self.coordinator
    }

    /// The next one; none when the coordinator has left, or does not want to wait any longer. Can be given up at any time.
    pub async fn next(&mut self) -> Result<Option<Update>, ControlError> {
        let Some(line) = self.line().await? else { return Ok(None) };
        let update = serde_json::from_str(&line);
        update.map(Some).map_err(|_| ControlError::Strange { path: self.path.clone(), line })
    }

    async fn line(&mut self) -> Result<Option<String>, ControlError> {
        self.lines.next_line().await.map_err(|source| ControlError::Failed { path: self.path.clone(), source })
    }
}
