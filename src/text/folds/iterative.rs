use rand::seq::IteratorRandom;
use rand_chacha::ChaCha8Rng;

use super::{fill_empty, random_order};

/// Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, algorithm 1): the rarest label left
/// first, each of its documents to the fold that wants most of that label, of equals to the one that
/// wants most documents. The folds are as large as their parts. Gives the fold of each document; none is empty.
pub(super) fn split(labels: &[Vec<u32>], classes: usize, parts: &[i64], rng: &mut ChaCha8Rng) -> Vec<u32> {
    let order = random_order(labels.len(), rng);
    let mut documents_of = vec![Vec::new(); classes];
    for &document in &order {
        for &label in &labels[document] {
            documents_of[label as usize].push(document);
        }
    }
    let mut left: Vec<_> = documents_of.iter().map(Vec::len).collect();
    let mut wanted = Wanted::new(labels.len(), &left, parts);
    let mut fold_of = vec![None; labels.len()];

    while let Some(rarest) = (0..classes).filter(|&l| left[l] > 0).min_by_key(|&l| left[l]) {
        for &document in &documents_of[rarest] {
            if fold_of[document].is_none() {
                let fold = wanted.most(Some(rarest), rng);
                fold_of[document] = Some(fold);
                wanted.take(fold, &labels[document]);
                for &label in &labels[document] {
                    left[label as usize] -= 1;
                }
            }
        }
    }
    for document in order {
        if fold_of[document].is_none() {
            let fold = wanted.most(None, rng);
            fold_of[document] = Some(fold);
            wanted.take(fold, &[]);
        }
    }

    let mut folds: Vec<_> = fold_of.into_iter().flatten().collect();
    fill_empty(&mut folds, &vec![1; labels.len()], parts.len() as u32);
    folds
}

/// How many more documents each fold should get, in all and of each label, times the sum of all parts so that they
/// are whole numbers: rounding must not break ties.
struct Wanted {
    k: u32,
    parts: i64,
    documents: Vec<i64>,
    of_label: Vec<Vec<i64>>,
}

impl Wanted {
    fn new(documents: usize, of_label: &[usize], parts: &[i64]) -> Self {
        let share = |count: usize| parts.iter().map(|part| part * count as i64).collect::<Vec<_>>();
        let (k, all) = (parts.len() as u32, parts.iter().sum());
        Self { k, parts: all, documents: share(documents), of_label: of_label.iter().map(|&c| share(c)).collect() }
    }

    fn most(&self, label: Option<usize>, rng: &mut ChaCha8Rng) -> u32 {
        let want = |fold: u32| {
            let fold = fold as usize;
            (label.map_or(0, |label| self.of_label[label][fold]), self.documents[fold])
        };
        let most = (0..self.k).map(want).max();
        (0..self.k).filter(|&fold| Some(want(fold)) == most).choose(rng).expect("some fold wants most")
    }

    fn take(&mut self, fold: u32, labels: &[u32]) {
        self.documents[fold as usize] -= self.parts;
        for &label in labels {
            self.of_label[label as usize][fold as usize] -= self.parts;
        }
    }
}
