use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::grouped::Groups;
use super::{Labels, iterative, random_order};
use crate::spec::Holdout;

/// Why no documents can be held out as asked. Classes are ids, for the caller to put names to.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum HoldoutError {
    #[error("{share} of {documents} documents is fewer than one")]
    TooFewDocuments { documents: usize, share: f64 },
    #[error("class {class}: {share} of its {documents} documents is fewer than one")]
    TooFewOfClass { class: u32, documents: usize, share: f64 },
    #[error("the documents are of one group, which cannot be held out and trained on")]
    OneGroup,
    /// No way was found to have it on both sides.
    #[error("class {class}: its groups cannot be both held out and trained on")]
    UnseenClass { class: u32 },
}

/// None of the repeats, which have the numbers from 0 on.
const STREAM: u64 = u64::MAX;

/// The documents that no fold sees, ascending: before there are any folds, in the same manner as they.
///
/// | `stratify` | `groups` | single-label | multi-label |
/// |---|---|---|---|
/// | no | no | at random | at random |
/// | yes | no | of each class its share, to a document | iterative stratification in unequal parts |
/// | no | yes | each group to the side that is further behind | same |
/// | yes | yes | each group to the side that keeps the class shares most alike | same over labels |
///
/// Of a stratified single-label split every class is on both sides; one of which less than a document would be held out
/// is refused. Rare labels of multi-label data are put up with.
///
/// # Panics
/// On a class out of range, or when `groups` is not as long as the documents.
pub fn holdout(documents: Labels<'_>, groups: Option<&[u32]>, plan: Holdout) -> Result<Vec<u32>, HoldoutError> {
    let Holdout { share, seed, stratify } = plan;
    let count = documents.documents();
    if wanted(count, share) < 1.0 {
        return Err(HoldoutError::TooFewDocuments { documents: count, share });
    }
    // without strata all documents are of one class
    let one_class = vec![0; count];
    let strata = if stratify { documents } else { Labels::Single { of: &one_class, classes: 1 } };
    if let Labels::Single { of, classes } = strata {
        check(of, classes, share)?;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let is_held = match (groups, strata) {
        (Some(of), _) => {
            let needs_all = matches!(strata, Labels::Single { .. });
            Groups::new(of, strata).divided(share, needs_all, &mut rng)?
        }
        (None, Labels::Single { of, classes }) => by_class(of, classes, share, &mut rng),
        (None, Labels::Multi { of, classes }) => {
            let held = (share * PARTS as f64).round() as i64;
            iterative::split(of, classes, &[PARTS - held, held], &mut rng).into_iter().map(|side| side == 1).collect()
        }
    };
    Ok((0..).zip(is_held).filter(|(_, is_held)| *is_held).map(|(document, _)| document).collect())
}

/// A share in whole numbers.
const PARTS: i64 = 1_000_000;

fn wanted(documents: usize, share: f64) -> f64 {
    // 0.29 of 100 are 29
    share * documents as f64 + 1e-9
}

fn check(of: &[u32], classes: usize, share: f64) -> Result<(), HoldoutError> {
    let rarest = (0..).zip(counts(of, classes)).filter(|(_, count)| *count > 0).min_by_key(|(_, count)| *count);
    match rarest {
        Some((class, documents)) if wanted(documents, share) < 1.0 => {
            Err(HoldoutError::TooFewOfClass { class, documents, share })
        }
        _ => Ok(()),
    }
}

fn counts(of: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &class in of {
        counts[class as usize] += 1;
    }
    counts
}

/// Which documents are held out: of each class its share rounded down, then one more of those that lost most by it, until
/// it is the share of all documents.
fn by_class(of: &[u32], classes: usize, share: f64, rng: &mut ChaCha8Rng) -> Vec<bool> {
    let wanted_of: Vec<f64> = counts(of, classes).into_iter().map(|count| wanted(count, share)).collect();
    let mut quotas: Vec<usize> = wanted_of.iter().map(|wanted| *wanted as usize).collect();
    let left = (wanted(of.len(), share).round() as usize).saturating_sub(quotas.iter().sum());
    let mut by_loss: Vec<usize> = (0..classes).collect();
    by_loss.sort_by(|&a, &b| wanted_of[b].fract().total_cmp(&wanted_of[a].fract()));
    for &class in by_loss.iter().take(left) {
        quotas[class] += 1;
    }
    let mut is_held = vec![false; of.len()];
    for document in random_order(of.len(), rng) {
        let quota = &mut quotas[of[document] as usize];
        is_held[document] = *quota > 0;
        *quota = quota.saturating_sub(1);
    }
    is_held
}
