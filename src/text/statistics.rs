//! What a model with its windows sees of a corpus.

use serde::Serialize;

use super::corpus::Corpus;
use super::profile::{Profile, Quantiles};
use crate::spec::{Model, Segmentation};

/// What the documents are like, and what the windows hold of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    pub documents: usize,
    /// Documents of each class.
    pub classes: Vec<(String, usize)>,
    pub multi_label: bool,
    pub groups: Option<usize>,
    pub tokens: usize,
    pub vocabulary: usize,
    pub tokens_per_document: Quantiles,
    pub tokens_per_character: f64,
    /// Documents by their tokens, in doublings of what a window holds.
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
        let counts: Vec<usize> = (0..self.documents()).map(|document| self.token_count(document)).collect();
        let total: usize = counts.iter().sum();
        let mut seen = 0;
        let mut truncated = 0;
        let [mut segments, mut sentences, mut paragraphs] = [const { Vec::new() }; 3];
        let [mut units, mut cut] = [0; 2];
        for (document, count) in counts.iter().enumerate() {
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
        for label in (0..self.documents()).flat_map(|document| self.labels(document)) {
            per_class[*label as usize] += 1;
        }
        let short = |count: &usize| *count < SHORT;
        let profile = self.profile().clone();
        Statistics {
            documents: self.documents(),
            classes: self.classes().iter().cloned().zip(per_class).collect(),
            multi_label: self.is_multi_label(),
            groups: self.groups().map(|groups| groups.iter().max().map_or(0, |last| *last as usize + 1)),
            tokens: total,
            vocabulary: self.vocabulary(),
            tokens_per_document: Quantiles::of(counts.clone()),
            tokens_per_character: total as f64 / profile.characters.max(1) as f64,
            histogram: histogram(&counts, capacity),
            sentences_per_document: Quantiles::of(sentences),
            paragraphs_per_document: Quantiles::of(paragraphs),
            cut_share: (model.segmentation != Segmentation::Window).then(|| f64::from(cut as u32) / units as f64),
            short_documents: counts.iter().filter(|count| short(count)).count(),
            short_example: counts.iter().position(|count| short(&count)).map(|document| self.id(document).to_owned()),
            segments: segments.iter().sum(),
            segments_per_document: Quantiles::of(segments),
            truncated_documents: truncated,
            truncated_share: 1.0 - seen as f64 / total.max(1) as f64,
            unknown_share: profile.unknown as f64 / total.max(1) as f64,
            profile,
        }
    }
}

/// Counts in doublings and halvings of `capacity`, which is the end of a bin, from the first to the last with documents.
fn histogram(counts: &[usize], capacity: usize) -> Vec<Bin> {
    let (Some(shortest), Some(longest)) = (counts.iter().min(), counts.iter().max()) else { return Vec::new() };
    let mut to = capacity;
    while to / 2 >= *shortest && to > 1 {
        to /= 2;
    }
    // halving and doubling would lose what does not divide
    let mut doublings = (capacity / to).ilog2();
    let mut bins = Vec::new();
    let mut from = to / 2 + 1;
    loop {
        let documents = counts.iter().filter(|count| (from..=to).contains(*count)).count();
        if documents > 0 || !bins.is_empty() {
            bins.push(Bin { from, to, documents });
        }
        if to >= *longest {
            return bins;
        }
        from = to + 1;
        to = if doublings > 0 {
            doublings -= 1;
            capacity >> doublings
        } else {
            2 * to
        };
    }
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
    fn bins_double() {
        let bins = histogram(&[30, 126, 127, 900], 126);
        let shown: Vec<_> = bins.iter().map(|bin| (bin.from, bin.to, bin.documents)).collect();
        assert_eq!(shown, [(16, 31, 1), (32, 63, 0), (64, 126, 1), (127, 252, 1), (253, 504, 0), (505, 1008, 1)]);
    }
}
