use faer::linalg::solvers::Solve;
use faer::{Mat, Side};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::likelihood::Target;
use super::*;

const AXES: [Axis; 3] = [Axis::Ordered, Axis::Named, Axis::Ordered];

/// Nine settings with one to four folds each.
fn example() -> (Data, Vec<Observation>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let settings: Vec<Vec<f64>> =
        (0..9).map(|_| vec![rng.random(), (rng.random::<f64>() * 3.0).floor(), rng.random()]).collect();
    let mut observations = Vec::new();
    for (setting, x) in settings.iter().enumerate() {
        for fold in 0..=setting % 4 {
            let score = 2.0 * rng.random::<f64>() + x[0] + 0.3 * fold as f64;
            observations.push(Observation { setting, fold, score });
        }
    }
    (Data::new(AXES.to_vec(), settings, observations.clone()), observations)
}

fn hyperparameters() -> Hyperparameters {
    Hyperparameters { lengths: vec![-0.5, 0.3, 0.1], scale: 0.2, trend: -0.4, noise: -2.0, effect: -1.0 }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let (data, _) = example();
    let priors = Priors::new(3);
    let target = Target::new(&data, &priors);
    let row = hyperparameters().to_row(true);
    let (_, gradient) = target.at(&row).expect("a value");
    for (index, slope) in gradient.iter().enumerate() {
        let at = |by: f64| {
            let mut row = row.clone();
            row[index] += by;
            target.at(&row).expect("a value").0
        };
        let measured = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!((measured - slope).abs() < 1e-6 * (1.0 + measured.abs()), "{index}: {measured} and {slope}");
    }
}

/// The same process with a row for every score.
#[test]
fn averaging_settings_loses_nothing() {
    let (data, seen) = example();
    let given = hyperparameters();
    let kernel = given.kernel(&AXES);
    let x = data.settings();
    let full = |given: &Hyperparameters| {
        let kernel = given.kernel(&AXES);
        Mat::from_fn(seen.len(), seen.len(), |i, j| {
            let (a, b) = (seen[i], seen[j]);
            let fold = if a.fold == b.fold { given.effect.exp() } else { 0.0 };
            let noise = if i == j { given.noise_variance() } else { 0.0 };
            kernel.between(&x[a.setting], &x[b.setting]).0 + fold + noise
        })
    };
    let scores = Mat::from_fn(seen.len(), 1, |i, _| seen[i].score);
    let minus_log = |given: &Hyperparameters| {
        let factor = full(given).llt(Side::Lower).expect("regular");
        let determinant: f64 = (0..seen.len()).map(|i| factor.L()[(i, i)].ln()).sum();
        determinant + 0.5 * (scores.transpose() * factor.solve(&scores))[(0, 0)]
    };
    // constants cancel in differences
    let priors = Priors::new(3);
    let target = Target::new(&data, &priors);
    let mine = |given: &Hyperparameters| {
        let row = given.to_row(true);
        target.at(&row).expect("a value").0 + priors.log_density(&row, 3, &mut [0.0; 7])
    };
    let other = Hyperparameters { lengths: vec![0.4, -0.2, -1.0], scale: -0.5, trend: 0.3, noise: -1.0, effect: 0.3 };
    let (full_difference, difference) = (minus_log(&given) - minus_log(&other), mine(&given) - mine(&other));
    assert!((full_difference - difference).abs() < 1e-8, "{full_difference} and {difference}");

    let posterior = Posterior::new(&data, &given).expect("regular");
    let factor = full(&given).llt(Side::Lower).expect("regular");
    for at in [vec![0.3, 1.0, 0.6], vec![0.9, 0.0, 0.1], x[2].clone()] {
        // the mean score over the folds has its share of every effect
        let share = given.effect.exp() / data.folds() as f64;
        let column = Mat::from_fn(seen.len(), 1, |i, _| kernel.between(&x[seen[i].setting], &at).0 + share);
        let mean = (column.transpose() * factor.solve(&scores))[(0, 0)];
        let variance = kernel.of(&at) + share - (column.transpose() * factor.solve(&column))[(0, 0)];
        let belief = posterior.at(&at);
        assert!((belief.mean - mean).abs() < 1e-9 && (belief.variance - variance).abs() < 1e-9);
    }
    for (setting, mean) in posterior.means().iter().enumerate() {
        assert!((posterior.at(&x[setting]).mean - mean).abs() < 1e-9);
    }
}

#[test]
fn a_setting_is_predicted_from_the_others_as_if_it_had_not_been_seen() {
    let data = example().0.asked_for(0..3);
    let given = hyperparameters();
    let all = Posterior::new(&data, &given).expect("a posterior");
    // those with a single score
    for setting in [0, 4, 8] {
        let others: Vec<usize> = (0..9).filter(|other| *other != setting).collect();
        let never = Posterior::new(&data.only(&others), &given).expect("a posterior").at(&data.settings()[setting]);
        let without = all.without(setting);
        assert!((without.mean - never.mean).abs() < 1e-10, "{without:?} is not {never:?}");
        assert!((without.variance - never.variance).abs() < 1e-10, "{without:?} is not {never:?}");
        assert!(all.at(&data.settings()[setting]).variance < never.variance);
    }
}

#[test]
fn scores_without_noise_are_interpolated() {
    let settings: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from(i) / 11.0]).collect();
    let score = |x: &[f64]| (6.0 * x[0]).sin();
    let seen = settings.iter().enumerate();
    let seen = seen.map(|(setting, x)| Observation { setting, fold: 0, score: score(x) }).collect();
    let data = Data::new(vec![Axis::Ordered], settings.clone(), seen);
    let (found, posterior) = fit(&data, &Priors::new(data.axes().len())).expect("a fit");
    for x in &settings {
        let belief = posterior.at(x);
        assert!((belief.mean - score(x)).abs() < 0.02, "{belief:?} at {x:?}, {found:?}");
    }
    let between = posterior.at(&[0.5]);
    assert!((between.mean - score(&[0.5])).abs() < 0.02 && between.variance < 0.01, "{between:?}");
}

#[test]
fn an_easy_fold_makes_no_setting_better() {
    // settings of the same worth; fold 1 gives 2 more, and the last setting was seen there alone
    let settings: Vec<Vec<f64>> = (0..6).map(|i| vec![f64::from(i) / 5.0]).collect();
    let mut seen: Vec<Observation> = (0..5)
        .flat_map(|setting| [(0, -1.0), (1, 1.0)].map(|(fold, score)| Observation { setting, fold, score }))
        .collect();
    seen.push(Observation { setting: 5, fold: 1, score: 1.0 });
    let data = Data::new(vec![Axis::Ordered], settings, seen);
    let (_, posterior) = fit(&data, &Priors::new(data.axes().len())).expect("a fit");
    assert!(posterior.means().iter().all(|mean| mean.abs() < 0.2), "{:?}", posterior.means());
    assert!(posterior.effects()[1] - posterior.effects()[0] > 1.5);
}

#[test]
fn the_improvement_s_slopes_are_those_of_finite_differences() {
    let (data, _) = example();
    let posterior = Posterior::new(&data, &hyperparameters()).expect("regular");
    let pending = vec![vec![0.2, 1.0, 0.9], vec![0.7, 2.0, 0.3]];
    for (pending, normals) in [(vec![], vec![vec![]]), (pending, vec![vec![0.3, -1.0], vec![-0.4, 0.8]])] {
        let worlds = posterior.imagine(&pending, 0.05, &normals).expect("regular");
        let improvement = Improvement::new(worlds, 0.05, data.settings().iter().chain(&pending));
        let x = [0.45, 1.0, 0.55];
        let (value, gradient) = improvement.with_slopes(&x);
        assert!((value - improvement.at(&x)).abs() < 1e-12);
        for axis in [0, 2] {
            let at = |by: f64| {
                let mut x = x;
                x[axis] += by;
                improvement.at(&x)
            };
            let measured = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((measured - gradient[axis]).abs() < 1e-6 * (1.0 + measured.abs()), "{measured} {gradient:?}");
        }
    }
}

/// A world in which a pending setting got the score s is the posterior with s among the observations.
#[test]
fn imagined_scores_count_like_real_ones() {
    let (data, seen) = example();
    let given = Hyperparameters { effect: -20.0, ..hyperparameters() };
    let posterior = Posterior::new(&data, &given).expect("regular");
    let pending = vec![0.2, 1.0, 0.9];
    let before = posterior.at(&pending);
    let noise = posterior.noise();
    let worlds = posterior.imagine(std::slice::from_ref(&pending), noise, &[vec![1.5]]).expect("regular");
    let score = before.mean + 1.5 * (before.variance + noise).sqrt();
    let mut settings = data.settings().to_vec();
    settings.push(pending);
    let mut observations = seen;
    observations.push(Observation { setting: settings.len() - 1, fold: 0, score });
    let really = Posterior::new(&Data::new(AXES.to_vec(), settings, observations), &given).expect("regular");
    let x = [0.5, 1.0, 0.5];
    let (means, variance) = worlds.at(&x);
    let belief = really.at(&x);
    assert!((means[0] - belief.mean).abs() < 1e-6 && (variance - belief.variance).abs() < 1e-6);
}

#[test]
fn the_logarithm_of_improvement_is_smooth_where_its_forms_meet() {
    let below = log_expected_improvement(-25.0 - 1e-9, 1.0, 0.0);
    let above = log_expected_improvement(-25.0 + 1e-9, 1.0, 0.0);
    assert!((below - above).abs() < 1e-6, "{below} {above}");
    assert!(log_expected_improvement(-1e6, 1.0, 0.0).is_finite());
    // E max(0, X) of a standard normal X is 1 / sqrt(2 pi)
    assert!((log_expected_improvement(0.0, 1.0, 0.0).exp() - 0.398_942_280_401_432_7).abs() < 1e-15);
}

#[test]
fn odd_scores_have_a_scale() {
    for scores in [vec![], vec![0.5], vec![0.5; 1000], vec![0.0, 0.0, 0.0, 0.0, 1.0], vec![1.0, 1.0, 1.0, 1.0, -1e12]] {
        let scale = Scale::of(&scores);
        for score in scores {
            let x = scale.to_process(score);
            assert!(x.is_finite(), "{scale:?}");
            assert!((scale.to_score(x) - score).abs() <= 1e-9 * (1.0 + score.abs()), "{scale:?} {score}");
        }
    }
}

#[test]
fn odd_data_are_fitted() {
    let many = |count: usize, axes: usize, score: &dyn Fn(usize) -> f64| {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let settings: Vec<Vec<f64>> = (0..count).map(|_| (0..axes).map(|_| rng.random()).collect()).collect();
        let seen = (0..count).map(|setting| Observation { setting, fold: 0, score: score(setting) }).collect();
        Data::new(vec![Axis::Ordered; axes], settings, seen)
    };
    let twice: Vec<Observation> =
        (0..1000).map(|i| Observation { setting: 0, fold: i % 5, score: (i % 7) as f64 }).collect();
    for data in [
        many(1, 2, &|_| 0.0),
        many(5, 0, &|i| i as f64),
        many(20, 50, &|i| (i as f64).sin()),
        many(30, 3, &|_| 0.0),
        many(30, 3, &|i| if i == 7 { 1e6 } else { 0.0 }),
        Data::new(vec![Axis::Ordered], vec![vec![0.5]], twice),
    ] {
        let (found, posterior) = fit(&data, &Priors::new(data.axes().len())).expect("a fit");
        let belief = posterior.at(&vec![0.3; data.axes().len()]);
        assert!(belief.mean.is_finite() && belief.variance > 0.0, "{found:?}");
    }
}

/// The mean score over the folds is known where all of them were scored, however little is known of its parts.
#[test]
fn what_all_settings_share_is_no_uncertainty() {
    let x = |i: usize| vec![i as f64 / 7.0];
    let score = |i: usize, fold: usize| (5.0 * x(i)[0]).sin() + 3.0 * fold as f64 + 0.01 * ((i * 7 + fold) % 3) as f64;
    let settings: Vec<Vec<f64>> = (0..8).map(x).collect();
    let each = (0..8).flat_map(|i| (0..3).map(move |fold| (i, fold)));
    let seen = each.map(|(setting, fold)| Observation { setting, fold, score: score(setting, fold) }).collect();
    let data = Data::new(vec![Axis::Ordered], settings, seen);
    let given = Hyperparameters { lengths: vec![-0.5], scale: 0.0, trend: -1.0, noise: -8.0, effect: 2.0 };
    let posterior = Posterior::new(&data, &given).expect("regular");
    for i in 0..8 {
        let Belief { mean, variance } = posterior.at(&x(i));
        let whole = (0..3).map(|fold| score(i, fold)).sum::<f64>() / 3.0;
        assert!((mean - whole).abs() < 0.02 && variance < 1e-3, "{i}: {mean} for {whole}, {variance}");
        assert!((mean - posterior.means()[i]).abs() < 1e-9);
    }
    // of the folds that are asked for only
    let first = Posterior::new(&data.asked_for(0..1), &given).expect("regular");
    assert!((first.at(&x(3)).mean - score(3, 0)).abs() < 0.02, "{:?}", first.at(&x(3)));
}

#[test]
fn how_far_a_run_has_diverged_says_nothing() {
    let scores = |bad: f64| (0..20).map(|i| f64::from(i) * 0.01).chain([bad]).collect::<Vec<f64>>();
    let (far, farther) = (Scale::of(&scores(-1e6)), Scale::of(&scores(-1e300)));
    for good in [0.0, 0.1, 0.19] {
        assert_eq!(far.to_process(good), farther.to_process(good));
    }
    assert_eq!(far.to_process(-1e6), farther.to_process(-1e300));
    assert!(far.to_score(-50.0) > -1e6, "{}", far.to_score(-50.0));
}
