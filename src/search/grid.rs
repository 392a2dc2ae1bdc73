//! Every combination, once.

use super::space::{Point, Space};

pub(super) fn propose(space: &Space, trial: u32) -> Option<Point> {
    space.grid_point(trial)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::search::space::{Domain, Parameter};

    #[test]
    fn every_combination_once_and_then_none() {
        let space = Space::new(vec![
            Parameter { name: "a".into(), domain: Domain::Values(vec![json!(1e-3), json!("x"), json!([1, 2])]) },
            Parameter { name: "b".into(), domain: Domain::Integer { low: 0, high: 5, step: 2, log: false } },
        ]);
        let points: Vec<String> = (0..).map_while(|trial| propose(&space, trial)).map(|p| p.to_string()).collect();
        assert_eq!(points.len(), 9);
        assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), 9);
        assert_eq!(points[0], "a = 0.001, b = 0");
        assert_eq!(points[1], "a = 0.001, b = 2");
        assert_eq!(points[8], "a = [1,2], b = 4");
    }

    #[test]
    fn an_empty_space_has_one_point() {
        assert!(propose(&Space::default(), 0).is_some());
        assert!(propose(&Space::default(), 1).is_none());
    }
}
