//! The lock of a coordinator: held as long as it lives, whatever way it ends.

use std::fs::{File, TryLockError, read_to_string};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

use super::client::is_live;

/// `experiments/lr/coordinator.lock`, with the number of its process, of the directory of a sweep.
pub fn lock_path(directory: &Path) -> PathBuf {
    directory.join("coordinator.lock")
}

/// Whether a coordinator of this machine has the sweep of this directory, also one that cannot listen.
pub async fn is_conducted(directory: &Path) -> bool {
    is_live(directory).await || is_claimed(directory)
}

/// The process of the coordinator of this machine that has the sweep of this directory.
pub fn coordinator(directory: &Path) -> Option<u32> {
    is_claimed(directory).then(|| process(directory))?.map(|process| process.as_raw_nonzero().get().unsigned_abs())
}

fn is_claimed(directory: &Path) -> bool {
    let Ok(file) = File::open(lock_path(directory)) else { return false };
    // who tries the lock of a sweep that is being resumed could be in the way: only where the process is there at all
    let is_gone = process(directory).is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH));
    !is_gone && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// The last one that had the lock.
fn process(directory: &Path) -> Option<Pid> {
    Pid::from_raw(read_to_string(lock_path(directory)).ok()?.trim().parse().ok()?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_sweep_is_conducted_as_long_as_its_lock_is_held() {
        let directory = TempDir::new().expect("a temporary directory");
        assert!(!is_conducted(directory.path()).await, "nobody has ever run it");
        std::fs::write(lock_path(directory.path()), std::process::id().to_string()).expect("is written");
        let lock = File::open(lock_path(directory.path())).expect("is there");
        lock.lock().expect("is free");
        assert!(is_conducted(directory.path()).await);
        assert_eq!(coordinator(directory.path()), Some(std::process::id()));
        drop(lock);
        assert!(!is_conducted(directory.path()).await);
        assert_eq!(coordinator(directory.path()), None);
    }
}
