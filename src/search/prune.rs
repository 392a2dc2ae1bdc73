//! Pruning between epochs: whether a run is worth another epoch. The curve of a fold is compared with the curves of other
//! trials on the same fold only: a hard fold is hard for all.
//!
//! **median** (Golovin et al. 2017, Vizier): a run goes no further when its best score so far is below the median of
//! what finished runs had on average up to the same epoch. It judges nobody in the first [`SPARED`] epochs, nor before
//! [`START_UP`] runs of the fold are finished.
//!
//! **asha** (Li et al. 2020): at the epochs 1, 3, 9, 27, … ([`ETA`] to the power of the rung), or the first one measured after
//! them, a run goes on when its best score so far is among the best third of all that came as far, dropped ones too. A rung
//! with fewer than [`ETA`] runs judges nobody.
//!
//! A run that stopped early has at every later epoch what it had at its end. One without a score (NaN) is worse than all.

use std::collections::BTreeMap;

use crate::spec::{Direction, Prune};

/// The median judges from the epoch after these.
pub const SPARED: u32 = 2;

/// Finished runs of a fold before the median judges.
pub const START_UP: usize = 5;

/// One of so many goes on from a rung, and rungs are so many times as far apart as those before.
pub const ETA: u32 = 3;

/// The objective after each epoch; none where it is undefined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(BTreeMap<u32, Option<f64>>);

/// The same fold of another trial.
#[derive(Clone, Copy, Debug)]
pub struct Rival<'c> {
    pub curve: &'c Curve,
    /// It came to its own end, and had nothing better to expect.
    pub finished: bool,
}

impl Curve {
    /// Adds an epoch; false if it was there: a run that resumes measures its last epoch again.
    pub fn add(&mut self, epoch: u32, score: f64) -> bool {
        let is_new = !self.0.contains_key(&epoch);
        self.0.entry(epoch).or_insert_with(|| Some(score).filter(|score| score.is_finite()));
        is_new
    }

    /// The last epoch; none before the first.
    pub fn epochs(&self) -> Option<u32> {
        self.0.last_key_value().map(|(epoch, _)| *epoch)
    }

    /// The last epoch before this one; 0 where there is none.
    fn before(&self, epoch: u32) -> u32 {
        self.0.range(..epoch).next_back().map_or(0, |(epoch, _)| *epoch)
    }

    /// The best epoch so far, and its score.
    pub fn best(&self, direction: Direction) -> Option<(u32, f64)> {
        self.best_until(u32::MAX, direction)
    }

    fn best_until(&self, epoch: u32, direction: Direction) -> Option<(u32, f64)> {
        let better = |best: (u32, f64), next: (u32, f64)| if direction.better(next.1, best.1) { next } else { best };
        self.until(epoch).reduce(better)
    }

    /// Running average.
    fn mean_until(&self, epoch: u32) -> Option<f64> {
        let (count, sum) = self.until(epoch).fold((0, 0.0), |(count, sum), (_, score)| (count + 1, sum + score));
        (count > 0).then(|| sum / f64::from(count))
    }

    fn until(&self, epoch: u32) -> impl Iterator<Item = (u32, f64)> {
        self.0.range(..=epoch).filter_map(|(epoch, score)| Some((*epoch, (*score)?)))
    }
}

/// Why a run goes no further after its newest epoch, if so.
pub fn judge(prune: Prune, direction: Direction, own: &Curve, rivals: &[Rival<'_>]) -> Option<String> {
    let epoch = own.epochs()?;
    match prune {
        Prune::Off => None,
        Prune::Median => median_rule(direction, epoch, own, rivals),
        Prune::Asha => asha_rule(direction, epoch, own, rivals),
    }
}

fn median_rule(direction: Direction, epoch: u32, own: &Curve, rivals: &[Rival<'_>]) -> Option<String> {
    let finished = rivals.iter().filter(|rival| rival.finished);
    let mut means: Vec<f64> = finished.filter_map(|rival| rival.curve.mean_until(epoch)).collect();
    if epoch <= SPARED || means.len() < START_UP {
        return None;
    }
    means.sort_by(f64::total_cmp);
    let median = f64::midpoint(means[(means.len() - 1) / 2], means[means.len() / 2]);
    let best = own.best_until(epoch, direction).map(|(_, score)| score);
    best.is_none_or(|best| direction.better(median, best))
        .then(|| format!("{}, the median of {} finished runs is {median:.4}", so_far(best), means.len()))
}

fn asha_rule(direction: Direction, epoch: u32, own: &Curve, rivals: &[Rival<'_>]) -> Option<String> {
    if !passes_rung(own.before(epoch), epoch) {
        return None;
    }
    let there = rivals.iter().filter(|rival| rival.finished || rival.curve.epochs().is_some_and(|last| last >= epoch));
    let others: Vec<Option<(u32, f64)>> = there.map(|rival| rival.curve.best_until(epoch, direction)).collect();
    let runs = others.len() + 1;
    if runs < ETA as usize {
        return None;
    }
    let best = own.best_until(epoch, direction).map(|(_, score)| score);
    let is_ahead = |other: &Option<(u32, f64)>| match (other, best) {
        (Some((_, other)), Some(own)) => direction.better(*other, own),
        (other, own) => other.is_some() && own.is_none(),
    };
    let place = 1 + others.iter().filter(|other| is_ahead(other)).count();
    let promoted = runs / ETA as usize;
    (place > promoted).then(|| format!("{}, number {place} of {runs}, and only the best third goes on", so_far(best)))
}

/// Whether one of 1, 3, 9, … lies after `before` and not after `epoch`.
fn passes_rung(before: u32, epoch: u32) -> bool {
    let mut rung = 1u32;
    while rung <= before {
        rung = rung.saturating_mul(ETA);
    }
    rung <= epoch
}

fn so_far(best: Option<f64>) -> String {
    best.map_or_else(|| "it has no score so far".to_owned(), |best| format!("its best so far is {best:.4}"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn curve(scores: &[f64]) -> Curve {
        let mut curve = Curve::default();
        for (index, score) in scores.iter().enumerate() {
            curve.add(index as u32 + 1, *score);
        }
        curve
    }

    fn verdict(prune: Prune, direction: Direction, own: &[f64], rivals: &[(&[f64], bool)]) -> String {
        let curves: Vec<(Curve, bool)> = rivals.iter().map(|(scores, finished)| (curve(scores), *finished)).collect();
        let rivals: Vec<Rival<'_>> =
            curves.iter().map(|(curve, finished)| Rival { curve, finished: *finished }).collect();
        judge(prune, direction, &curve(own), &rivals).unwrap_or_else(|| "goes on".to_owned())
    }

    const UP: Direction = Direction::Maximize;
    const DOWN: Direction = Direction::Minimize;

    #[test]
    fn the_median_is_of_averages_of_finished_runs_up_to_the_same_epoch() {
        // averages of the first three epochs: 0.2, 0.4, 0.5, 0.5, 0.7
        let others: [(&[f64], bool); 5] = [
            (&[0.2, 0.2, 0.2, 0.9], true),
            (&[0.3, 0.4, 0.5, 0.9], true),
            (&[0.5, f64::NAN, 0.5], true),
            (&[0.5], true),
            (&[0.6, 0.7, 0.8], true),
        ];
        let mean_losses =
            others.map(|(scores, finished)| (scores.iter().map(|x| 1.0 - x).collect::<Vec<_>>(), finished));
        let losses: Vec<(&[f64], bool)> = mean_losses.iter().map(|(scores, end)| (scores.as_slice(), *end)).collect();
        let mut unfinished = others;
        unfinished[0].1 = false;
        let cases = [
            verdict(Prune::Median, UP, &[0.1, 0.45, 0.3], &others),
            verdict(Prune::Median, UP, &[0.1, 0.5, 0.3], &others),
            verdict(Prune::Median, UP, &[0.1, 0.45], &others),
            verdict(Prune::Median, UP, &[0.1, 0.45, 0.3], &unfinished),
            verdict(Prune::Median, UP, &[f64::NAN, f64::NAN, f64::NAN], &others),
            verdict(Prune::Median, DOWN, &[0.9, 0.55, 0.7], &losses),
            verdict(Prune::Median, DOWN, &[0.9, 0.5, 0.7], &losses),
            verdict(Prune::Off, UP, &[0.0, 0.0, 0.0], &others),
        ];
        assert_snapshot!(cases.join("\n"), @"
        its best so far is 0.4500, the median of 5 finished runs is 0.5000
        goes on
        goes on
        goes on
        it has no score so far, the median of 5 finished runs is 0.5000
        its best so far is 0.5500, the median of 5 finished runs is 0.5000
        goes on
        goes on
        ");
    }

    #[test]
    fn a_rung_lets_the_best_third_pass() {
        let others: [(&[f64], bool); 5] = [
            (&[0.2, 0.2, 0.3, 0.9], false),
            (&[0.3, 0.4, 0.5], false),
            (&[0.6], true),
            (&[0.9, 0.9], false),
            (&[0.7, f64::NAN, f64::NAN, 0.9], false),
        ];
        let cases = [
            // 0.7, 0.6, 0.5 and 0.3 came to epoch 3: of five only the first passes; of six at epoch 1 the second too
            verdict(Prune::Asha, UP, &[0.1, 0.65, 0.3], &others),
            verdict(Prune::Asha, UP, &[0.1, 0.75, 0.3], &others),
            verdict(Prune::Asha, UP, &[0.1, 0.1, 0.1, 0.1], &others),
            verdict(Prune::Asha, UP, &[0.65], &others),
            verdict(Prune::Asha, UP, &[0.75], &others),
            verdict(Prune::Asha, UP, &[0.1], &others[..1]),
            verdict(Prune::Asha, UP, &[f64::NAN], &others[..2]),
            verdict(Prune::Asha, DOWN, &[0.1], &others),
            verdict(Prune::Asha, DOWN, &[0.3], &others),
        ];
        assert_snapshot!(cases.join("\n"), @"
        its best so far is 0.6500, number 2 of 5, and only the best third goes on
        goes on
        goes on
        its best so far is 0.6500, number 3 of 6, and only the best third goes on
        goes on
        goes on
        it has no score so far, number 3 of 3, and only the best third goes on
        goes on
        goes on
        ");
        let judged = |by: u32| {
            (0..100u32).step_by(by as usize).filter(move |epoch| passes_rung(epoch.saturating_sub(by), *epoch))
        };
        assert_eq!(judged(1).collect::<Vec<u32>>(), [1, 3, 9, 27, 81]);
        // every tenth epoch is measured: 10 is the first after 9
        assert_eq!(judged(10).collect::<Vec<u32>>(), [10, 30, 90]);
    }

    #[test]
    fn an_epoch_counts_once() {
        let mut curve = curve(&[0.5, f64::NAN]);
        assert!(!curve.add(1, 0.9) && !curve.add(2, 0.9) && curve.add(3, 0.25));
        assert_eq!((curve.best(UP), curve.best(DOWN), curve.epochs()), (Some((1, 0.5)), Some((3, 0.25)), Some(3)));
        assert_eq!(Curve::default().best(UP), None);
    }
}
