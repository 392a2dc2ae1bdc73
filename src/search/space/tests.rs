//! Laws of every space, on spaces drawn at random; and single cases of what they cannot draw.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn free(name: &str, domain: Domain) -> Parameter {
    Parameter { name: name.to_owned(), domain, when: None }
}

fn when(name: &str, test: Test) -> Condition {
    Condition(vec![(name.to_owned(), test)])
}

fn domain() -> impl Strategy<Value = Domain> {
    let categories = (1usize..5).prop_map(|n| Domain::Values((0..n).map(|i| json!(format!("v{i}"))).collect()));
    let mixed = Just(Domain::Values(vec![json!(true), json!([1, 2]), json!(0.5), json!("x")]));
    let numbers = prop::collection::btree_set(-50i64..50, 1..6)
        .prop_map(|set| Domain::Values(set.into_iter().rev().map(|x| json!(x)).collect()));
    let linear =
        (-1e3..1e3f64, 1e-3..1e3f64).prop_map(|(low, width)| Domain::Float { low, high: low + width, log: false });
    let log = (1e-9..1.0f64, 1.1..1e6f64).prop_map(|(low, ratio)| Domain::Float { low, high: low * ratio, log: true });
    let integer = (-100i64..100, 1i64..40, 1i64..7).prop_map(|(low, width, step)| Domain::Integer {
        low,
        high: low + width,
        step,
        log: false,
    });
    let log_integer = (1i64..100, 1i64..2000, 1i64..9).prop_map(|(low, width, step)| Domain::Integer {
        low,
        high: low + width,
        step,
        log: true,
    });
    prop_oneof![categories, mixed, numbers, linear, log, integer, log_integer]
}

fn few() -> impl Strategy<Value = Domain> {
    domain().prop_map(|domain| match domain.levels() {
        Some(1..=8) => domain,
        _ => Domain::Integer { low: 3, high: 9, step: 2, log: true },
    })
}

/// A space of several parameters, in which one stands under a condition, another under a chain of two, and one is tied;
/// the conditions stand before what they ask for.
fn space_of<D: Strategy<Value = Domain>>(domain: fn() -> D) -> impl Strategy<Value = Space> {
    (prop::collection::vec(domain(), 1..4), domain(), domain(), 1i64..5).prop_map(|(domains, second, third, factor)| {
        let mut parameters = vec![
            Parameter {
                name: "third".into(),
                domain: third,
                when: Some(when("second", Test::Not(Box::new(Test::Equals(json!("v1")))))),
            },
            Parameter { name: "second".into(), domain: second, when: Some(when("layers", Test::Above(0.0))) },
            free("layers", Domain::Integer { low: 0, high: 3, step: 1, log: false }),
        ];
        parameters.extend(domains.into_iter().enumerate().map(|(index, domain)| free(&format!("p{index}"), domain)));
        let equals = Expression::parse(&format!("{factor} * layers + 1")).expect("a good expression");
        let tied = vec![Tied { name: "tied".into(), equals, when: None }];
        let constraints = vec![Expression::parse("layers != 2 or tied < 0").expect("a good expression")];
        Space::build(parameters, tied, constraints).expect("fits together")
    })
}

proptest! {
    #[test]
    fn points_lie_in_the_space(space in space_of(domain), seed in prop::collection::vec(0.0..1.0f64, 6)) {
        let point = space.point_at(&seed[..space.parameters().len()]);
        for parameter in space.parameters() {
            let active = parameter.when.as_ref().is_none_or(|when| when.holds(&point));
            prop_assert_eq!(point.get(&parameter.name).is_some(), active, "{} at {}", parameter.name, &point);
            if let Some(value) = point.get(&parameter.name) {
                prop_assert!(parameter.domain.contains(value), "{value} is not in {:?}", parameter.domain);
            }
        }
        let layers = point.get("layers").and_then(Value::as_i64).expect("always there");
        let tied = point.get("tied").and_then(Value::as_i64).expect("always there");
        let wanted = space.tied()[0].equals.value(&|name| point.get(name).cloned()).expect("a value").expect("a value");
        prop_assert_eq!(json!(tied), wanted);
        prop_assert_eq!(space.allows(&point), layers != 2);
        if layers == 0 {
            prop_assert!(point.get("second").is_none() && point.get("third").is_none());
        }
    }

    /// A point's coordinates lead back to it: exactly where there are levels, nearly on continuous scales.
    #[test]
    fn coordinates_lead_back(space in space_of(domain), seed in prop::collection::vec(0.0..1.0f64, 6)) {
        let u = &seed[..space.parameters().len()];
        let point = space.point_at(u);
        let back: Vec<Option<f64>> = space.coordinates(&point);
        let again = space.point_at(&back.iter().map(|u| u.unwrap_or(0.5)).collect::<Vec<_>>());
        for (index, parameter) in space.parameters().iter().enumerate() {
            let (Some(value), Some(other)) = (point.get(&parameter.name), again.get(&parameter.name)) else {
                prop_assert_eq!(point.get(&parameter.name), again.get(&parameter.name));
                continue;
            };
            let coordinate = back[index].expect("an active value has one");
            prop_assert!((0.0..=1.0).contains(&coordinate));
            let Domain::Float { low, high, .. } = &parameter.domain else {
                prop_assert_eq!(value, other);
                continue;
            };
            let (a, b) = (value.as_f64().expect("a number"), other.as_f64().expect("a number"));
            prop_assert!((a - b).abs() <= 1e-9 * (high - low) + 1e-12 * a.abs(), "{a} {b}");
            prop_assert!((coordinate - u[index]).abs() < 1e-6 || (a - low).abs() < 1e-9 * low.abs());
        }
    }

    /// Every level is reached, from the middle of its cell, in order; and cells fill the scale.
    #[test]
    fn levels_are_cells(domain in domain()) {
        let Some(levels) = domain.levels() else { return Ok(()) };
        let mut last = 0.0;
        for level in 0..levels {
            let value = domain.value(level).expect("a level");
            prop_assert_eq!(domain.level(&value), Some(level));
            let u = domain.coordinate(&value).expect("in the domain");
            prop_assert!(u > last && u < 1.0);
            last = u;
            prop_assert_eq!(domain.at(u), value);
        }
        prop_assert_eq!(domain.value(levels), None);
        prop_assert_eq!(domain.at(0.0), domain.value(0).expect("a level"));
        prop_assert_eq!(domain.at(1.0 - f64::EPSILON), domain.value(levels - 1).expect("a level"));
        if domain.is_ordered() {
            let mut positions: Vec<f64> =
                (0..levels).filter_map(|level| domain.position(&domain.value(level)?)).collect();
            positions.sort_by(f64::total_cmp);
            prop_assert_eq!(positions.len(), levels);
            prop_assert_eq!(positions[0], 0.0);
            prop_assert!(levels == 1 || (positions[levels - 1] - 1.0).abs() < 1e-12);
        } else {
            prop_assert_eq!(domain.position(&domain.at(0.0)), None);
        }
    }

    /// The walk from the first point meets every point of the space once.
    #[test]
    fn the_grid_is_complete_and_without_repeats(space in space_of(few), seed in prop::collection::vec(0.0..1.0f64, 6)) {
        let walked: Vec<Point> = std::iter::successors(Some(space.first_point()), |p| space.successor(p)).collect();
        let distinct: BTreeSet<String> = walked.iter().map(Point::to_string).collect();
        prop_assert_eq!(distinct.len(), walked.len());
        prop_assert!(walked.len() as u64 <= space.size().expect("finite"));
        let drawn = space.point_at(&seed[..space.parameters().len()]);
        prop_assert!(distinct.contains(&drawn.to_string()), "{drawn}");
    }
}

#[test]
fn values_are_equally_likely() {
    for domain in [
        Domain::Integer { low: 0, high: 5, step: 2, log: false },
        Domain::Integer { low: -3, high: 3, step: 1, log: false },
        Domain::Values(vec![json!(1), json!(2), json!(3)]),
    ] {
        let levels = domain.levels().expect("finite");
        let mut counts = vec![0; levels];
        for number in 0..levels * 1000 {
            let u = (number as f64 + 0.5) / (levels as f64 * 1000.0);
            counts[domain.level(&domain.at(u)).expect("in the domain")] += 1;
        }
        assert!(counts.iter().all(|count| *count == 1000), "{domain:?}: {counts:?}");
    }
}

/// The ends of ranges that fill all of i64 lead to no overflow.
#[test]
fn ranges_as_wide_as_numbers_go() {
    let domain = Domain::Integer { low: i64::MIN, high: i64::MAX, step: 1, log: false };
    assert!(domain.contains(&domain.at(0.3)));
    assert_eq!(domain.value(0), Some(json!(i64::MIN)));
    let space = Space::new(vec![free("a", domain.clone()), free("b", domain)]);
    assert_eq!(space.size(), None);
    let next = space.successor(&space.first_point()).expect("a second point");
    assert_eq!(next.get("b"), Some(&json!(i64::MIN + 1)));
    let log = Domain::Integer { low: 1, high: i64::MAX, step: 1, log: true };
    assert!(log.contains(&log.at(1.0 - f64::EPSILON)) && log.contains(&log.at(0.0)));
}

#[test]
fn one_is_one() {
    let domain = Domain::Values(vec![json!(1.0), json!(2)]);
    assert_eq!((domain.level(&json!(1)), domain.level(&json!(2.0))), (Some(0), Some(1)));
    let integers = Domain::Integer { low: 0, high: 4, step: 2, log: false };
    assert!(integers.contains(&json!(2.0)) && !integers.contains(&json!(2.5)) && !integers.contains(&json!(3)));
    assert!(!integers.contains(&json!("2")) && !integers.contains(&json!(6)));
}

#[test]
fn tied_values_follow_others_and_end_with_them() {
    let parse = |text: &str| Expression::parse(text).expect("a good expression");
    let tie = |name: &str, text: &str| Tied { name: name.into(), equals: parse(text), when: None };
    let space = Space::build(
        vec![
            free("kind", Domain::Values(vec![json!("a"), json!("b")])),
            Parameter {
                name: "width".into(),
                domain: Domain::Values(vec![json!(0), json!(8)]),
                when: Some(when("kind", Test::Equals(json!("b")))),
            },
        ],
        vec![tie("twice", "half * 4"), tie("half", "width / 2"), tie("same", "kind"), tie("inverse", "8 / width")],
        vec![],
    )
    .expect("fits together");
    let shown = |u: [f64; 2]| space.point_at(&u).to_string();
    assert_eq!(shown([0.9, 0.9]), r#"kind = "b", width = 8, twice = 16, half = 4, same = "b", inverse = 1"#);
    assert_eq!(shown([0.1, 0.9]), r#"kind = "a", same = "a""#);
    assert!(space.allows(&space.point_at(&[0.1, 0.9])));
    // what cannot be computed is not there, and the point is refused
    let zero = space.point_at(&[0.9, 0.1]);
    assert_eq!(zero.get("inverse"), None);
    assert_eq!(space.refusal(&zero, &|_| None).as_deref(), Some("inverse = 8 / width: divides 8 by zero"));
}
