//! Points that somebody asks for while a sweep runs.

use std::cell::RefCell;

use thiserror::Error;

use super::judge::completed;
use super::space::outside;
use super::survey::Verdict;
use super::{Spec, Trainer};
use crate::search::space::Point;

/// Why no trial can be made of the values that were given.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Unfit {
    /// Every value that cannot be, with what could.
    #[error("{}", .0.join("; "))]
    Values(Vec<String>),
    /// The values may be, but no point with them.
    #[error("no point with these values can be run: {0}")]
    Refused(String),
    /// A point with them was tried already.
    #[error("it was tried already: {point}")]
    Tried { point: Point },
}

impl Spec {
    /// The point with these values of free parameters. What they leave open is taken from `others` where it has a meaning,
    /// and else drawn: the same for the same `seed`. A point of which `is_tried` holds is none, as the same point has the
    /// same scores.
    pub fn point_with(
        &self,
        given: &Point,
        others: &Point,
        seed: u64,
        is_tried: &dyn Fn(&Point) -> bool,
    ) -> Result<Point, Unfit> {
        let space = &self.search.space;
        let wrong: Vec<String> = given.iter().filter_map(|(name, value)| outside(space, name, value)).collect();
        if !wrong.is_empty() {
            return Err(Unfit::Values(wrong));
        }
        let canonical = |point: &Point| -> Point {
            let value = |(name, value): (&String, _)| {
                let free = space.parameters().iter().find(|free| free.name == *name)?;
                Some((name.clone(), free.domain.canonical(value)?))
            };
            point.iter().filter_map(value).collect()
        };
        let given = canonical(given);
        let base = given.iter().fold(canonical(others), |base, (name, value)| base.with(name, value.clone()));
        let tried = RefCell::new(None);
        let verdict = |point: &Point| {
            if is_tried(point) {
                tried.borrow_mut().get_or_insert_with(|| point.clone());
                return Verdict::Constrained("it was tried already".to_owned());
            }
            self.verdict(point)
        };
        let found = completed(&self.search, &given, &base, seed, &verdict);
        found.map_err(|why| match tried.into_inner() {
            Some(point) => Unfit::Tried { point },
            None => Unfit::Refused(why),
        })
    }

    pub(super) fn verdict(&self, point: &Point) -> Verdict {
        match &self.trainer {
            Trainer::BuiltIn(trainer) => trainer.verdict(&self.search, point),
            // what its parameters mean only the program knows
            Trainer::Program(_) => {
                self.search.space.refusal(point, &|_| None).map_or(Verdict::Good, Verdict::Constrained)
            }
        }
    }
}
