//! Whether the database has changed, and whether it is still there: told by the file system, asked of `SQLite`.

use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch as channel};
use tokio::time::{Instant, sleep, sleep_until};

use crate::store::{FileId, Reader, StoreError, Watch};

/// Between two looks: more often than this nobody can read.
const PAUSE: Duration = Duration::from_millis(100);

/// Where nothing tells of changes (a network file system), it is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was seen at the last look that found something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Counts up whenever somebody has committed.
    commits: u64,
    pub file: Place,
}

/// What lies where the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The file itself.
    Same,
    Nothing,
    /// Another file, or nothing that can be read any more.
    Other,
}

/// Tells of what is new. Ends with its receiver.
pub(super) async fn watch(reader: &Reader) -> Result<channel::Receiver<Look>, StoreError> {
    let mut watch = reader.watch().await?;
    // what is read from now on is compared with now
    watch.changed().await?;
    let opened = reader.file();
    let (looks, news) = channel::channel(Look { commits: 0, file: Place::Same });
    let path = reader.path().to_owned();
    tokio::spawn(async move {
        let (touched, touches) = mpsc::channel(1);
        // dropped, it watches no longer
        let _watcher = watcher(&path, touched).inspect_err(|error| {
            tracing::warn!("nothing tells of changes of {}: {error}; looking every 2 s", path.display());
        });
        follow(&mut watch, (&path, opened), touches, &looks).await;
    });
    Ok(news)
}

async fn follow(
    watch: &mut Watch,
    (path, opened): (&Path, Option<FileId>),
    mut touches: mpsc::Receiver<()>,
    looks: &channel::Sender<Look>,
) {
    let mut next = Instant::now();
    loop {
        sleep_until(next).await;
        tokio::select! {
            // none comes where there is no watcher
            Some(()) = touches.recv() => {}
            () = sleep(PATIENCE) => {}
            () = looks.closed() => return,
        }
        next = Instant::now() + PAUSE;
        let changed = watch.changed().await;
        let file = match (FileId::of(path).await, &changed) {
            (None, _) => Place::Nothing,
            (found, Ok(_)) if found == opened => Place::Same,
            (Some(_), _) => Place::Other,
        };
        let has_changed = changed.unwrap_or(false);
        looks.send_if_modified(|last| {
            let look = Look { commits: last.commits + u64::from(has_changed), file };
            std::mem::replace(last, look) != look || file == Place::Other
        });
    }
}

/// Tells of every write to the database and its `-wal`.
fn watcher(path: &Path, touched: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_ours = move |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|file| {
            let file = file.to_string_lossy();
            file == name || file.strip_prefix(&name).is_some_and(|rest| rest == "-wal")
        })
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let kind = event.kind;
        if (kind.is_modify() || kind.is_create() || kind.is_remove()) && event.paths.iter().any(&is_ours) {
            // one that is not yet seen says the same
            let _ = touched.try_send(());
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
