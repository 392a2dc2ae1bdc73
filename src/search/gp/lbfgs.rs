//! Minimisation by limited-memory BFGS (Nocedal & Wright 2006, algorithm 7.5) with backtracking.

use std::collections::VecDeque;

use super::likelihood::dot;

/// Pairs of steps that the curvature is told from.
const MEMORY: usize = 8;

/// From `start`, at most `iterations` steps; `f` gives the value and its gradient, or none where it has none.
pub(super) fn minimize(
    start: Vec<f64>,
    iterations: usize,
    mut f: impl FnMut(&[f64]) -> Option<(f64, Vec<f64>)>,
) -> Option<(f64, Vec<f64>)> {
    let mut x = start;
    let (mut value, mut gradient) = f(&x)?;
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::with_capacity(MEMORY);
    for _ in 0..iterations {
        let mut direction = direction(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        // a step of more than 1 in the logarithm of a length leads nowhere
        let longest = direction.iter().fold(0.0_f64, |most, d| most.max(d.abs()));
        let mut step = if longest > 1.0 { 1.0 / longest } else { 1.0 };
        let mut found = None;
        for _ in 0..12 {
            let next: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            if let Some((there, slopes)) = f(&next)
                && there <= value + 1e-4 * step * slope
            {
                found = Some((next, there, slopes));
                break;
            }
            step *= 0.3;
        }
        let Some((next, there, slopes)) = found else { break };
        let moved: Vec<f64> = next.iter().zip(&x).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = slopes.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&moved, &turned);
        if curvature > 1e-10 {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((moved, turned, 1.0 / curvature));
        }
        let gained = value - there;
        (x, value, gradient) = (next, there, slopes);
        if gained < 1e-5 * (1.0 + value.abs()) || gradient.iter().all(|g| g.abs() < 1e-3) {
            break;
        }
    }
    Some((value, x))
}

/// Minus the inverse of the curvature times the gradient.
fn direction(gradient: &[f64], pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut weights = Vec::with_capacity(pairs.len());
    for (moved, turned, inverse) in pairs.iter().rev() {
        let weight = inverse * dot(moved, &q);
        q.iter_mut().zip(turned).for_each(|(q, t)| *q -= weight * t);
        weights.push(weight);
    }
    if let Some((moved, turned, _)) = pairs.back() {
        let scale = dot(moved, turned) / dot(turned, turned);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((moved, turned, inverse), weight) in pairs.iter().zip(weights.iter().rev()) {
        let by = weight - inverse * dot(turned, &q);
        q.iter_mut().zip(moved).for_each(|(q, m)| *q += by * m);
    }
    q
}
