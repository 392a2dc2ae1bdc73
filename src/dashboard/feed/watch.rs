//! Whether the database has changed: told by the file system, asked of `SQLite`.

use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch as channel};
use tokio::time::{Instant, sleep, sleep_until};

use crate::store::{Reader, StoreError, Watch};

/// Between two looks: more often than this nobody can read.
const PAUSE: Duration = Duration::from_millis(100);

/// Where nothing tells of changes (a network file system), it is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counts up whenever somebody has committed. Ends with its receiver.
pub(super) async fn watch(reader: &Reader) -> Result<channel::Receiver<u64>, StoreError> {
    let mut watch = reader.watch().await?;
    // what is read from now on is compared with now
    watch.changed().await?;
    let (count, news) = channel::channel(0);
    let path = reader.path().to_owned();
    tokio::spawn(async move {
        let (touched, touches) = mpsc::channel(1);
        // dropped, it watches no longer
        let _watcher = watcher(&path, touched).inspect_err(|error| {
            tracing::warn!("nothing tells of changes of {}: {error}; looking every 2 s", path.display());
        });
        if let Err(error) = follow(&mut watch, touches, &count).await {
            tracing::error!("the database cannot be watched any more: {error}");
        }
    });
    Ok(news)
}

async fn follow(
    watch: &mut Watch,
    mut touches: mpsc::Receiver<()>,
    count: &channel::Sender<u64>,
) -> Result<(), StoreError> {
    let mut next = Instant::now();
    loop {
        sleep_until(next).await;
        tokio::select! {
            // none comes where there is no watcher
            Some(()) = touches.recv() => {}
            () = sleep(PATIENCE) => {}
            () = count.closed() => return Ok(()),
        }
        next = Instant::now() + PAUSE;
        if watch.changed().await? {
            count.send_modify(|count| *count += 1);
        }
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
        if (event.kind.is_modify() || event.kind.is_create()) && event.paths.iter().any(&is_ours) {
            // one that is not yet seen says the same
            let _ = touched.try_send(());
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
