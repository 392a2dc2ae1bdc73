//! Every combination, once.

use super::{Candidates, Proposal};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let space = &candidates.search.space;
    let started = candidates.search.start.len();
    let last = candidates.history.trials.get(started..).and_then(<[_]>::last);
    let mut next = last.map_or_else(|| Some(space.first_point()), |tried| space.successor(&tried.point));
    while let Some(point) = next {
        if candidates.admit(&point) {
            return Proposal::Point { point, why: "grid".to_owned() };
        }
        next = space.successor(&point);
    }
    Proposal::Exhausted { why: "the grid is complete".to_owned() }
}
