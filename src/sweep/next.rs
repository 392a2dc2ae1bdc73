//! What to start in a free slot.

use super::fact::RunId;

/// A run that could be started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) run: RunId,
    /// Other folds of its trial run at this moment.
    pub(super) running: bool,
    /// Its trial is better than the best one on the folds that it has; none where nobody knows yet.
    pub(super) lead: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Fold(RunId),
    /// The first fold of a trial that is yet to be proposed.
    NewTrial,
}

/// `waiting` is in the order of trials and folds; `racing` if a trial may be dropped after any of its folds.
///
/// Folds of the oldest trial come first. Where trials race, a fold that is started beside another one of its trial may
/// have been for nothing: a new trial is better, unless the trial is ahead of the best. So with one slot a trial gets one
/// fold after the other, with many slots as many trials are under way, and one that will probably win is soon complete.
pub(super) fn next_run(waiting: &[Waiting], racing: bool) -> Next {
    let is_due = |waiting: &&Waiting| {
        let is_doubtful = waiting.running && waiting.lead.is_none_or(|lead| lead < 0.0);
        !racing || !is_doubtful || waiting.run.trial.is_baseline()
    };
    waiting.iter().find(is_due).map_or(Next::NewTrial, |waiting| Next::Fold(waiting.run))
}
