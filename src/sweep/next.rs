//! What to start in a free slot.

use super::fact::RunId;
use crate::search::race::Outlook;

/// A run that could be started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) run: RunId,
    /// Other folds of its trial run at this moment.
    pub(super) running: bool,
    /// Of its trial against the best one; none where nothing is known.
    pub(super) outlook: Option<Outlook>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    Fold(RunId),
    /// This fold, unless the first fold of a new trial is worth more than its trial is by its outlook.
    FoldOrBetter(RunId, Outlook),
    /// The first fold of a trial that is yet to be proposed.
    NewTrial,
}

/// Whether, and how, trials race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nobody is dropped.
    Oldest,
    /// A trial may be dropped after any of its folds.
    OldestUnlessDoubtful,
    /// The same, and outlooks say what another fold is worth.
    Worthiest,
}

/// `waiting` is in the order of trials and folds, and so are its runs started where nothing else is known.
///
/// Where trials race, a fold that is started beside another one of its trial may have been for nothing: a new trial is
/// better, unless the trial will rather be the best. So many slots have as many trials under way, and one that will
/// probably win is soon complete.
///
/// Where outlooks are known, the fold that promises most for its price comes next: of the trials that are begun, and of a
/// new one. So a trial that is a little behind waits with what folds it has while better is to be had elsewhere, often
/// until it is dropped without another fold because another trial has become the best.
pub(super) fn next_run(waiting: &[Waiting], order: Order) -> Next {
    let is_doubtful = |it: &Waiting| it.running && !it.outlook.is_some_and(is_ahead);
    let is_first = |it: &Waiting| it.run.trial.is_baseline() || order == Order::Oldest;
    let mut due = waiting.iter().filter(|it| is_first(it) || !is_doubtful(it));
    let worthiest = || {
        let all: Option<Vec<(&Waiting, Outlook)>> = due.clone().map(|it| Some((it, it.outlook?))).collect();
        // the first of equals: folds in their order
        all?.into_iter().reduce(|best, other| if other.1.value() > best.1.value() { other } else { best })
    };
    if order == Order::Worthiest
        && let Some((best, outlook)) = worthiest()
    {
        return if is_ahead(outlook) { Next::Fold(best.run) } else { Next::FoldOrBetter(best.run, outlook) };
    }
    due.next().map_or(Next::NewTrial, |it| Next::Fold(it.run))
}

/// Rather than not, a trial will be the best.
fn is_ahead(outlook: Outlook) -> bool {
    outlook.chance() >= 0.5
}
