//! Where the files of a sweep are: under `experiments/`, beside the database.

use std::path::{Path, PathBuf};

use super::open::directory_of;
use crate::sweep::RunId;

/// `experiments/lr`
pub fn sweep_directory(database: &Path, sweep: &str) -> PathBuf {
    directory_of(database).join("experiments").join(sweep)
}

/// `experiments/lr/12/0`, or `experiments/lr/12/0r1` in repeat 1: the checkpoints of a fold, which its next attempt
/// continues from.
pub fn fold_directory(database: &Path, sweep: &str, run: RunId) -> PathBuf {
    sweep_directory(database, sweep).join(run.trial.to_string()).join(run.fold.to_string())
}

/// `experiments/lr/12/0/attempt-1.log`: what a run printed.
pub fn log_path(database: &Path, sweep: &str, run: RunId) -> PathBuf {
    fold_directory(database, sweep, run).join(format!("attempt-{}.log", run.attempt))
}
