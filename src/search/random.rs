//! Independent uniform draws (on the scale of each parameter).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::space::{Point, Space};

pub(super) fn propose(space: &Space, seed: u64, trial: u32) -> Point {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(trial));
    space
        .parameters()
        .iter()
        .map(|parameter| (parameter.name.clone(), parameter.domain.at(rng.random::<f64>())))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::search::space::{Domain, Parameter};

    fn space(low: f64, width: f64, first: i64, count: i64, step: i64) -> Space {
        Space::new(vec![
            Parameter { name: "f".into(), domain: Domain::Float { low, high: low + width, log: false } },
            Parameter { name: "l".into(), domain: Domain::Float { low: 1e-6, high: 1e-1, log: true } },
            Parameter {
                name: "i".into(),
                domain: Domain::Integer { low: first, high: first + count, step, log: false },
            },
            Parameter { name: "j".into(), domain: Domain::Integer { low: 1, high: 64, step: 1, log: true } },
            Parameter { name: "c".into(), domain: Domain::Values(vec![json!("a"), json!("b")]) },
        ])
    }

    proptest! {
        #[test]
        fn points_lie_in_the_space_and_are_repeatable(
            seed: u64, trial in 0u32..1000, low in -5.0..5.0f64, width in 1e-6..10.0f64,
            first in -10i64..10, count in 1i64..20, step in 1i64..5,
        ) {
            let space = space(low, width, first, count, step);
            let point = propose(&space, seed, trial);
            prop_assert_eq!(&point, &propose(&space, seed, trial));
            let values: std::collections::BTreeMap<_, _> = point.iter().collect();
            let float = values[&"f".to_owned()].as_f64().expect("a number");
            prop_assert!((low..=low + width).contains(&float));
            let log = values[&"l".to_owned()].as_f64().expect("a number");
            prop_assert!((1e-6..=1e-1).contains(&log));
            let integer = values[&"i".to_owned()].as_i64().expect("an integer");
            prop_assert!((first..=first + count).contains(&integer) && (integer - first) % step == 0);
            let log_integer = values[&"j".to_owned()].as_i64().expect("an integer");
            prop_assert!((1..=64).contains(&log_integer));
        }
    }

    #[test]
    fn trials_differ() {
        let space = space(0.0, 1.0, 0, 10, 1);
        assert_ne!(propose(&space, 1, 0), propose(&space, 1, 1));
        assert_ne!(propose(&space, 1, 0), propose(&space, 2, 0));
    }
}
