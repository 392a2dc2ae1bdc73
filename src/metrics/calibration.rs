use super::mean;

/// Mean negative log-likelihood of the true class in nats.
pub(super) fn log_loss(truth: &[u32], probabilities: &[f64], classes: usize) -> f64 {
    let rows = probabilities.chunks_exact(classes);
    mean(truth.iter().zip(rows).map(|(&class, row)| surprise(row[class as usize])))
}

/// Mean binary cross-entropy over all cells in nats.
pub(super) fn binary_log_loss(truth: &[bool], probabilities: &[f64]) -> f64 {
    let cell = |(&truth, &p): (&bool, &f64)| surprise(if truth { p } else { 1.0 - p });
    mean(truth.iter().zip(probabilities).map(cell))
}

fn surprise(probability: f64) -> f64 {
    -probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// Mean over documents of the squared error summed over the classes (Brier 1950).
pub(super) fn brier(truth: &[u32], probabilities: &[f64], classes: usize) -> f64 {
    let document = |(&class, row): (&u32, &[f64])| {
        let target = |c| if c == class as usize { 1.0 } else { 0.0 };
        let error = |(c, &p): (usize, &f64)| (p - target(c)).powi(2);
        row.iter().enumerate().map(error).sum::<f64>()
    };
    mean(truth.iter().zip(probabilities.chunks_exact(classes)).map(document))
}

/// Mean distance between confidence and accuracy over bins of equal width, weighted by documents
/// (Guo et al. 2017). Takes each document's confidence in its prediction and whether that is right.
pub(super) fn ece(answers: &[(f64, bool)], bins: usize) -> f64 {
    // Bins are open below and closed above, with the edges that numpy's linspace computes.
    let step = 1.0 / bins as f64;
    let edges: Vec<_> = (1..bins).map(|edge| edge as f64 * step).collect();
    let mut gaps = vec![0.0; bins];
    for &(confidence, right) in answers {
        let bin = edges.partition_point(|&edge| edge < confidence);
        gaps[bin] += if right { 1.0 } else { 0.0 } - confidence;
    }
    gaps.into_iter().map(f64::abs).sum::<f64>() / answers.len() as f64
}
