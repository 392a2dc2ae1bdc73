//! What a model with its windows sees of a corpus.

use std::collections::BTreeSet;

use serde::Serialize;

use super::corpus::Corpus;
use super::profile::{Profile, Quantiles};
use crate::spec::{Model, Segmentation};

/// What the documents are like that are not held out, and what the windows hold of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    pub documents: usize,
    /// Documents that are held out, and not among them.
    pub held_out: usize,
    /// Documents of each class.
    pub classes: Vec<(String, usize)>,
    pub multi_label: bool,
    pub groups: Option<usize>,
    pub tokens: usize,
    pub vocabulary: usize,
    pub tokens_per_document: Quantiles,
    pub tokens_per_character: f64,
    /// Documents by their tokens; what a window holds is the end of a bin.
    pub histogram: Vec<Bin>,
    pub sentences_per_document: Quantiles,
    pub paragraphs_per_document: Quantiles,
    /// Share of the sentences, or paragraphs, that are longer than a window and therefore cut; only where windows hold
    /// whole ones.
    pub cut_share: Option<f64>,
    /// Documents of fewer than [`SHORT`] tokens, and the id of one.
    pub short_documents: usize,
    pub short_example: Option<String>,
    /// Windows of all documents.
    pub segments: usize,
    pub segments_per_document: Quantiles,
    pub truncated_documents: usize,
    /// Share of all tokens that no window holds.
    pub truncated_share: f64,
    /// Share of all tokens that are unknown.
    pub unknown_share: f64,
    #[serde(flatten)]
    pub profile: Profile,
}

/// Documents of `from` to `to` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    pub from: usize,
    pub to: usize,
    pub documents: usize,
}

/// Fewer tokens than this are hardly a text.
pub const SHORT: usize = 10;

impl Corpus {
    /// What a model with these windows sees of the documents.
    pub fn statistics(&self, model: &Model) -> Statistics {
        let capacity = model.segment_len - 2;
        let rest: Vec<usize> = self.rest().into_iter().map(|document| document as usize).collect();
        let counts: Vec<usize> = rest.iter().map(|document| self.token_count(*document)).collect();
        let total: usize = counts.iter().sum();
        let mut seen = 0;
        let mut truncated = 0;
        let [mut segments, mut sentences, mut paragraphs] = [const { Vec::new() }; 3];
        let [mut units, mut cut] = [0; 2];
        for (document, count) in rest.iter().copied().zip(&counts) {
            let windows = self.windows(document, model);
            let mut end = 0;
            let mut covered = 0;
            for window in &windows {
                covered += window.end - window.start.max(end).min(window.end);
                end = window.end;
            }
            seen += covered;
            segments.push(windows.len());
            truncated += usize::from(covered < *count);
            sentences.push(self.breaks(document, Segmentation::Sentence).len() + 1);
            paragraphs.push(self.breaks(document, Segmentation::Paragraph).len() + 1);
            let mut begin = 0;
            for end in self.breaks(document, model.segmentation).into_iter().chain([*count]) {
                units += 1;
                cut += usize::from(end - begin > capacity);
                begin = end;
            }
        }
        let mut per_class = vec![0; self.classes().len()];
        for label in rest.iter().flat_map(|document| self.labels(*document)) {
            per_class[*label as usize] += 1;
        }
        let short = |count: &usize| *count < SHORT;
        let profile = self.profile().clone();
        let group_of = |groups: &[u32]| rest.iter().map(|document| groups[*document]).collect::<BTreeSet<_>>();
        Statistics {
            documents: rest.len(),
            held_out: self.holdout().len(),
            classes: self.classes().iter().cloned().zip(per_class).collect(),
            multi_label: self.is_multi_label(),
            groups: self.groups().map(|groups| group_of(groups).len()),
            tokens: total,
            vocabulary: self.vocabulary(),
            tokens_per_document: Quantiles::of(counts.clone()),
            tokens_per_character: total as f64 / profile.characters.max(1) as f64,
            histogram: histogram(&counts, capacity),
            sentences_per_document: Quantiles::of(sentences),
            paragraphs_per_document: Quantiles::of(paragraphs),
            cut_share: (model.segmentation != Segmentation::Window).then(|| f64::from(cut as u32) / units as f64),
            short_documents: counts.iter().filter(|count| short(count)).count(),
            short_example: counts.iter().position(short).map(|place| self.id(rest[place]).to_owned()),
            segments: segments.iter().sum(),
            segments_per_document: Quantiles::of(segments),
            truncated_documents: truncated,
            truncated_share: 1.0 - seen as f64 / total.max(1) as f64,
            unknown_share: profile.unknown as f64 / total.max(1) as f64,
            profile,
        }
    }
}

/// Bins at most, unless one a doubling are more.
const BINS: usize = 14;

/// Counts in equal parts of the doublings and halvings of `capacity`, which is the end of a bin, from the first to the
/// last with documents.
fn histogram(counts: &[usize], capacity: usize) -> Vec<Bin> {
    let fine = [4, 2].into_iter().map(|parts| bins(counts, capacity, parts)).find(|bins| bins.len() <= BINS);
    fine.unwrap_or_else(|| bins(counts, capacity, 1))
}

fn bins(counts: &[usize], capacity: usize, parts: usize) -> Vec<Bin> {
    let (Some(shortest), Some(longest)) = (counts.iter().min(), counts.iter().max()) else { return Vec::new() };
    let halvings = (0..).take_while(|halvings| capacity >> halvings > 0).map(|halvings| capacity >> halvings);
    let mut doublings: Vec<usize> = halvings.chain([0]).collect();
    doublings.reverse();
    while doublings.last().is_some_and(|last| last < longest) {
        doublings.extend(doublings.last().map(|last| 2 * last));
    }
    let cut = |pair: &[usize]| {
        let (low, high) = (pair[0], pair[1]);
        (1..=parts).map(move |part| low + (high - low) * part / parts)
    };
    let mut ends: Vec<usize> = doublings.windows(2).flat_map(cut).collect();
    ends.dedup();
    let begins = [0].into_iter().chain(ends.iter().copied());
    let bin = |(before, to): (usize, &usize)| {
        let documents = counts.iter().filter(|count| before < **count && *count <= to).count();
        Bin { from: before + 1, to: *to, documents }
    };
    begins.zip(&ends).map(bin).filter(|bin| bin.to >= *shortest && bin.from <= *longest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_document_is_in_one_bin(counts in prop::collection::vec(1usize..2_000, 1..50), capacity in 1usize..300) {
            let bins = histogram(&counts, capacity);
            prop_assert_eq!(bins.iter().map(|bin| bin.documents).sum::<usize>(), counts.len());
            prop_assert!(bins.windows(2).all(|pair| pair[0].to + 1 == pair[1].from));
            prop_assert!(bins.iter().all(|bin| bin.from <= bin.to));
            // a window's length is an edge
            prop_assert!(bins.iter().all(|bin| bin.from > capacity || bin.to <= capacity));
        }
    }

    #[test]
    fn bins_double_and_are_parted_while_they_are_few() {
        let shown = |counts: &[usize]| -> Vec<_> {
            histogram(counts, 126).iter().map(|bin| (bin.from, bin.to, bin.documents)).collect()
        };
        assert_eq!(
            shown(&[100, 126, 127, 127, 300]),
            [(95, 110, 1), (111, 126, 1), (127, 157, 2), (158, 189, 0), (190, 220, 0), (221, 252, 0), (253, 315, 1)]
        );
        let wide: Vec<_> = shown(&[1, 126, 127, 9_000]).iter().map(|bin| bin.1).collect();
        assert_eq!(wide, [1, 3, 7, 15, 31, 63, 126, 252, 504, 1_008, 2_016, 4_032, 8_064, 16_128]);
    }
}
