//! Which trials are compared: those that are marked, or what one would look at first.

use std::collections::BTreeSet;

use super::{Data, Model, Source};
use crate::dashboard::feed::Want;
use crate::dashboard::ledger::{Ledger, Run, Setting, Trial};
use crate::store::{Outline, SweepKey, TrialState};
use crate::sweep::{FoldId, TrialId};

/// Trials whose curves are drawn at once: more cannot be told apart.
pub const MOST_DRAWN: usize = 7;

/// Curves that are read for them at most.
const MOST_CURVES: usize = 140;

/// A trial with all that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    pub outline: &'a Outline,
    pub ledger: &'a Ledger,
    pub trial: &'a Trial,
}

/// What is compared now.
#[derive(Debug)]
pub struct Lineup<'a> {
    pub all: Vec<Compared<'a>>,
    /// The one that the others are measured against.
    pub reference: usize,
    /// What they are and why these.
    pub note: String,
    pub is_read: bool,
}

impl<'a> Compared<'a> {
    pub(super) fn key(&self) -> (SweepKey, TrialId) {
        (self.outline.head.key, self.trial.id)
    }

    /// What a parameter is set to; absent too where its sweep does not vary it.
    pub fn setting(&self, parameter: &str) -> &'a Setting {
        let place = self.ledger.parameters.iter().position(|name| name == parameter);
        place.map_or(&Setting::Absent, |place| self.trial.setting(place))
    }

    /// The runs whose curves are drawn when so many trials are.
    pub fn runs(&self, drawn: usize) -> impl Iterator<Item = &'a Run> + use<'a> {
        self.trial.newest_runs().take((MOST_CURVES / drawn.max(1)).max(1))
    }
}

impl<'a> Lineup<'a> {
    pub fn drawn(&self) -> &[Compared<'a>] {
        &self.all[..self.all.len().min(MOST_DRAWN)]
    }

    /// All folds that any of them has run.
    pub fn folds(&self) -> Vec<FoldId> {
        let folds: BTreeSet<FoldId> =
            self.all.iter().flat_map(|it| it.trial.newest_runs().map(|run| run.fold)).collect();
        folds.into_iter().collect()
    }

    /// Parameters that any of them has; or only those in which they differ.
    pub fn parameters(&self, shows_all: bool) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for it in &self.all {
            let own = it.ledger.parameters.iter().map(String::as_str);
            let new: Vec<&str> = own.filter(|name| !names.contains(name)).collect();
            names.extend(new);
        }
        names.retain(|name| {
            let first = self.all.first().map(|it| it.setting(name));
            shows_all || self.all.iter().any(|it| Some(it.setting(name)) != first)
        });
        names
    }

    /// Metrics that any of them has, the objective of the reference first, those of single classes last.
    pub fn metrics(&self, data: &'a Data) -> Vec<&'a str> {
        let objective = self.all.get(self.reference).map_or("", |it| it.outline.objective.as_str());
        let finals = self.all.iter().filter_map(|it| data.finals(&finals_of(it)));
        let names: BTreeSet<&str> = finals.flatten().map(|metric| metric.name.as_str()).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_by_key(|name| (*name != objective, *name != "loss", name.contains('/')));
        names
    }

    /// Whether they are of several sweeps.
    pub fn is_mixed(&self) -> bool {
        self.all.windows(2).any(|pair| pair[0].outline.head.key != pair[1].outline.head.key)
    }
}

impl Model {
    /// What is marked; where nothing is, what one would look at first.
    pub fn lineup(&self) -> Lineup<'_> {
        let (picked, note) = self.picked();
        let all: Vec<Compared<'_>> = picked.iter().filter_map(|picked| self.compared(*picked)).collect();
        let is_read = all.len() == picked.len();
        let best = || {
            let scored = all.iter().enumerate().filter(|(_, it)| it.trial.state == TrialState::Finished);
            let scored = scored.filter_map(|(place, it)| Some((place, it.outline.direction.gain(it.trial.score?))));
            scored.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(place, _)| place)
        };
        let wanted = self.compare.reference.and_then(|wanted| all.iter().position(|it| it.key() == wanted));
        let reference = wanted.or_else(best).unwrap_or(0);
        Lineup { all, reference, note, is_read }
    }

    fn compared(&self, (sweep, trial): (SweepKey, TrialId)) -> Option<Compared<'_>> {
        let (outline, ledger) = (self.data.outline(sweep)?, self.data.ledger(sweep)?);
        Some(Compared { outline, ledger, trial: ledger.trial(trial)? })
    }

    pub(super) fn picked(&self) -> (Vec<(SweepKey, TrialId)>, String) {
        if self.compare.source(&self.sweeps.marks, &self.marks) == Source::Sweeps {
            return self.picked_of_sweeps();
        }
        let mut picked: Vec<_> = self.marks.iter().copied().collect();
        let (sweep, ledger) = match (picked.as_slice(), self.sweep) {
            ([], Some(sweep)) => (sweep, self.data.ledger(sweep)),
            ([(sweep, _)], _) => (*sweep, self.data.ledger(*sweep)),
            ([], None) => return (picked, "nothing is marked (Space on Trials)".to_owned()),
            _ => {
                let note = format!("{} marked trials", picked.len());
                return (picked, note);
            }
        };
        let Some(ledger) = ledger else { return (picked, "reading …".to_owned()) };
        let marked = picked.first().map(|(_, trial)| *trial);
        let mut company = first_two(ledger).into_iter().filter(|trial| Some(*trial) != marked);
        let note = if marked.is_some() {
            picked.extend(company.next().map(|trial| (sweep, trial)));
            "one is marked: beside the best other one of its sweep"
        } else {
            picked.extend(company.map(|trial| (sweep, trial)));
            match picked.len() {
                0 => "nothing is marked (Space on Trials), and none has finished",
                1 => "nothing is marked (Space on Trials): the only one",
                _ if has_all_folds(ledger, picked[1].1) => "nothing is marked (Space on Trials): best and runner-up",
                _ => "nothing is marked (Space on Trials): the best, and of the unfinished the one with most folds",
            }
        };
        (picked, note.to_owned())
    }

    fn picked_of_sweeps(&self) -> (Vec<(SweepKey, TrialId)>, String) {
        let sweeps = &self.compared_sweeps();
        let best = |sweep: &SweepKey| {
            let best = self.data.outline(*sweep)?.best()?;
            Some((*sweep, best.trial))
        };
        let picked: Vec<_> = sweeps.iter().filter_map(best).collect();
        let none = sweeps.len() - picked.len();
        let without = if none > 0 { format!(", {none} without a finished one") } else { String::new() };
        let note = match (self.sweeps.marks.len(), sweeps.len()) {
            (0, _) => "no sweep is marked (Space on Sweeps): the open one".to_owned(),
            (1, 2) => format!("the best trials of the marked sweep and of the open one{without}"),
            (_, count) => format!("the best trials of {count} marked sweeps{without}"),
        };
        (picked, note)
    }

    /// The marked ones; one alone beside the open one.
    fn compared_sweeps(&self) -> BTreeSet<SweepKey> {
        let mut sweeps = self.sweeps.marks.clone();
        if sweeps.len() < 2 {
            sweeps.extend(self.sweep);
        }
        sweeps
    }
}

/// What all metrics of a trial came to.
pub fn finals_of(of: &Compared<'_>) -> Want {
    Want::Finals { sweep: of.outline.head.key, trial: of.trial.id, folds: of.trial.folds_done() }
}

/// The best finished trial and the one after it; where no other finished, the one that came farthest.
fn has_all_folds(ledger: &Ledger, trial: TrialId) -> bool {
    ledger.trial(trial).is_some_and(|trial| trial.state == TrialState::Finished)
}

fn first_two(ledger: &Ledger) -> Vec<TrialId> {
    let Some(best) = ledger.best() else { return Vec::new() };
    let others = ledger.trials.iter().filter(|trial| trial.id != best.id && !trial.id.is_baseline());
    let ranked = others.filter_map(|trial| {
        let gain = ledger.direction.gain(trial.score_so_far()?);
        Some(((trial.state == TrialState::Finished, trial.folds_done()), gain, trial.id))
    });
    let second = ranked.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(b.2.cmp(&a.2)));
    [best.id].into_iter().chain(second.map(|(_, _, trial)| trial)).collect()
}
