//! Rules on small tables of folds.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

const UP: Direction = Direction::Maximize;
const DOWN: Direction = Direction::Minimize;

/// Trial 7 is the best; folds 2 and 4 are hard for all.
fn field() -> Field {
    let finished = [
        (3, vec![0.70, 0.72, 0.60, 0.71, 0.62]),
        (7, vec![0.80, 0.81, 0.71, 0.80, 0.73]),
        (9, vec![0.78, 0.80, 0.70, 0.77, 0.70]),
    ];
    Field::new(UP, finished).expect("finished trials")
}

fn mirrored() -> Field {
    let finished = [
        (3, vec![0.30, 0.28, 0.40, 0.29, 0.38]),
        (7, vec![0.20, 0.19, 0.29, 0.20, 0.27]),
        (9, vec![0.22, 0.20, 0.30, 0.23, 0.30]),
    ];
    Field::new(DOWN, finished).expect("finished trials")
}

fn chance(field: &Field, scores: &[(u32, f64)], prior: Option<Prior>) -> Option<f64> {
    field.outlook(scores, prior).map(Outlook::chance)
}

fn say(verdict: Option<String>) -> String {
    verdict.unwrap_or_else(|| "goes on".to_owned())
}

/// What every rule says of the first folds, one after the other, until it drops the trial.
fn story(field: &Field, scores: &[f64]) -> String {
    let rules = [Race::Off, Race::Forgiving, Race::Paired, Race::Posterior];
    let tell = |race: Race| {
        let scores: Vec<(u32, f64)> = scores.iter().enumerate().map(|(fold, score)| (fold as u32, *score)).collect();
        let verdict = (1..=scores.len()).find_map(|n| field.judge(race, &scores[..n], None));
        format!("{race:?}: {}", say(verdict))
    };
    rules.map(tell).join("\n")
}

#[test]
fn a_bad_trial_is_dropped_at_once_by_all() {
    assert_snapshot!(story(&field(), &[0.55, 0.5, 0.4]), @"
    Off: goes on
    Forgiving: raced out after 1 of 5 folds: its mean 0.5500 is no better than the worst fold of trial 7, 0.7100
    Paired: raced out after 1 of 5 folds: it is 0.2500 behind trial 7, more than twice as much as its folds differ (0.0464)
    Posterior: raced out after 1 of 5 folds: its chance to beat trial 7 is below 0.01 %
    ");
    assert_snapshot!(story(&mirrored(), &[0.45, 0.5, 0.6]), @"
    Off: goes on
    Forgiving: raced out after 1 of 5 folds: its mean 0.4500 is no better than the worst fold of trial 7, 0.2900
    Paired: raced out after 1 of 5 folds: it is 0.2500 behind trial 7, more than twice as much as its folds differ (0.0464)
    Posterior: raced out after 1 of 5 folds: its chance to beat trial 7 is below 0.01 %
    ");
}

#[test]
fn a_trial_that_is_a_little_worse_everywhere_is_found_out_by_pairs() {
    assert_snapshot!(story(&field(), &[0.78, 0.79, 0.68, 0.78]), @"
    Off: goes on
    Forgiving: goes on
    Paired: raced out after 2 of 5 folds: it is 0.0200 ± 0.0000 behind trial 7 on the same folds
    Posterior: raced out after 3 of 5 folds: its chance to beat trial 7 is 0.6 %
    ");
}

#[test]
fn hard_folds_first_are_held_against_nobody() {
    let field = field();
    let hard: Vec<(u32, f64)> = vec![(2, 0.70), (4, 0.74)];
    let verdicts = [Race::Forgiving, Race::Paired, Race::Posterior].map(|race| say(field.judge(race, &hard, None)));
    assert_snapshot!(verdicts.join("\n"), @"
    goes on
    goes on
    goes on
    ");
}

#[test]
fn nobody_is_judged_without_folds_or_with_all_of_them() {
    let field = field();
    let all: Vec<(u32, f64)> = (0..5).map(|fold| (fold, 0.0)).collect();
    for race in [Race::Off, Race::Forgiving, Race::Paired, Race::Posterior] {
        assert_eq!(field.judge(race, &[], None), None);
        assert_eq!(field.judge(race, &all, None), None);
    }
    assert_eq!(chance(&field, &[], None), None);
    assert_eq!(Field::new(UP, Vec::new()), None);
}

/// By hand: differences -0.02 and -0.04; s0^2 from trials 9 and 3 and the incumbent's own spread.
#[test]
fn the_chance_is_the_formula() {
    let field = field();
    let own = [0.80, 0.81, 0.71, 0.80, 0.73];
    let spread = |values: &[f64]| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|x| (x - mean).powi(2)).sum::<f64>()
    };
    let nine = spread(&[-0.02, -0.01, -0.01, -0.03, -0.03]);
    let three = spread(&[-0.10, -0.09, -0.11, -0.09, -0.11]);
    let pooled = (2.0 * 2.0 * spread(&own) / 4.0 + nine + three) / (2.0 + 4.0 + 4.0);
    let variance: f64 = (4.0 * pooled + spread(&[-0.02, -0.04])) / 5.0;
    let z = -0.03 / (variance * (1.0 / 2.0 - 1.0 / 5.0)).sqrt();
    let found = chance(&field, &[(0, 0.78), (1, 0.77)], None).expect("a chance");
    assert!((found - normal_cdf(z)).abs() < 1e-12, "{found} is not {}", normal_cdf(z));
    assert!((normal_cdf(-1.644_853_626_951_472_2) - 0.05).abs() < 1e-9);

    // with a belief: delta from both, then the folds to come
    let prior = Prior { mean: 0.79, sd: 0.01 };
    let noise = variance / 2.0;
    let weight = 1e-4 / (1e-4 + noise);
    let (m, v) = (0.02 + weight * (-0.03 - 0.02), weight * noise);
    let z = ((2.0 * -0.03 + 3.0 * m) / 5.0) / (0.6 * (v + variance / 3.0).sqrt());
    let found = chance(&field, &[(0, 0.78), (1, 0.77)], Some(prior)).expect("a chance");
    assert!((found - normal_cdf(z)).abs() < 1e-12, "{found} is not {}", normal_cdf(z));

    // before its first fold, by the belief alone
    let z = 0.02 / (1e-4 + pooled / 5.0).sqrt();
    let found = chance(&field, &[], Some(prior)).expect("a chance");
    assert!((found - normal_cdf(z)).abs() < 1e-12, "{found} is not {}", normal_cdf(z));
}

/// A model that is as sure as the folds vary, and drawn from: how many folds such challengers have until they are known
/// or dropped after their first, and what they add to the best, is what the value says.
#[test]
fn the_value_is_what_such_challengers_bring_for_their_folds() {
    let spread = 0.01;
    // differences of the field vary by exactly that
    let incumbent = vec![0.0; 5];
    let other: Vec<f64> = [1.0, -1.0, 1.0, -1.0, 0.0].map(|x| x * spread * 1.5f64.sqrt()).to_vec();
    let field = Field::new(UP, [(0, incumbent), (1, other)]).expect("finished trials");
    assert!((field.variance - spread * spread).abs() < 1e-12);
    let normals = crate::search::normals(1, 20_000, 6);
    for expected in [-0.02, -0.005, 0.01] {
        let prior = Prior { mean: expected, sd: 0.01 };
        let outlook = field.outlook(&[], Some(prior)).expect("an outlook");
        let (mut gained, mut folds) = (0.0, 0.0);
        for normal in &normals {
            let delta = prior.mean + prior.sd * normal[0];
            let scores: Vec<(u32, f64)> = (0..5).zip(normal[1..].iter().map(|x| delta + spread * x)).collect();
            gained += mean(&scores.iter().map(|(_, score)| *score).collect::<Vec<_>>()).max(0.0);
            folds += if field.judge(Race::Posterior, &scores[..1], Some(prior)).is_some() { 1.0 } else { 5.0 };
        }
        let brought = gained / folds;
        assert!((outlook.value() / brought - 1.0).abs() < 0.05, "{expected}: {} is not {brought}", outlook.value());
    }
}

#[test]
fn a_belief_helps_or_harms_and_an_empty_one_does_nothing() {
    let field = field();
    let scores = [(0, 0.79), (1, 0.80)];
    let with = |mean: f64, sd: f64| chance(&field, &scores, Some(Prior { mean, sd })).expect("a chance");
    let plain = chance(&field, &scores, None).expect("a chance");
    assert!(with(0.9, 0.01) > plain && plain > with(0.6, 0.01));
    assert!((with(0.6, 1e9) - plain).abs() < 1e-9);
    assert_eq!(with(f64::NAN, 0.1), plain);
    assert!(with(0.6, 0.0) < 0.01, "a certain belief is believed");
}

#[test]
fn scores_that_never_vary_are_no_division_by_zero() {
    let field = Field::new(UP, [(0, vec![0.5; 3]), (1, vec![0.5; 3])]).expect("finished trials");
    assert_eq!(field.incumbent(), 0);
    assert_eq!(chance(&field, &[(0, 0.5)], None), Some(0.5));
    assert_eq!(chance(&field, &[(0, 0.6)], None), Some(1.0));
    assert_snapshot!(say(field.judge(Race::Posterior, &[(0, 0.4)], None)), @"raced out after 1 of 3 folds: its chance to beat trial 0 is below 0.01 %");
    let certain = Prior { mean: 0.1, sd: 0.0 };
    assert_eq!(chance(&field, &[(0, 0.5)], Some(certain)), Some(0.5));
    assert_eq!(chance(&field, &[], Some(certain)), Some(0.0));
}

proptest! {
    /// A chance is one, a mirrored problem has the same answers, and no fold more of the same makes it better.
    #[test]
    fn chances(
        table in prop::collection::vec(prop::collection::vec(-1e3..1e3f64, 5), 1..8),
        own in prop::collection::vec(-1e3..1e3f64, 1..5),
    ) {
        let scores: Vec<(u32, f64)> = (0..).zip(own.iter().copied()).collect();
        let negated: Vec<(u32, f64)> = (0..).zip(own.iter().map(|score| -score)).collect();
        let up = Field::new(UP, (0..).zip(table.clone())).expect("a trial");
        let mirror = table.iter().map(|row| row.iter().map(|score| -score).collect::<Vec<_>>());
        let down = Field::new(DOWN, (0..).zip(mirror)).expect("a trial");
        prop_assert_eq!(up.incumbent(), down.incumbent());
        let outlook = up.outlook(&scores, None).expect("an outlook");
        prop_assert!((0.0..=1.0).contains(&outlook.chance()), "{outlook:?}");
        prop_assert!(outlook.value() >= 0.0 && outlook.next_variance <= outlook.variance, "{outlook:?}");
        prop_assert_eq!(outlook.value(), down.outlook(&negated, None).expect("an outlook").value());
        prop_assert_eq!(outlook.chance(), chance(&down, &negated, None).expect("a chance"));
        for race in [Race::Forgiving, Race::Paired, Race::Posterior] {
            prop_assert_eq!(up.judge(race, &scores, None).is_some(), down.judge(race, &negated, None).is_some());
        }
        // the incumbent itself is never in danger
        let best = &table[up.incumbent() as usize];
        let itself: Vec<(u32, f64)> = (0..).zip(best.iter().copied()).take(4).collect();
        prop_assert!(chance(&up, &itself, None).expect("a chance") >= 0.5);
    }
}
