use std::collections::BTreeMap;
use std::mem::replace;

use rand_chacha::ChaCha8Rng;

use super::{FoldError, HoldoutError, Labels, fill_empty, random_order};

/// The fold of each document, groups kept whole: the largest group first, each to the smallest fold.
/// As scikit-learn's `GroupKFold`.
pub fn grouped(groups: &[u32], k: u32) -> Vec<u32> {
    let unlabelled = vec![Vec::new(); groups.len()];
    let labels = Labels::Multi { of: &unlabelled, classes: 0 };
    let groups = Groups::new(groups, labels);
    let mut order: Vec<_> = (0..groups.len()).collect();
    order.sort_by_key(|&group| groups.sizes[group]);
    order.reverse();
    groups.to_documents(&groups.smallest_fold(&order, k))
}

/// The fold of each document, groups kept whole: the group of the most uneven class counts first,
/// each to the fold that keeps the shares of the classes most alike between folds. As scikit-learn's
/// `StratifiedGroupKFold`: a fold can come out empty, which
/// [`Folds::plan`](super::Folds::plan) repairs.
pub fn stratified_grouped(labels: &[u32], groups: &[u32], classes: usize, k: u32) -> Vec<u32> {
    let groups = Groups::new(groups, Labels::Single { of: labels, classes });
    let mut order: Vec<_> = (0..groups.len()).collect();
    let unevenness = groups.unevenness();
    order.sort_by(|&a, &b| unevenness[b].total_cmp(&unevenness[a]));
    groups.to_documents(&groups.most_alike(&order, k))
}

/// How often a random order is tried before a class is said not to spread.
const ATTEMPTS: usize = 20;

/// The documents by group; groups are numbered in ascending order of their ids.
pub(super) struct Groups {
    /// The group of each document.
    of: Vec<usize>,
    /// Documents of each group.
    sizes: Vec<usize>,
    /// How often each group has each class, without the classes it has not.
    counts: Vec<BTreeMap<usize, usize>>,
    /// How often each class occurs.
    totals: Vec<usize>,
}

impl Groups {
    pub(super) fn new(groups: &[u32], labels: Labels<'_>) -> Self {
        assert_eq!(groups.len(), labels.documents(), "one group per document");
        let mut ids = groups.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let number = |id| ids.partition_point(|&other| other < id);
        let of: Vec<_> = groups.iter().map(|&id| number(id)).collect();
        let mut sizes = vec![0; ids.len()];
        let mut counts = vec![BTreeMap::new(); ids.len()];
        let mut totals = vec![0; labels.classes()];
        for (document, &group) in of.iter().enumerate() {
            sizes[group] += 1;
            for &class in labels.of(document) {
                *counts[group].entry(class as usize).or_default() += 1;
                totals[class as usize] += 1;
            }
        }
        Self { of, sizes, counts, totals }
    }

    pub(super) fn check(&self, k: u32) -> Result<(), FoldError> {
        if self.len() < k as usize {
            return Err(FoldError::TooFewGroups { groups: self.len(), k });
        }
        Ok(())
    }

    /// Refuses a class that some training set must lack.
    pub(super) fn check_classes(&self, k: u32) -> Result<(), FoldError> {
        let holders = (0..self.totals.len()).map(|class| (self.holders(class), class));
        match holders.min() {
            Some((groups, class)) if groups < 2 => Err(FoldError::UnseenClass { class: class as u32, groups, k }),
            _ => Ok(()),
        }
    }

    /// Folds of even sizes. Groups of about one size change places, or every repeat would be the
    /// same split wherever no two groups are of equal size.
    pub(super) fn even(&self, k: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut order = random_order(self.len(), rng);
        order.sort_by_key(|&group| std::cmp::Reverse(self.sizes[group].ilog2()));
        self.to_documents(&self.smallest_fold(&order, k))
    }

    /// Folds with class shares alike, none empty.
    pub(super) fn alike(&self, k: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        self.to_documents(&self.alike_folds(k, rng))
    }

    /// Folds with class shares alike, none empty, and every class in more than one fold.
    pub(super) fn spread(&self, k: u32, rng: &mut ChaCha8Rng) -> Result<Vec<u32>, FoldError> {
        let mut confined = None;
        for _ in 0..ATTEMPTS {
            let mut folds = self.alike_folds(k, rng);
            confined = self.spread_classes(&mut folds, k);
            if confined.is_none() {
                return Ok(self.to_documents(&folds));
            }
        }
        let class = confined.expect("the last attempt left a class in one fold");
        Err(FoldError::UnseenClass { class: class as u32, groups: self.holders(class), k })
    }

    /// Which documents are held out: a share of them, with class shares alike on both sides. `needs_all` classes to be on
    /// both.
    pub(super) fn divided(&self, share: f64, needs_all: bool, rng: &mut ChaCha8Rng) -> Result<Vec<bool>, HoldoutError> {
        if self.len() < 2 {
            return Err(HoldoutError::OneGroup);
        }
        let mut confined = None;
        for _ in 0..ATTEMPTS {
            let mut sides = self.sides(share, rng);
            fill_empty(&mut sides, &self.sizes, 2);
            confined = if needs_all { self.spread_classes(&mut sides, 2) } else { None };
            if confined.is_none() {
                return Ok(self.to_documents(&sides).into_iter().map(|side| side == 1).collect());
            }
        }
        let class = confined.expect("the last attempt left a class on one side");
        Err(HoldoutError::UnseenClass { class: class as u32 })
    }

    /// Each group, the most uneven first, to the side that leaves the classes most alike on both: 1 is held out.
    fn sides(&self, share: f64, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let parts = [1.0 - share, share];
        let mut held = vec![[0.0; 2]; self.totals.len()];
        let mut documents = [0.0; 2];
        let mut sides = vec![0; self.len()];
        for group in self.uneven_first(rng) {
            // of the group's classes, how far the sides are apart in what they have of their part
            let apart = |to: usize| -> f64 {
                let of_class = |(&class, &more): (&usize, &usize)| {
                    let total = self.totals[class] as f64;
                    let filled = |side: usize| {
                        let own = held[class][side] + if side == to { more as f64 } else { 0.0 };
                        own / (parts[side] * total)
                    };
                    (filled(0) - filled(1)).abs()
                };
                self.counts[group].iter().map(of_class).sum()
            };
            let [kept, out] = [apart(0), apart(1)];
            let is_behind = documents[1] / parts[1] < documents[0] / parts[0];
            let side = usize::from(if is_close(kept, out) { is_behind } else { out < kept });
            for (&class, &more) in &self.counts[group] {
                held[class][side] += more as f64;
            }
            documents[side] += self.sizes[group] as f64;
            sides[group] = side as u32;
        }
        sides
    }

    fn holders(&self, class: usize) -> usize {
        self.counts.iter().filter(|counts| counts.contains_key(&class)).count()
    }

    fn len(&self) -> usize {
        self.sizes.len()
    }

    fn to_documents(&self, fold_of_group: &[u32]) -> Vec<u32> {
        self.of.iter().map(|&group| fold_of_group[group]).collect()
    }

    fn smallest_fold(&self, order: &[usize], k: u32) -> Vec<u32> {
        let mut documents = vec![0; k as usize];
        let mut folds = vec![0; self.len()];
        for &group in order {
            let smallest = (0..k).min_by_key(|&fold| documents[fold as usize]);
            folds[group] = smallest.expect("there are folds");
            documents[folds[group] as usize] += self.sizes[group];
        }
        folds
    }

    fn alike_folds(&self, k: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut folds = self.most_alike(&self.uneven_first(rng), k);
        fill_empty(&mut folds, &self.sizes, k);
        folds
    }

    fn uneven_first(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut order = random_order(self.len(), rng);
        // By powers of two, for the reason given at `even`.
        let scales: Vec<_> = self.unevenness().iter().map(|u| u.log2().floor()).collect();
        order.sort_by(|&a, &b| scales[b].total_cmp(&scales[a]));
        order
    }

    /// Of each group, the standard deviation of its counts over the classes that occur.
    fn unevenness(&self) -> Vec<f64> {
        let present: Vec<_> = (0..self.totals.len()).filter(|&c| self.totals[c] > 0).collect();
        let of = |counts: &BTreeMap<usize, usize>| {
            let count = |class| counts.get(class).copied().unwrap_or(0) as f64;
            deviation(&present.iter().map(count).collect::<Vec<_>>())
        };
        self.counts.iter().map(of).collect()
    }

    /// Each group to the fold that leaves the least spread; of equals to the smallest.
    fn most_alike(&self, order: &[usize], k: u32) -> Vec<u32> {
        let mut shares = Shares::new(&self.totals, k);
        let mut documents = vec![0_usize; k as usize];
        let mut folds = vec![0; self.len()];
        for &group in order {
            let mut best = (f64::INFINITY, usize::MAX, 0);
            for (fold, &documents) in documents.iter().enumerate() {
                let spread = shares.spread_with(&self.counts[group], fold);
                let (least, fewest, _) = best;
                if spread < least || is_close(spread, least) && documents < fewest {
                    best = (spread, documents, fold);
                }
            }
            let (_, _, fold) = best;
            folds[group] = fold as u32;
            documents[fold] += self.sizes[group];
            shares.add(&self.counts[group], fold);
        }
        folds
    }

    /// Moves groups out of folds that hold all of a class; gives a class for which there is no move.
    fn spread_classes(&self, folds: &mut [u32], k: u32) -> Option<usize> {
        loop {
            let confined = self.confined(folds, k);
            let &(class, fold) = confined.first()?;
            let mut movable: Vec<_> = (0..self.len())
                .filter(|&group| folds[group] == fold && self.counts[group].contains_key(&class))
                .collect();
            movable.sort_by_key(|&group| self.sizes[group]);
            let moves = movable.iter().flat_map(|&group| (0..k).map(move |to| (group, to)));
            let better = moves.filter(|&(_, to)| to != fold).find(|&(group, to)| {
                let mut moved = folds.to_vec();
                moved[group] = to;
                self.confined(&moved, k).len() < confined.len()
            });
            let Some((group, to)) = better else {
                return Some(class);
            };
            folds[group] = to;
        }
    }

    /// The classes that lie in one fold only, each with that fold.
    fn confined(&self, folds: &[u32], k: u32) -> Vec<(usize, u32)> {
        let mut held = vec![vec![false; k as usize]; self.totals.len()];
        for (&fold, counts) in folds.iter().zip(&self.counts) {
            for &class in counts.keys() {
                held[class][fold as usize] = true;
            }
        }
        let only = |held: Vec<bool>| {
            let mut folds = (0..k).filter(|&fold| held[fold as usize]);
            let first = folds.next()?;
            folds.next().is_none().then_some(first)
        };
        let only = held.into_iter().map(only).enumerate();
        only.filter_map(|(class, fold)| Some((class, fold?))).collect()
    }
}

/// The share that each fold has of each class, with scikit-learn's order of operations: rounding
/// decides between folds.
struct Shares<'a> {
    totals: &'a [usize],
    /// Classes that occur.
    present: f64,
    /// classes x folds.
    counts: Vec<Vec<usize>>,
    /// `counts` over `totals`.
    of: Vec<Vec<f64>>,
    /// Of each class, between folds.
    deviations: Vec<f64>,
}

impl<'a> Shares<'a> {
    fn new(totals: &'a [usize], k: u32) -> Self {
        let present = totals.iter().filter(|&&total| total > 0).count();
        Self {
            totals,
            present: present.max(1) as f64,
            counts: vec![vec![0; k as usize]; totals.len()],
            of: vec![vec![0.0; k as usize]; totals.len()],
            deviations: vec![0.0; totals.len()],
        }
    }

    fn add(&mut self, group: &BTreeMap<usize, usize>, fold: usize) {
        for (&class, &more) in group {
            self.counts[class][fold] += more;
            self.of[class][fold] = self.counts[class][fold] as f64 / self.totals[class] as f64;
            self.deviations[class] = deviation(&self.of[class]);
        }
    }

    /// Mean over the classes of the deviation between folds, were the group in this fold.
    fn spread_with(&mut self, group: &BTreeMap<usize, usize>, fold: usize) -> f64 {
        let mut before = Vec::with_capacity(group.len());
        for (&class, &more) in group {
            let share = (self.counts[class][fold] + more) as f64 / self.totals[class] as f64;
            let share = replace(&mut self.of[class][fold], share);
            let deviation = deviation(&self.of[class]);
            before.push((class, share, replace(&mut self.deviations[class], deviation)));
        }
        let spread = self.deviations.iter().sum::<f64>() / self.present;
        for (class, share, deviation) in before {
            self.of[class][fold] = share;
            self.deviations[class] = deviation;
        }
        spread
    }
}

/// Of the population, not the sample.
fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// As numpy's `isclose`.
fn is_close(a: f64, b: f64) -> bool {
    b.is_finite() && (a - b).abs() <= 1e-8 + 1e-5 * b.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_in_one_fold_is_spread_where_groups_allow() {
        let spread = |labels: &[u32]| {
            let labels = Labels::Single { of: labels, classes: 2 };
            let mut folds = [0, 0, 1, 1];
            let stuck = Groups::new(&[3, 3, 3, 5, 5, 8, 9], labels).spread_classes(&mut folds, 2);
            (folds, stuck)
        };
        assert_eq!(spread(&[0, 0, 1, 0, 1, 0, 0]), ([0, 1, 1, 1], None));
        assert_eq!(spread(&[0, 0, 0, 1, 1, 0, 0]), ([0, 0, 1, 1], Some(1)));
    }
}
