use std::f64::consts::PI;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::search::gp::Scale;
use crate::search::history::{Tried, TriedState};
use crate::search::scattered;
use crate::search::space::{Condition, Expression, Parameter, Point, Space, Test};
use crate::spec::Sampler;

fn float(name: &str) -> Parameter {
    Parameter { name: name.to_owned(), domain: Domain::Float { low: 0.0, high: 1.0, log: false }, when: None }
}

fn values(name: &str, values: &Value) -> Parameter {
    let values = values.as_array().expect("a list").clone();
    Parameter { name: name.to_owned(), domain: Domain::Values(values), when: None }
}

fn search(space: Space) -> Search {
    crate::search::tests::search(Sampler::Random, space)
}

fn x(point: &Point, name: &str) -> f64 {
    point.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// `count` even points of a space that its constraints allow.
fn points(space: &Space, count: usize, seed: u64) -> impl Iterator<Item = Point> {
    let drawn = (0..).map(move |number| scattered(seed, number, space.parameters().len()));
    drawn.map(|u| space.point_at(&u)).filter(|point| space.allows(point)).take(count)
}

fn history(space: &Space, trials: usize, score: impl Fn(&Point) -> f64) -> History {
    let tried = |point: Point| Tried { scores: vec![(0, score(&point))], point, state: TriedState::Finished };
    History::of(points(space, trials, 9).map(tried).collect())
}

fn told(search: &Search, history: &History) -> Insight {
    insight(search, history).unwrap_or_else(|why| panic!("{why}"))
}

fn of<'i>(insight: &'i Insight, name: &str) -> &'i Importance {
    insight.parameters.iter().find(|importance| importance.parameter == name).expect("is told")
}

/// The scale on which the process sees these scores.
fn scale(history: &History) -> Scale {
    Scale::of(&history.trials.iter().map(|tried| tried.scores[0].1).collect::<Vec<_>>())
}

/// Indices by brute force, of a function of independent numbers: of each number (alone, total).
fn indices<const N: usize>(f: impl Fn([f64; N]) -> f64) -> [(f64, f64); N] {
    const CELLS: usize = 24;
    let at = |cell: usize| (cell as f64 + 0.5) / CELLS as f64;
    let count = CELLS.pow(N as u32);
    let digit = |number: usize, axis: usize| number / CELLS.pow(axis as u32) % CELLS;
    let all: Vec<f64> = (0..count).map(|number| f(std::array::from_fn(|axis| at(digit(number, axis))))).collect();
    let variance = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
    };
    let whole = variance(&all);
    std::array::from_fn(|axis| {
        let (mut of_value, mut of_rest) = (vec![0.0; CELLS], vec![0.0; count]);
        for (number, value) in all.iter().enumerate() {
            of_value[digit(number, axis)] += value * CELLS as f64 / count as f64;
            of_rest[number - digit(number, axis) * CELLS.pow(axis as u32)] += value / CELLS as f64;
        }
        let rests: Vec<f64> = (0..count).filter(|number| digit(*number, axis) == 0).map(|rest| of_rest[rest]).collect();
        (variance(&of_value) / whole, 1.0 - variance(&rests) / whole)
    })
}

#[test]
fn brute_force_knows_ishigami_s_indices() {
    let found = indices(ishigami);
    let known = [(0.3139, 0.5576), (0.4424, 0.4424), (0.0, 0.2437)];
    for (found, known) in found.iter().zip(known) {
        assert!((found.0 - known.0).abs() < 0.005 && (found.1 - known.1).abs() < 0.005, "{found:?} {known:?}");
    }
}

/// Ishigami & Homma (1990), of numbers in 0..1.
fn ishigami(u: [f64; 3]) -> f64 {
    let [a, b, c] = u.map(|u| PI * (2.0 * u - 1.0));
    a.sin() + 7.0 * b.sin().powi(2) + 0.1 * c.powi(4) * a.sin()
}

#[test]
fn ishigami_s_indices_are_found() {
    let space = Space::new(["a", "b", "c"].map(float).to_vec());
    let score = |point: &Point| ishigami(["a", "b", "c"].map(|name| x(point, name)));
    let history = history(&space, 200, score);
    let scale = scale(&history);
    let truth = indices(|u: [f64; 3]| scale.to_process(ishigami(u)));
    let search = search(space);
    let insight = told(&search, &history);
    for (name, (alone, total)) in ["a", "b", "c"].into_iter().zip(truth) {
        let found = of(&insight, name);
        let near = |found: Interval, truth: f64| (found.median - truth).abs() < 0.06;
        assert!(near(found.alone, alone) && near(found.total, total), "{name}: {alone} {total} {found:?}");
    }
    let alone: f64 = truth.iter().map(|(alone, _)| alone).sum();
    assert!((insight.interactions.median - (1.0 - alone)).abs() < 0.08, "{:?}", insight.interactions);
    assert!(insight.known > 0.8 && insight.noise < 0.1, "{} {}", insight.known, insight.noise);
    let asked = pair(&search, &history, ["c", "a"]).expect("is told");
    assert_eq!(asked.parameters, ["c", "a"]);
    let told =
        insight.pairs.iter().find(|pair| pair.parameters.iter().all(|name| name != "b")).expect("is among three");
    assert!((asked.interaction.median - told.interaction.median).abs() < 1e-9, "{asked:?}");
    assert_eq!(pair(&search, &history, ["a", "none"]).err(), Some(Unknown::NoParameter));
    // only `a` and `c` do something together
    for pair in &insight.pairs {
        let together = pair.parameters.iter().all(|name| name != "b");
        assert_eq!(pair.interaction.median > 0.1, together, "{:?} {:?}", pair.parameters, pair.interaction);
    }
}

#[test]
fn an_additive_function_has_no_interactions_and_its_effects_are_its_terms() {
    let space = Space::new(["a", "b", "c", "idle"].map(float).to_vec());
    // better scores are linear, worse ones bent: only the good half is additive on the scale of the process
    let score = |point: &Point| 100.0 + 3.0 * x(point, "a") - 2.0 * (x(point, "b") - 0.3).powi(2) + 0.5 * x(point, "c");
    let history = history(&space, 120, score);
    let scale = scale(&history);
    let truth = indices(|[a, b, c]: [f64; 3]| scale.to_process(100.0 + 3.0 * a - 2.0 * (b - 0.3f64).powi(2) + 0.5 * c));
    let insight = told(&search(space.clone()), &history);
    for (name, (alone, total)) in ["a", "b", "c"].into_iter().zip(truth) {
        let found = of(&insight, name);
        assert!((found.alone.median - alone).abs() < 0.02, "{name}: {alone} {found:?}");
        assert!((found.total.median - total).abs() < 0.02, "{name}: {total} {found:?}");
        assert!(found.alone.low <= found.alone.median && found.alone.median <= found.alone.high);
    }
    assert!(of(&insight, "idle").total.median < 0.01);
    assert_eq!(insight.parameters[0].parameter, "a");
    let b = of(&insight, "b");
    assert_eq!(b.effect[b.best].value.as_f64().map(|best| (best - 0.3).abs() < 0.1), Some(true));

    // effects against the margins of the function, on the process's scale and taken back
    for name in ["a", "b", "c", "idle"] {
        for place in &of(&insight, name).effect {
            let others =
                points(&space, 4096, 5).map(|other| scale.to_process(score(&other.with(name, place.value.clone()))));
            let truth = scale.to_score(others.sum::<f64>() / 4096.0);
            let Predicted { score, low, high } = place.predicted;
            assert!((score - truth).abs() < 0.06, "{name} = {}: {score}, not {truth}", place.value);
            assert!(low <= score && score <= high && high - low < 0.3, "{place:?}");
        }
    }
}

#[test]
fn the_band_of_an_effect_holds_the_truth_as_often_as_it_says() {
    let space = Space::new(["a", "b", "c"].map(float).to_vec());
    let score = |point: &Point| (4.0 * x(point, "a")).sin() + x(point, "b") * x(point, "c");
    // nearly normal, with a standard deviation of 0.2: at 25 points much is left open
    let noise = |seed: u64, number: usize| 0.2 * (scattered(seed, number as u32, 12).iter().sum::<f64>() - 6.0);
    let (mut inside, mut all) = (0, 0);
    for seed in 0..12 {
        let noisy = |(number, point): (usize, Point)| {
            let scores = vec![(0, score(&point) + noise(100 + seed, number))];
            Tried { scores, point, state: TriedState::Finished }
        };
        let history = History::of(points(&space, 25, seed).enumerate().map(noisy).collect());
        let scale = scale(&history);
        let insight = told(&search(space.clone()), &history);
        for name in ["a", "b", "c"] {
            for place in of(&insight, name).effect.iter().step_by(4) {
                let others = points(&space, 1024, 5).map(|other| score(&other.with(name, place.value.clone())));
                // a bent scale makes of noise a little less than nothing
                let seen = others.enumerate().map(|(number, score)| scale.to_process(score + noise(5, number)));
                let truth = scale.to_score(seen.sum::<f64>() / 1024.0);
                inside += usize::from(place.predicted.low <= truth && truth <= place.predicted.high);
                all += 1;
            }
        }
    }
    // 90 % if nothing but g were unknown: the lengths and the noise are guesses too
    let share = f64::from(inside as u32) / f64::from(all);
    assert!((0.7..=0.99).contains(&share), "{share}");
}

#[test]
fn more_scores_tell_more() {
    let space = Space::new(["a", "b", "c"].map(float).to_vec());
    let score = |point: &Point| ishigami(["a", "b", "c"].map(|name| x(point, name)));
    let [few, many] = [8, 200].map(|trials| told(&search(space.clone()), &history(&space, trials, score)));
    assert!(few.known + 0.1 < many.known, "{} {}", few.known, many.known);
    let width = |insight: &Insight| {
        mean(&insight.parameters.iter().map(|own| own.total.high - own.total.low).collect::<Vec<_>>())
    };
    assert!(width(&few) > 2.0 * width(&many), "{} {}", width(&few), width(&many));
}

#[test]
fn names_are_ranked_among_numbers_and_every_one_is_shown() {
    let space =
        Space::new(vec![values("kind", &json!(["a", "b", "c"])), float("x"), values("flag", &json!([true, false]))]);
    let height = |point: &Point| match point.get("kind").and_then(Value::as_str) {
        Some("b") => 2.0,
        Some("c") => 1.0,
        _ => 0.0,
    };
    let history = history(&space, 60, |point| height(point) + 0.3 * x(point, "x"));
    let insight = told(&search(space), &history);
    let order: Vec<&str> = insight.parameters.iter().map(|importance| importance.parameter.as_str()).collect();
    assert_eq!(order, ["kind", "x", "flag"]);
    let kind = of(&insight, "kind");
    let shown: Vec<&Value> = kind.effect.iter().map(|place| &place.value).collect();
    assert_eq!(shown, [&json!("a"), &json!("b"), &json!("c")]);
    assert_eq!(kind.best, 1);
    assert!(kind.effect.iter().all(|place| (place.share - 1.0 / 3.0).abs() < 1e-12));
    assert!((kind.effect[1].predicted.score - kind.effect[2].predicted.score - 1.0).abs() < 0.1, "{:?}", kind.effect);
    assert_eq!(insight.pairs[0].scores.len(), 3);
}

#[test]
fn a_conditional_parameter_counts_where_it_has_a_value() {
    let deep = || Some(Condition(vec![("kind".to_owned(), Test::Equals(json!("deep")))]));
    let kind = values("kind", &json!(["plain", "deep"]));
    let space = Space::new(vec![kind, float("a"), Parameter { when: deep(), ..float("depth") }]);
    // all that `depth` does it does in half of the space; above the median nothing is bent
    let score = |point: &Point| x(point, "a") + point.get("depth").map_or(0.5, |_| x(point, "depth"));
    let history = history(&space, 150, score);
    let scale = scale(&history);
    let insight = told(&search(space), &history);
    let depth = of(&insight, "depth");
    assert!((depth.active - 0.5).abs() < 0.02, "{}", depth.active);
    let [plain, deep] =
        [false, true].map(|deep| move |[a, depth]: [f64; 2]| scale.to_process(a + if deep { depth } else { 0.5 }));
    // variances over the space: half of it has no depth
    let grid: Vec<[f64; 2]> =
        (0..900).map(|n| [f64::from(n % 30) / 30.0 + 1.0 / 60.0, f64::from(n / 30) / 30.0 + 1.0 / 60.0]).collect();
    let all: Vec<f64> = grid.iter().map(|u| plain(*u)).chain(grid.iter().map(|u| deep(*u))).collect();
    let variance =
        |values: &[f64]| values.iter().map(|v| (v - mean(values)).powi(2)).sum::<f64>() / values.len() as f64;
    let of_depth: Vec<f64> =
        (0..30).map(|d| mean(&(0..30).map(|a| deep(grid[d * 30 + a])).collect::<Vec<_>>())).collect();
    let truth = 0.5 * variance(&of_depth) / variance(&all);
    assert!((depth.alone.median - truth).abs() < 0.03, "{truth} {depth:?}");
    let pair =
        insight.pairs.iter().find(|pair| pair.parameters.iter().all(|name| name != "a")).expect("is among three");
    let holes = pair.scores.iter().flatten().filter(|cell| cell.is_none()).count();
    assert_eq!(holes, 9, "no depth where it is plain");
}

#[test]
fn what_constraints_refuse_counts_nowhere() {
    let constraint = Expression::parse("a + b <= 1").unwrap_or_else(|error| panic!("{error:?}"));
    let space = Space::build(vec![float("a"), float("b")], Vec::new(), vec![constraint]).expect("fits");
    let history = history(&space, 80, |point| x(point, "a"));
    let insight = told(&search(space), &history);
    let [a, b] = ["a", "b"].map(|name| of(&insight, name));
    // of a triangle's points: density 2 (1 - a), and b tells a's mean, (1 - b) / 2
    let share: f64 = a.effect.iter().map(|place| place.share).sum();
    assert!((share - 1.0).abs() < 1e-9);
    assert!(a.effect.windows(2).all(|two| two[0].share * 0.3 > two[1].share || two[0].share < 4.5 * two[1].share));
    let first: f64 = a.effect.iter().filter(|place| x_of(&place.value) < 0.5).map(|place| place.share).sum();
    assert!((first - 0.75).abs() < 0.05, "{first}");
    assert!(a.alone.median > 0.9, "{a:?}");
    // b alone changes nothing, but knowing it tells something of a: 1/4 of the variance
    assert!(b.total.median < 0.02 && (0.1..0.4).contains(&b.alone.median), "{b:?}");
    let holes = insight.pairs[0].scores.iter().flatten().filter(|cell| cell.is_none()).count();
    assert_eq!(holes, 36, "of 81 cells those beyond the diagonal");
}

fn x_of(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[test]
fn lower_is_better_where_it_is_so() {
    let space = Space::new(vec![float("a"), float("b")]);
    let up = search(space.clone());
    let down = Search { direction: Direction::Minimize, ..up.clone() };
    let gains = history(&space, 30, |point| (3.0 * x(point, "a")).sin());
    let losses = history(&space, 30, |point| -(3.0 * x(point, "a")).sin());
    let (up, down) = (told(&up, &gains), told(&down, &losses));
    for (up, down) in up.parameters.iter().zip(&down.parameters) {
        assert_eq!((up.alone, up.total, up.best), (down.alone, down.total, down.best));
        for (up, down) in up.effect.iter().zip(&down.effect) {
            let (up, down) = (up.predicted, down.predicted);
            for (up, down) in [(up.score, down.score), (up.low, down.high), (up.high, down.low)] {
                assert!((up + down).abs() < 1e-9, "{up} {down}");
            }
        }
    }
}

#[test]
fn noise_is_not_taken_for_knowledge() {
    let space = Space::new((0..4).map(|d| float(&format!("x{d}"))).collect());
    let tried = |(number, point): (usize, Point)| {
        let noise = scattered(3, number as u32, 5);
        let scores = noise.iter().enumerate().map(|(fold, score)| (fold as u32, *score)).collect();
        Tried { scores, point, state: TriedState::Finished }
    };
    let history = History::of(points(&space, 30, 2).enumerate().map(tried).collect());
    let insight = told(&search(space), &history);
    assert!(insight.noise > 0.5, "{}", insight.noise);
    for importance in &insight.parameters {
        assert!(importance.total.high - importance.total.low > 0.2, "{importance:?}");
    }
}

#[test]
fn the_same_scores_say_the_same_to_the_last_bit() {
    let space = Space::new(vec![float("a"), float("b"), values("kind", &json!(["x", "y"]))]);
    let history = history(&space, 25, |point| x(point, "a") * x(point, "b"));
    let search = search(space);
    let text = |search: &Search| format!("{:?}", told(search, &history));
    assert_eq!(text(&search), text(&search));
    let grid = Search { sampler: Sampler::Bayes, seed: 77, ..search.clone() };
    assert_eq!(text(&search), text(&grid), "how points were drawn changes nothing");
}

#[test]
fn integers_have_their_cells_and_logarithms_their_ends() {
    let weights = |domain: Domain| {
        let levels = Level::of(&domain, ALONE);
        assert!((levels.iter().map(|level| level.weight).sum::<f64>() - 1.0).abs() < 1e-12, "{domain:?}");
        for level in &levels {
            assert!(
                level.weight > 0.0 && domain.contains(&level.value) && (0.0..=1.0).contains(&level.u),
                "{domain:?} {level:?}"
            );
        }
        levels.into_iter().map(|level| (level.value, level.weight)).collect::<Vec<_>>()
    };
    assert_eq!(weights(Domain::Integer { low: 1, high: 4, step: 1, log: false })[2], (json!(3), 0.25));
    let logarithmic = weights(Domain::Integer { low: 1, high: 8, step: 1, log: true });
    assert!((logarithmic[0].1 - 3f64.ln() / 17f64.ln()).abs() < 1e-12, "{logarithmic:?}");
    let wide = weights(Domain::Integer { low: 1, high: 512, step: 1, log: true });
    assert!(wide.len() < ALONE && wide[0].0 == json!(1) && wide[wide.len() - 1].0 == json!(512), "{wide:?}");
    let rates = weights(Domain::Float { low: 1e-6, high: 1e-2, log: true });
    assert_eq!((rates.len(), &rates[0].0, &rates[16].0), (17, &json!(1e-6), &json!(1e-2)));
    assert_eq!(weights(Domain::Values((0..40).map(|n| json!(format!("v{n}"))).collect())).len(), 40);
}

#[test]
fn what_cannot_be_told_is_said() {
    let space = Space::new(vec![float("a"), float("b")]);
    let why = |space: &Space, history: &History| insight(&search(space.clone()), history).expect_err("cannot be told");
    let score = |point: &Point| x(point, "a");
    assert_eq!(why(&space, &History::default()), Unknown::Few { points: 0 });
    assert_eq!(why(&space, &history(&space, 1, score)), Unknown::Few { points: 1 });
    assert_eq!(why(&space, &history(&space, 20, |_| 0.5)), Unknown::Flat);
    assert_eq!(why(&space, &history(&space, 20, |_| f64::NAN)), Unknown::Few { points: 0 });
    assert_eq!(why(&Space::default(), &history(&space, 20, score)), Unknown::OnePoint);
    assert_eq!(why(&Space::new(vec![values("a", &json!([1]))]), &history(&space, 20, score)), Unknown::OnePoint);
    let again = vec![history(&space, 1, score).trials[0].clone(); 9];
    assert_eq!(why(&space, &History::of(again)), Unknown::Few { points: 1 });
}

#[test]
fn one_parameter_and_fifty_are_no_trouble() {
    let one = Space::new(vec![float("a")]);
    let insight = told(&search(one.clone()), &history(&one, 10, |point| x(point, "a")));
    assert!(insight.pairs.is_empty() && insight.interactions.high < 1e-3, "{insight:?}");
    assert!(insight.parameters[0].alone.low > 0.999, "{insight:?}");
    let wide = Space::new((0..50).map(|d| float(&format!("x{d}"))).collect());
    let insight = told(&search(wide.clone()), &history(&wide, 60, |point| x(point, "x7") + 0.5 * x(point, "x31")));
    assert_eq!([&insight.parameters[0], &insight.parameters[1]].map(|first| first.parameter.as_str()), ["x7", "x31"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever comes back, an answer goes out, of numbers.
    #[test]
    fn odd_scores_never_stop_it(
        scores in prop::collection::vec(prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.5), Just(1e300), Just(-1e300), -1.0..1.0f64,
        ], 0..20),
        parameters in 1usize..6,
    ) {
        let space = Space::new((0..parameters).map(|d| float(&format!("x{d}"))).collect());
        let tried = |(point, (number, score)): (Point, (usize, f64))| {
            Tried { point, scores: vec![((number % 3) as u32, score)], state: TriedState::Finished }
        };
        let pairs = points(&space, 20, 1).zip(scores.into_iter().enumerate()).map(tried).collect();
        if let Ok(insight) = insight(&search(space), &History::of(pairs)) {
            let shares = insight.parameters.iter().flat_map(|importance| [importance.alone, importance.total]);
            for share in shares.chain([insight.interactions]) {
                prop_assert!(0.0 <= share.low && share.low <= share.median && share.median <= share.high && share.high <= 1.0);
            }
            prop_assert!(!insight.known.is_nan() && !insight.noise.is_nan());
        }
    }
}
