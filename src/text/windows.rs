//! Sliding windows over a document's tokens.

use std::ops::Range;

use crate::spec::{Keep, Model};

/// The windows of a document of `tokens` content tokens (without special ones), as ranges of content tokens.
///
/// A window holds `segment_len - 2` of them: `[CLS]` and `[SEP]` are added to each. Starts are `stride` apart; the
/// last window is the first that reaches the end, so that none is contained in its predecessor. An empty document
/// has one empty window. Of more than `max_segments`, `keep` chooses.
pub fn windows(tokens: usize, model: &Model) -> Vec<Range<usize>> {
    let capacity = model.segment_len - 2;
    let count = 1 + tokens.saturating_sub(capacity).div_ceil(model.stride);
    let kept = kept(count, model.max_segments, model.keep);
    kept.into_iter().map(|index| index * model.stride).map(|start| start..(start + capacity).min(tokens)).collect()
}

/// The windows of a document whose units (sentences or paragraphs) begin at 0 and at `breaks`: each holds whole units, as
/// many as fit.
///
/// The next window begins where the last one ended or before, at the first unit that begins `stride` or more after the
/// last window's own beginning and leaves room for the unit that comes next; so windows overlap by whole units, by no
/// more than `segment_len - 2 - stride` tokens. A unit that is longer than a window is cut by sliding windows, the last
/// of which goes on with whole units. No token is skipped, and no window is contained in another.
pub fn unit_windows(tokens: usize, breaks: &[usize], model: &Model) -> Vec<Range<usize>> {
    let capacity = model.segment_len - 2;
    // the first break behind a token
    let after = |token: usize| breaks.get(breaks.partition_point(|at| *at <= token)).copied().unwrap_or(tokens);
    // the last break at a token or before, the document's end included
    let before = |token: usize| {
        if tokens <= token {
            tokens
        } else {
            breaks[..breaks.partition_point(|at| *at <= token)].last().copied().unwrap_or(0)
        }
    };
    let mut all = Vec::new();
    let mut start = 0;
    loop {
        let limit = start + capacity;
        let whole = before(limit);
        let end = if whole > start { whole } else { limit.min(tokens) };
        all.push(start..end);
        if end == tokens {
            break;
        }
        let next = after(end) - end;
        start = if whole <= start {
            // inside a unit that is longer than a window
            start + model.stride
        } else if next > capacity {
            end
        } else {
            // `after` looks behind its token, and the unit at this one is meant too
            after((start + model.stride).max(end + next - capacity) - 1).min(end)
        };
    }
    kept(all.len(), model.max_segments, model.keep).into_iter().map(|index| all[index].clone()).collect()
}

fn kept(count: usize, most: usize, keep: Keep) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    match keep {
        Keep::Head => (0..most).collect(),
        Keep::Tail => (count - most..count).collect(),
        Keep::Headtail => {
            let head = most.div_ceil(2);
            (0..head).chain(count - (most - head)..count).collect()
        }
        Keep::Even if most == 1 => vec![0],
        // evenly spread, both ends included, halves rounded up
        Keep::Even => (0..most).map(|i| (i * (count - 1) + (most - 1) / 2) / (most - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::Config;

    fn model(segment_len: usize, stride: usize, max_segments: usize, keep: Keep) -> Model {
        let base = Config::parse("data.path = \"a.csv\"").expect("a good file").model;
        Model { segment_len, stride, max_segments, keep, ..base }
    }

    /// A document of units of these lengths, and where they begin.
    fn units() -> impl Strategy<Value = (usize, Vec<usize>)> {
        prop::collection::vec(1usize..60, 1..30).prop_map(|lengths| {
            let ends: Vec<usize> = lengths
                .iter()
                .scan(0, |end, length| {
                    *end += length;
                    Some(*end)
                })
                .collect();
            (ends[ends.len() - 1], ends[..ends.len() - 1].to_vec())
        })
    }

    proptest! {
        #[test]
        fn whole_units_stay_whole((tokens, breaks) in units(), capacity in 1usize..50, step in 1usize..50) {
            let model = model(capacity + 2, step.min(capacity), usize::MAX, Keep::Head);
            let windows = unit_windows(tokens, &breaks, &model);
            prop_assert_eq!(windows[0].start, 0);
            prop_assert_eq!(windows[windows.len() - 1].end, tokens);
            prop_assert!(windows.iter().all(|window| window.len() <= capacity && !window.is_empty()));
            for pair in windows.windows(2) {
                prop_assert!(pair[0].start < pair[1].start && pair[1].start <= pair[0].end && pair[0].end < pair[1].end);
                prop_assert!(pair[0].end - pair[1].start <= capacity - model.stride);
            }
            let edges: Vec<usize> = [0].into_iter().chain(breaks).chain([tokens]).collect();
            for unit in edges.windows(2).filter(|unit| unit[1] - unit[0] <= capacity) {
                prop_assert!(windows.iter().any(|window| window.start <= unit[0] && unit[1] <= window.end), "{:?}", unit);
            }
            // a window is cut elsewhere only inside a unit that is longer than itself
            let inside_long = |at: usize| edges.windows(2).any(|u| u[0] < at && at < u[1] && u[1] - u[0] > capacity);
            for window in &windows {
                prop_assert!(edges.contains(&window.start) || inside_long(window.start), "{:?}", window);
                prop_assert!(edges.contains(&window.end) || inside_long(window.end), "{:?}", window);
            }
            // as many as fit
            for pair in windows.windows(2).filter(|pair| edges.contains(&pair[0].end)) {
                let next = edges[edges.partition_point(|at| *at <= pair[0].end)];
                prop_assert!(next - pair[0].start > capacity, "{:?}", pair);
            }
        }

        #[test]
        fn one_long_unit_is_cut_as_a_document_is(tokens in 1usize..500, capacity in 1usize..40, step in 1usize..40) {
            let model = model(capacity + 2, step.min(capacity), 7, Keep::Headtail);
            prop_assert_eq!(unit_windows(tokens, &[], &model), windows(tokens, &model));
        }

        #[test]
        fn every_token_is_covered_and_no_window_is_contained(tokens in 0usize..500, capacity in 1usize..40, step in 1usize..40) {
            let windows = windows(tokens, &model(capacity + 2, step.min(capacity), usize::MAX, Keep::Head));
            prop_assert_eq!(windows[0].start, 0);
            prop_assert_eq!(windows[windows.len() - 1].end, tokens);
            for pair in windows.windows(2) {
                prop_assert!(pair[1].start <= pair[0].end && pair[0].end < pair[1].end);
            }
        }

        #[test]
        fn as_many_as_allowed_are_kept(tokens in 0usize..500, most in 1usize..20) {
            for keep in [Keep::Head, Keep::Tail, Keep::Headtail, Keep::Even] {
                let all = windows(tokens, &model(12, 7, usize::MAX, keep)).len();
                let some = windows(tokens, &model(12, 7, most, keep));
                prop_assert_eq!(some.len(), all.min(most));
                prop_assert!(some.windows(2).all(|pair| pair[0].start < pair[1].start));
            }
        }
    }

    #[test]
    fn units_fill_windows_and_overlap_by_whole_ones() {
        let shown = |breaks: &[usize], stride| -> Vec<(usize, usize)> {
            let windows = unit_windows(30, breaks, &model(12, stride, 32, Keep::Head));
            windows.iter().map(|window| (window.start, window.end)).collect()
        };
        assert_eq!(shown(&[4, 7, 11, 14, 20], 10), [(0, 7), (7, 14), (14, 20), (20, 30)]);
        assert_eq!(shown(&[4, 7, 11, 14, 20], 4), [(0, 7), (4, 14), (11, 20), (20, 30)]);
        // the unit from 3 to 25 is longer than a window; its last piece goes on with what follows
        assert_eq!(shown(&[3, 25, 27], 9), [(0, 3), (3, 13), (12, 22), (21, 30)]);
        assert_eq!(unit_windows(0, &[], &model(12, 9, 32, Keep::Head)), windows(0, &model(12, 9, 32, Keep::Head)));
    }

    #[test]
    fn policies_keep_what_they_say() {
        let starts = |keep, most| -> Vec<usize> {
            windows(100, &model(12, 10, most, keep)).iter().map(|w| w.start / 10).collect()
        };
        assert_eq!(starts(Keep::Head, 3), [0, 1, 2]);
        assert_eq!(starts(Keep::Tail, 3), [7, 8, 9]);
        assert_eq!(starts(Keep::Headtail, 3), [0, 1, 9]);
        assert_eq!(starts(Keep::Even, 3), [0, 5, 9]);
        assert_eq!(starts(Keep::Even, 1), [0]);
    }
}
