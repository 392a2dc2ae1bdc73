use super::mean;

/// How well one score puts the true ahead of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranking {
    /// Ties count a half; NaN unless there are both true and others.
    pub(super) roc_auc: f64,
    /// The step sum of precision over recall, without interpolation; 0 where nothing is true.
    pub(super) average_precision: f64,
}

impl Ranking {
    /// Of pairs of score and truth.
    pub(super) fn new(scored: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut scored: Vec<_> = scored.into_iter().collect();
        scored.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let (mut hits, mut others, mut area, mut precision) = (0.0, 0.0, 0.0, 0.0);
        for ties in scored.chunk_by(|(a, _), (b, _)| a.total_cmp(b).is_eq()) {
            let more_hits = ties.iter().filter(|(_, truth)| *truth).count() as f64;
            let more_others = ties.len() as f64 - more_hits;
            area += more_others * (hits + more_hits / 2.0);
            hits += more_hits;
            others += more_others;
            precision += more_hits * hits / (hits + others);
        }
        Self { roc_auc: area / (hits * others), average_precision: if hits > 0.0 { precision / hits } else { 0.0 } }
    }
}

/// Mean over the pairs of classes that the truth holds, each from both sides (Hand & Till 2001);
/// NaN with fewer than two.
pub(super) fn one_vs_one(truth: &[u32], probabilities: &[f64], classes: usize) -> f64 {
    let mut of_class = vec![Vec::new(); classes];
    for (&class, row) in truth.iter().zip(probabilities.chunks_exact(classes)) {
        of_class[class as usize].push(row);
    }
    let present: Vec<_> = (0..classes).filter(|&c| !of_class[c].is_empty()).collect();
    let area = |positive: usize, negative: usize| {
        let score = |class: usize| of_class[class].iter().map(move |row| row[positive]);
        let hits = score(positive).map(|score| (score, true));
        Ranking::new(hits.chain(score(negative).map(|score| (score, false)))).roc_auc
    };
    let pairs = (present.iter().enumerate()).flat_map(|(i, &a)| present[i + 1..].iter().map(move |&b| (a, b)));
    mean(pairs.map(|(a, b)| f64::midpoint(area(a, b), area(b, a))))
}

/// How well one document's scores put its true labels first.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelRanking {
    /// Label ranking average precision; 1 where all labels or none are true.
    pub(super) lrap: f64,
    /// Labels from the top down to the last true one, ties included; 0 where none is true.
    pub(super) coverage: f64,
    /// True labels among the first of `LabelRanking::DEPTHS`; of equal scores the lowest label
    /// comes first.
    pub(super) hits_at: [usize; 3],
}

impl LabelRanking {
    pub(super) const DEPTHS: [usize; 3] = [1, 3, 5];

    pub(super) fn new(scores: &[f64], truth: &[bool]) -> Self {
        let mut order: Vec<_> = scores.iter().copied().zip(truth.iter().copied()).collect();
        order.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let (mut seen, mut hits, mut precision, mut coverage) = (0.0, 0.0, 0.0, 0.0);
        for ties in order.chunk_by(|(a, _), (b, _)| a.total_cmp(b).is_eq()) {
            let more_hits = ties.iter().filter(|(_, truth)| *truth).count() as f64;
            seen += ties.len() as f64;
            hits += more_hits;
            precision += more_hits * hits / seen;
            if more_hits > 0.0 {
                coverage = seen;
            }
        }
        Self {
            lrap: if hits > 0.0 { precision / hits } else { 1.0 },
            coverage,
            hits_at: Self::DEPTHS.map(|k| order.iter().take(k).filter(|(_, truth)| *truth).count()),
        }
    }
}
