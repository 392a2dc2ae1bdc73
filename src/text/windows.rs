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
    use crate::spec::Spec;

    fn model(segment_len: usize, stride: usize, max_segments: usize, keep: Keep) -> Model {
        let base = Spec::parse("x", "data.path = \"a.csv\"", &[]).expect("a good file").config.model;
        Model { segment_len, stride, max_segments, keep, ..base }
    }

    proptest! {
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
