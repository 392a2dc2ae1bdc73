//! Sweeps whose truth is known, because it was made up: what the corrections are worth. `docs/honest-results.md` prints
//! the tables of this test.

use std::fmt::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::metrics::Metric;
use crate::spec::Direction;

/// Made-up sweeps of each kind.
const SWEEPS: u64 = 300;
const DRAWS: u32 = 40;
const DOCUMENTS: usize = 240;

/// Mean error of each estimate of the winner's true accuracy, in points (hundredths), and three standard errors of the
/// largest.
struct Bias {
    naive: f64,
    tibshirani: f64,
    folds: f64,
    documents: f64,
    tolerance: f64,
}

/// `trials` configurations that are right with probability 0.8, or, `spread` apart, better from trial to trial; `k`
/// folds that share no document. Some documents are hard for everybody.
fn bias(trials: usize, k: usize, spread: f64) -> Bias {
    let mut errors: [Vec<f64>; 4] = Default::default();
    for seed in 0..SWEEPS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let hardness: Vec<f64> = (0..DOCUMENTS).map(|_| 0.2 * (rng.random::<f64>() - 0.5)).collect();
        let truth = |trial: usize| 0.8 + spread * (trial as f64 / (trials.max(2) - 1) as f64 - 1.0);
        let right: Vec<Vec<bool>> = (0..trials)
            .map(|trial| hardness.iter().map(|hard| rng.random::<f64>() < truth(trial) - hard).collect())
            .collect();
        let folds: Vec<Vec<f64>> = right.iter().map(|right| accuracies(right, k)).collect();
        let naive: Vec<f64> = folds.iter().map(|scores| mean(scores)).collect();
        let winner = (0..trials).fold(0, |best, trial| if naive[trial] > naive[best] { trial } else { best });
        let mut answers =
            OutOfFold::new(Metric::named("accuracy", false).expect("is known"), 2, Labels::Single(vec![0; DOCUMENTS]));
        for right in &right {
            let rows = right.iter().flat_map(|right| if *right { [1.0, 0.0] } else { [0.0, 1.0] });
            answers.push(vec![rows.collect()], Vec::new());
        }
        let correction = tibshirani(&folds, winner, Direction::Maximize);
        let optimism = |units: Units| {
            let bootstrap = Bootstrap { units: &units, winner, direction: Direction::Maximize, seed };
            Optimism::over((0..DRAWS).map(|number| bootstrap.draw(number))).expect("some draws").mean
        };
        let corrections = [0.0, correction, optimism(Units::Folds(folds)), optimism(Units::Documents(answers))];
        // hardness is fair: over the documents the truth is the trial's own
        let expected = hardness.iter().map(|hard| truth(winner) - hard).sum::<f64>() / DOCUMENTS as f64;
        for (errors, correction) in errors.iter_mut().zip(corrections) {
            errors.push(100.0 * (naive[winner] - correction - expected));
        }
    }
    let error = |of: &Vec<f64>| {
        let variance = of.iter().map(|e| (e - mean(of)).powi(2)).sum::<f64>() / (of.len() - 1) as f64;
        3.0 * (variance / of.len() as f64).sqrt()
    };
    Bias {
        naive: mean(&errors[0]),
        tibshirani: mean(&errors[1]),
        folds: mean(&errors[2]),
        documents: mean(&errors[3]),
        tolerance: errors.iter().map(error).fold(0.0, f64::max),
    }
}

/// Of k folds without a common document.
fn accuracies(right: &[bool], k: usize) -> Vec<f64> {
    let share = |fold: &[bool]| fold.iter().filter(|right| **right).count() as f64 / fold.len() as f64;
    right.chunks(right.len() / k).map(share).collect()
}

#[test]
fn a_single_trial_is_not_corrected() {
    let Bias { naive, documents, folds, tibshirani, tolerance } = bias(1, 5, 0.0);
    assert!(naive.abs() < tolerance);
    assert_eq!([documents, folds, tibshirani], [naive; 3]);
}

/// A clear winner needs no correction, and gets next to none.
#[test]
fn a_clear_winner_keeps_its_score() {
    let Bias { naive, documents, folds, tolerance, .. } = bias(3, 5, 0.4);
    assert!(naive.abs() < tolerance && (documents - naive).abs() < 0.2 && (folds - naive).abs() < 0.2);
}

/// The best of equal trials is no better than they are: the bootstraps say so, the score itself does not.
#[test]
fn the_table_of_the_documentation() {
    let mut lines = String::new();
    for spread in [0.0, 0.1] {
        for (trials, k) in [(5, 3), (20, 3), (5, 5), (20, 5), (5, 10), (20, 10)] {
            let Bias { naive, tibshirani, folds, documents, tolerance } = bias(trials, k, spread);
            let numbers = [naive, tibshirani, folds, documents].map(|bias| format!("{bias:+.1}")).join(" | ");
            writeln!(lines, "| {trials} | {k} | {spread} | {numbers} |").expect("a string takes text");
            if spread == 0.0 {
                assert!(naive > 2.0 * tolerance, "{trials} trials of {k} folds: {naive} is within {tolerance}");
                assert!(documents.abs() < tolerance, "{trials} trials of {k} folds: {documents} beyond {tolerance}");
                assert!(folds.abs() < tolerance, "{trials} trials of {k} folds: {folds} beyond {tolerance}");
            }
        }
    }
    assert!(include_str!("../../docs/honest-results.md").contains(&lines), "the document should have\n{lines}");
}
