//! Laws of the samplers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::space::{Domain, Expression, Parameter, Space};
use super::*;
use crate::spec::{Budget, Direction, Prune, Race, Stop};

pub(super) fn search(sampler: Sampler, space: Space) -> Search {
    Search {
        sampler,
        objective: "score".into(),
        direction: Direction::Maximize,
        budget: Budget::default(),
        seed: 1,
        space,
        start: Vec::new(),
        warm_start: Vec::new(),
        race: Race::Off,
        prune: Prune::Off,
        stop: Stop::Budget,
    }
}

fn free(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.to_owned(), domain, when: None }
}

fn values(name: &str, count: i64) -> Parameter {
    free(name, Domain::Values((0..count).map(|x| json!(x)).collect()))
}

fn float(name: &str) -> Parameter {
    free(name, Domain::Float { low: 0.0, high: 1.0, log: false })
}

fn open(point: Point) -> Tried {
    Tried { point, scores: Vec::new(), state: TriedState::Open }
}

/// Proposals until there is none, `most` at most, and why there is none.
fn all(search: &Search, most: usize, accepts: &dyn Fn(&Point) -> bool) -> (Vec<Point>, Option<String>) {
    let mut history = History::default();
    while history.trials.len() < most {
        match propose(search, &history, accepts) {
            Proposal::Point { point, .. } => history.trials.push(open(point)),
            Proposal::Exhausted { why } => return (points(history), Some(why)),
        }
    }
    (points(history), None)
}

fn points(history: History) -> Vec<Point> {
    history.trials.into_iter().map(|tried| tried.point).collect()
}

fn shown(points: &[Point]) -> Vec<String> {
    points.iter().map(Point::to_string).collect()
}

const FINITE: [Sampler; 3] = [Sampler::Grid, Sampler::Random, Sampler::Sobol];

proptest! {
    /// Whatever is refused, each of the other points is proposed once, and then none.
    #[test]
    fn finite_spaces_are_exhausted_without_repeats(
        sizes in (1i64..6, 1i64..6, 1i64..4), modulus in 1i64..5, seed: u64, sampler in 0usize..3,
    ) {
        let constraint = Expression::parse(&format!("(a + b) % {modulus} == 0")).expect("a good expression");
        let parameters = vec![values("a", sizes.0), values("b", sizes.1), values("c", sizes.2)];
        let space = Space::build(parameters, vec![], vec![constraint]).expect("fits together");
        let search = Search { seed, ..search(FINITE[sampler], space) };
        let accepts = |point: &Point| point.get("c") != Some(&json!(1));
        let (points, why) = all(&search, 1000, &accepts);
        let mut wanted = BTreeSet::new();
        for (a, b, c) in (0..sizes.0).flat_map(|a| (0..sizes.1).flat_map(move |b| (0..sizes.2).map(move |c| (a, b, c)))) {
            if (a + b) % modulus == 0 && c != 1 {
                wanted.insert(format!("a = {a}, b = {b}, c = {c}"));
            }
        }
        prop_assert_eq!(points.len(), wanted.len());
        prop_assert_eq!(shown(&points).into_iter().collect::<BTreeSet<_>>(), wanted);
        prop_assert!(why.is_some());
    }

    /// A proposal depends on the seed and on what was tried, and on nothing else.
    #[test]
    fn the_same_seed_gives_the_same_points(seed: u64, sampler in 1usize..4) {
        let sampler = [Sampler::Grid, Sampler::Random, Sampler::Sobol, Sampler::Bayes][sampler];
        let space = Space::new(vec![float("x"), values("c", 3), free("n", Domain::Integer { low: 1, high: 512, step: 1, log: true })]);
        let search = Search { seed, ..search(sampler, space) };
        let (points, _) = all(&search, 6, &|_| true);
        prop_assert_eq!(&all(&search, 6, &|_| true).0, &points);
        let history = History::of(points[..5].iter().cloned().map(open).collect());
        let Proposal::Point { point, .. } = propose(&search, &history, &|_| true) else { panic!("there are more") };
        prop_assert_eq!(&point, &points[5]);
        let other = Search { seed: seed ^ 1, ..search };
        prop_assert_ne!(&all(&other, 6, &|_| true).0, &points);
    }
}

#[test]
fn the_grid_goes_in_the_order_of_the_file() {
    let space = Space::new(vec![
        free("a", Domain::Values(vec![json!(1e-3), json!("x"), json!([1, 2])])),
        free("b", Domain::Integer { low: 0, high: 5, step: 2, log: false }),
    ]);
    let (points, why) = all(&search(Sampler::Grid, space), 100, &|_| true);
    let shown = shown(&points);
    assert_eq!(shown.len(), 9);
    assert_eq!((&*shown[0], &*shown[1], &*shown[8]), ("a = 0.001, b = 0", "a = 0.001, b = 2", "a = [1,2], b = 4"));
    assert_eq!(why.as_deref(), Some("the grid is complete"));
}

#[test]
fn an_empty_space_has_one_point() {
    for sampler in FINITE {
        assert_eq!(all(&search(sampler, Space::default()), 10, &|_| true).0.len(), 1, "{sampler:?}");
    }
}

#[test]
fn starts_come_first_and_are_not_repeated() {
    let start = |a: i64| Point::default().with("a", json!(a));
    let space = Space::new(vec![values("a", 4), values("b", 2)]);
    for sampler in FINITE {
        let mut search = search(sampler, space.clone());
        search.start = vec![start(3).with("b", json!(1)), start(2), start(2), start(2)];
        let (points, _) = all(&search, 100, &|_| true);
        let shown = shown(&points);
        assert_eq!(shown[0], "a = 3, b = 1", "{sampler:?}");
        // what a start leaves open is drawn, as long as there is something new; then the sampler goes on
        assert!(shown[1].starts_with("a = 2") && shown[2].starts_with("a = 2") && shown[1] != shown[2], "{shown:?}");
        assert_eq!(shown.iter().collect::<BTreeSet<_>>().len(), 8, "{sampler:?}: {shown:?}");
        assert_eq!(shown.len(), 8);
    }
}

/// Of the first 2^m points, every half, quarter, … of every axis holds the same number: that is what Sobol is for.
#[test]
fn sobol_points_are_spread_evenly_in_every_dimension() {
    for (seed, dimensions) in [(1, 3), (u64::MAX, 20), (7, 300)] {
        let points: Vec<Vec<f64>> = (0..64).map(|index| scattered(seed, index, dimensions)).collect();
        for dimension in 0..dimensions {
            let cells: BTreeSet<usize> = points.iter().map(|u| (u[dimension] * 64.0) as usize).collect();
            assert_eq!(cells.len(), 64, "dimension {dimension} of {dimensions}");
        }
        // dimensions beyond the table's 256 are no copies of others
        let axis = |dimension: usize| points.iter().map(|u| u[dimension].to_bits()).collect::<Vec<_>>();
        assert_eq!((0..dimensions).map(axis).collect::<BTreeSet<_>>().len(), dimensions);
    }
    assert!(scattered(1, 1 << 16, 2) != scattered(1, 0, 2), "beyond the length of the sequence it goes on");
    assert!(scattered(1, u32::MAX, 2).iter().all(|u| (0.0..1.0).contains(u)));
}

/// A space of which one point in a thousand is allowed is still drawn from; one of which nothing is, is left.
#[test]
fn what_is_rare_is_found_and_what_is_not_there_is_given_up() {
    for sampler in [Sampler::Random, Sampler::Sobol] {
        let search = search(sampler, Space::new(vec![float("x"), float("y")]));
        let rare = |point: &Point| point.get("x").and_then(serde_json::Value::as_f64).is_some_and(|x| x < 1e-3);
        assert_eq!(all(&search, 5, &rare).0.len(), 5, "{sampler:?}");
        let (points, why) = all(&search, 5, &|_| false);
        assert!(points.is_empty());
        assert_eq!(why.as_deref(), Some("10000 draws in a row were refused, or had been tried"));
    }
}
