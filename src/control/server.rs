//! The coordinator's side: every connection is a task of its own, so that nobody who connects can hold up the sweep.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::socket::Socket;
use super::who::{own, peer};
use super::wire::{Answer, Request};
use crate::sweep::{Order, Who};

/// What somebody wants of the coordinator.
#[derive(Debug)]
pub enum Call {
    Order { order: Order, by: Who, answer: oneshot::Sender<Answer> },
    Watch { answer: oneshot::Sender<Watcher> },
}

/// What a watcher is told: a first line, and then every further one.
#[derive(Debug)]
pub struct Watcher {
    pub first: Arc<str>,
    pub further: broadcast::Receiver<Arc<str>>,
}

/// Listens as long as it lives.
#[derive(Debug)]
pub struct Server {
    calls: mpsc::Receiver<Call>,
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

/// A request, or a line of it, in bytes; a note is the longest.
const LONGEST: u64 = 64 << 10;
/// For a request to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// For a line to be taken.
const READING: Duration = Duration::from_secs(2);
/// Connections at once; others are closed.
const MOST: usize = 256;
/// For the last answers, when the coordinator leaves.
const FAREWELL: Duration = Duration::from_secs(1);

impl Server {
    /// Listens in the directory of a sweep.
    pub fn open(directory: &Path, host: &str) -> io::Result<Self> {
        let socket = Socket::bind(directory)?;
        let (caller, calls) = mpsc::channel(64);
        let (closing, closed) = watch::channel(false);
        let talk = Talk { caller, closed, host: host.into() };
        Ok(Self { calls, closing, accepting: tokio::spawn(accept(socket, talk)) })
    }

    /// What is wanted next; can be given up at any time.
    pub async fn next(&mut self) -> Call {
        match self.calls.recv().await {
            Some(call) => call,
            // nobody listens any more
            None => std::future::pending().await,
        }
    }

    /// Sees to it that answers that were given are heard.
    pub async fn close(self) {
        let Self { calls, closing, accepting } = self;
        drop(calls);
        closing.send_replace(true);
        let abort = accepting.abort_handle();
        if timeout(FAREWELL, accepting).await.is_err() {
            abort.abort();
        }
    }
}

/// What a conversation needs.
#[derive(Clone)]
struct Talk {
    caller: mpsc::Sender<Call>,
    closed: watch::Receiver<bool>,
    host: Arc<str>,
}

async fn accept(socket: Socket, talk: Talk) {
    let mut talks = JoinSet::new();
    let mut closed = talk.closed.clone();
    loop {
        tokio::select! {
            () = close(&mut closed) => break,
            Some(_) = talks.join_next() => {}
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) if talks.len() < MOST => {
                    let talk = talk.clone();
                    talks.spawn(async move {
                        // whoever left without an answer wants none
                        let _ = talk.hold(stream).await;
                    });
                }
                Ok(_) => tracing::warn!("{MOST} clients are connected: another one was turned away"),
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(socket);
    while talks.join_next().await.is_some() {}
}

/// Returns when the coordinator leaves.
async fn close(closed: &mut watch::Receiver<bool>) {
    // a server that is gone has closed, too
    let _ = closed.wait_for(|closed| *closed).await;
}

impl Talk {
    async fn hold(mut self, stream: UnixStream) -> io::Result<()> {
        let who = peer(&stream, &self.host)?;
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader.take(LONGEST));
        let by = match who {
            Ok(by) => by,
            Err(other) => {
                let why = format!("user {other} cannot steer this sweep: user {} runs it", own());
                return say(&mut writer, &Answer::refused(why, None)).await;
            }
        };
        let mut line = Vec::new();
        let read = tokio::select! {
            read = timeout(PATIENCE, reader.read_until(b'\n', &mut line)) => read,
            () = close(&mut self.closed) => return Ok(()),
        };
        match read {
            // nothing was wanted, or nothing came
            Err(_) | Ok(Ok(0)) => return Ok(()),
            Ok(read) => read?,
        };
        if !line.ends_with(b"\n") && line.len() as u64 == LONGEST {
            let why = format!("a request is one line of at most {LONGEST} bytes");
            return say(&mut writer, &Answer::refused(why, None)).await;
        }
        match serde_json::from_slice(&line) {
            Ok(Request::Order { order }) => {
                let (answer, answered) = oneshot::channel();
                let called = self.caller.send(Call::Order { order, by, answer }).await;
                let answer = if called.is_ok() { answered.await.ok() } else { None };
                let gone = || Answer::refused("the sweep has ended", Some("`sweep resume` continues what is left"));
                say(&mut writer, &answer.unwrap_or_else(gone)).await
            }
            Ok(Request::Watch) => {
                let (answer, answered) = oneshot::channel();
                match self.caller.send(Call::Watch { answer }).await {
                    Ok(()) => show(reader.into_inner().into_inner(), writer, answered).await,
                    Err(_) => Ok(()),
                }
            }
            Err(error) => {
                let hint = "such as {\"type\":\"order\",\"order\":\"pause\"}: docs/steering.md lists all";
                say(&mut writer, &Answer::refused(format!("not understood: {error}"), Some(hint))).await
            }
        }
    }
}

/// Tells a watcher all until either side leaves. One who does not listen fast enough is left.
async fn show(
    mut reader: OwnedReadHalf,
    mut writer: OwnedWriteHalf,
    answered: oneshot::Receiver<Watcher>,
) -> io::Result<()> {
    let Ok(Watcher { first, mut further }) = answered.await else { return Ok(()) };
    write(&mut writer, first.as_bytes()).await?;
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            update = further.recv() => match update {
                Ok(line) => write(&mut writer, line.as_bytes()).await?,
                Err(_) => return Ok(()),
            },
            read = reader.read(&mut ignored) => if read? == 0 { return Ok(()) },
        }
    }
}

async fn say(writer: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_string(answer)?;
    line.push('\n');
    write(writer, line.as_bytes()).await
}

async fn write(writer: &mut OwnedWriteHalf, line: &[u8]) -> io::Result<()> {
    timeout(READING, writer.write_all(line)).await?
}
