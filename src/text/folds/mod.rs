//! Deterministic splits of the documents for repeated k-fold cross-validation.
//!
//! [`kfold`], [`stratified()`], [`grouped()`] and [`stratified_grouped`] are the unshuffled splits, equal
//! to those of scikit-learn 1.9 index by index. [`Folds::plan`] shuffles documents and groups by
//! (seed, repeat) and splits what results, so that each repeat is another split of the same kind. [`holdout()`] takes
//! documents away before that.

mod grouped;
mod holdout;
mod iterative;
mod stratified;
#[cfg(test)]
mod tests;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub use grouped::{grouped, stratified_grouped};
pub use holdout::{HoldoutError, holdout};
pub use stratified::{kfold, stratified};

use grouped::Groups;

/// What each document is labelled with; `classes` counts all classes, also those without document.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// The class of each document.
    Single { of: &'a [u32], classes: usize },
    /// The label ids of each document; a document may have none.
    Multi { of: &'a [Vec<u32>], classes: usize },
}

impl<'a> Labels<'a> {
    fn documents(self) -> usize {
        match self {
            Self::Single { of, .. } => of.len(),
            Self::Multi { of, .. } => of.len(),
        }
    }

    fn classes(self) -> usize {
        match self {
            Self::Single { classes, .. } | Self::Multi { classes, .. } => classes,
        }
    }

    fn of(self, document: usize) -> &'a [u32] {
        match self {
            Self::Single { of, .. } => std::slice::from_ref(&of[document]),
            Self::Multi { of, .. } => &of[document],
        }
    }
}

/// Why documents cannot be split as asked. Classes are ids, for the caller to put names to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    #[error("expected 2 or more folds, found {k}")]
    InvalidK { k: u32 },
    #[error("expected 1 or more repeats, found 0")]
    NoRepeats,
    #[error("expected {k} or more documents for {k} folds, found {documents}")]
    TooFewDocuments { documents: usize, k: u32 },
    #[error("expected {k} or more groups for {k} folds, found {groups}")]
    TooFewGroups { groups: usize, k: u32 },
    /// The rarest class; some validation set would lack it.
    #[error("class {class}: expected {k} or more documents for {k} stratified folds, found {documents}")]
    TooFewOfClass { class: u32, documents: usize, k: u32 },
    /// Some training set would lack the class entirely.
    #[error("class {class}: cannot be in every training set of {k} folds, groups that hold it: {groups}")]
    UnseenClass { class: u32, groups: usize, k: u32 },
}

/// The validation fold of each document, for each repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    k: u32,
    of: Vec<Vec<u32>>,
}

impl Folds {
    /// Splits the documents `repeats` times into `k` folds, none of them empty.
    ///
    /// | `stratify` | `groups` | single-label | multi-label |
    /// |---|---|---|---|
    /// | no | no | k-fold | k-fold |
    /// | yes | no | stratified: class counts of folds differ by at most 1 | iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011) |
    /// | no | yes | large groups first, each to the smallest fold | same |
    /// | yes | yes | each group to the fold that keeps the class shares most alike | same over labels |
    ///
    /// `groups`: the group of each document, any numbers; the documents of one group share a fold. A
    /// stratified single-label split is refused when a class cannot be spread (see [`FoldError`]);
    /// multi-label data always has labels too rare to spread, so they are put up with.
    ///
    /// # Panics
    /// On a class out of range, or when `groups` is not as long as the documents.
    pub fn plan(
        documents: Labels<'_>,
        groups: Option<&[u32]>,
        k: u32,
        repeats: u32,
        stratify: bool,
        seed: u64,
    ) -> Result<Self, FoldError> {
        let count = documents.documents();
        if k < 2 {
            return Err(FoldError::InvalidK { k });
        }
        if repeats == 0 {
            return Err(FoldError::NoRepeats);
        }
        if count < k as usize {
            return Err(FoldError::TooFewDocuments { documents: count, k });
        }
        let groups = groups.map(|of| Groups::new(of, documents));
        if let Some(groups) = &groups {
            groups.check(k)?;
            if stratify && matches!(documents, Labels::Single { .. }) {
                groups.check_classes(k)?;
            }
        } else if let (Labels::Single { of, classes }, true) = (documents, stratify) {
            stratified::check(of, classes, k)?;
        }

        let split = |repeat| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(repeat));
            match (&groups, documents) {
                (Some(groups), Labels::Single { .. }) if stratify => groups.spread(k, &mut rng),
                (Some(groups), Labels::Multi { .. }) if stratify => Ok(groups.alike(k, &mut rng)),
                (Some(groups), _) => Ok(groups.even(k, &mut rng)),
                (None, Labels::Single { of, .. }) if stratify => Ok(shuffled(count, &mut rng, |order| {
                    stratified(&order.iter().map(|&d| of[d]).collect::<Vec<_>>(), k)
                })),
                (None, Labels::Multi { of, classes }) if stratify => {
                    Ok(iterative::split(of, classes, &vec![1; k as usize], &mut rng))
                }
                (None, _) => Ok(shuffled(count, &mut rng, |_| kfold(count, k))),
            }
        };
        let of = (0..repeats).map(split).collect::<Result<_, _>>()?;
        Ok(Self { k, of })
    }

    /// Folds per repeat.
    pub fn k(&self) -> u32 {
        self.k
    }

    pub fn repeats(&self) -> u32 {
        self.of.len() as u32
    }

    /// The fold in which each document is validated.
    ///
    /// # Panics
    /// On a repeat out of range.
    pub fn assignment(&self, repeat: u32) -> &[u32] {
        &self.of[repeat as usize]
    }

    /// The documents to train on and those to validate on, both ascending.
    ///
    /// # Panics
    /// On a repeat or fold out of range.
    pub fn split(&self, repeat: u32, fold: u32) -> (Vec<u32>, Vec<u32>) {
        assert!(fold < self.k, "fold {fold} of {}", self.k);
        let folds = self.assignment(repeat);
        (0..folds.len() as u32).partition(|&document| folds[document as usize] != fold)
    }
}

/// Splits the documents in random order; `split` gives the fold of each place of the order.
fn shuffled(documents: usize, rng: &mut ChaCha8Rng, split: impl FnOnce(&[usize]) -> Vec<u32>) -> Vec<u32> {
    let order = random_order(documents, rng);
    let mut folds = vec![0; documents];
    for (&document, fold) in order.iter().zip(split(&order)) {
        folds[document] = fold;
    }
    folds
}

fn random_order(count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<_> = (0..count).collect();
    order.shuffle(rng);
    order
}

/// Moves the smallest units of the largest folds until no fold is empty. There must be at least as
/// many units as folds.
fn fill_empty(fold_of: &mut [u32], sizes: &[usize], k: u32) {
    loop {
        let mut units = vec![0_usize; k as usize];
        let mut documents = vec![0_usize; k as usize];
        for (&fold, &size) in fold_of.iter().zip(sizes) {
            units[fold as usize] += 1;
            documents[fold as usize] += size;
        }
        let Some(empty) = (0..k).find(|&fold| units[fold as usize] == 0) else {
            return;
        };
        let from = (0..k)
            .filter(|&fold| units[fold as usize] > 1)
            .max_by_key(|&fold| documents[fold as usize])
            .expect("with an empty fold and no fewer units than folds, one fold holds two");
        let unit = (0..sizes.len())
            .filter(|&unit| fold_of[unit] == from)
            .min_by_key(|&unit| sizes[unit])
            .expect("the fold holds two units");
        fold_of[unit] = empty;
    }
}
