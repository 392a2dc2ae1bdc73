//! Every combination, once.

use super::{Candidates, Proposal};

/// Points refused in a row, after which the grid counts as complete: the walk must end.
const STEPS: u32 = 1_000_000;

/// The first point after the last trial's that may be: the grid is walked through in one direction.
pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let space = &candidates.search.space;
    let walked = candidates.history.drawn().skip(candidates.search.start.len());
    let mut next = walked.last().map_or_else(|| Some(space.first_point()), |tried| space.successor(&tried.point));
    for _ in 0..STEPS {
        let Some(point) = next else {
            return Proposal::Exhausted { why: "the grid is complete".to_owned() };
        };
        if candidates.admit(&point) {
            return Proposal::Point { point, why: "grid".to_owned() };
        }
        next = space.successor(&point);
    }
    Proposal::Exhausted { why: format!("the next {STEPS} points of the grid are all refused") }
}
