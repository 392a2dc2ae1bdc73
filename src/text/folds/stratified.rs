use std::collections::HashMap;

use super::FoldError;

/// The fold of each document: `k` blocks whose sizes differ by at most 1, larger ones first. As
/// scikit-learn's `KFold`.
pub fn kfold(documents: usize, k: u32) -> Vec<u32> {
    let (size, larger) = (documents / k as usize, documents % k as usize);
    (0..k)
        .flat_map(|fold| {
            let extra = usize::from((fold as usize) < larger);
            std::iter::repeat_n(fold, size + extra)
        })
        .collect()
}

/// The fold of each document, such that the counts of a class differ by at most 1 between folds, and
/// so do the sizes of the folds. As scikit-learn's `StratifiedKFold`, but a class may be as rare as
/// it likes: [`Folds::plan`](super::Folds::plan) is what refuses it.
pub fn stratified(labels: &[u32], k: u32) -> Vec<u32> {
    // In order of appearance, as scikit-learn goes through them.
    let mut of_class: Vec<Vec<usize>> = Vec::new();
    let mut ranks = HashMap::new();
    for (document, &class) in labels.iter().enumerate() {
        let rank = *ranks.entry(class).or_insert(of_class.len());
        if rank == of_class.len() {
            of_class.push(Vec::new());
        }
        of_class[rank].push(document);
    }

    let mut folds = vec![0; labels.len()];
    let mut dealt = 0;
    for documents in of_class {
        // Folds take turns over all documents sorted by class; each then has a block of the class.
        let turns = dealt..dealt + documents.len();
        dealt = turns.end;
        let mut block: Vec<_> = turns.map(|turn| (turn % k as usize) as u32).collect();
        block.sort_unstable();
        for (document, fold) in documents.into_iter().zip(block) {
            folds[document] = fold;
        }
    }
    folds
}

pub(super) fn check(labels: &[u32], classes: usize, k: u32) -> Result<(), FoldError> {
    let mut documents = vec![0_usize; classes];
    for &class in labels {
        documents[class as usize] += 1;
    }
    match (0..).zip(documents).min_by_key(|&(_, documents)| documents) {
        Some((class, documents)) if documents < k as usize => Err(FoldError::TooFewOfClass { class, documents, k }),
        _ => Ok(()),
    }
}
