//! What the texts of a corpus are like, found while they are at hand.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::encode::Tokens;
use super::load::{DocumentLabels, Documents};
use super::normalize::traditional;
use crate::spec::Normalization;

/// Facts about normalised texts that no window changes; of the documents that are not held out, but for the copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    pub characters: u64,
    pub characters_per_document: Quantiles,
    /// Chinese characters.
    pub han: u64,
    /// Characters that the normalisation `simplified` would change.
    pub traditional: u64,
    /// Unknown tokens.
    pub unknown: u64,
    /// What became unknown tokens most often.
    pub frequent_unknown: Vec<(String, u64)>,
    /// Documents that each step of the normalisation changed.
    pub normalized: Vec<(Normalization, usize)>,
    pub copies: Copies,
    /// Name of the token between paragraphs.
    pub paragraph_marker: Option<String>,
}

/// A distribution over documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    pub min: usize,
    pub median: usize,
    pub p90: usize,
    pub p99: usize,
    pub max: usize,
}

/// Documents with the text of an earlier one, held out or not; the examples are ids, the earlier first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    pub documents: usize,
    /// Those of another group than the earlier one, or without groups: they can be validated with what was trained on.
    pub apart: usize,
    pub apart_example: Option<(String, String)>,
    /// Those with other labels than the earlier one.
    pub contradicting: usize,
    pub contradicting_example: Option<(String, String)>,
}

/// Unknown texts that are listed.
const LISTED: usize = 10;

impl Profile {
    pub(super) fn new(
        documents: &Documents,
        holdout: &[u32],
        tokens: &[Tokens],
        steps: &[Normalization],
        marker: Option<String>,
    ) -> Self {
        let is_held = |document: u32| holdout.binary_search(&document).is_ok();
        let rest = || (0..documents.texts.len() as u32).filter(|document| !is_held(*document));
        let texts: Vec<&str> = rest().map(|document| &*documents.texts[document as usize]).collect();
        let lengths: Vec<usize> = texts.par_iter().map(|text| text.chars().count()).collect();
        let mut unknown = BTreeMap::<&str, u64>::new();
        for (text, document) in texts.iter().zip(rest()) {
            for (start, end) in &tokens[document as usize].unknown {
                *unknown.entry(&text[*start..*end]).or_default() += 1;
            }
        }
        let mut frequent: Vec<(&str, u64)> = unknown.iter().map(|(text, count)| (*text, *count)).collect();
        frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let changed = documents.changed.iter().map(|of| of.iter().filter(|document| !is_held(**document)).count());
        let simplified = steps.contains(&Normalization::Simplified);
        Self {
            characters: lengths.iter().map(|length| *length as u64).sum(),
            characters_per_document: Quantiles::of(lengths),
            han: texts.par_iter().map(|text| text.chars().filter(|c| is_han(*c)).count() as u64).sum(),
            traditional: if simplified { 0 } else { texts.par_iter().map(|text| traditional(text) as u64).sum() },
            unknown: unknown.values().sum(),
            frequent_unknown: frequent.into_iter().take(LISTED).map(|(text, count)| (text.to_owned(), count)).collect(),
            normalized: steps.iter().copied().zip(changed).collect(),
            copies: Copies::of(documents),
            paragraph_marker: marker,
        }
    }
}

impl Quantiles {
    pub(super) fn of(mut counts: Vec<usize>) -> Self {
        counts.sort_unstable();
        let at = |share: f64| {
            counts.get((counts.len().saturating_sub(1) as f64 * share).round() as usize).copied().unwrap_or(0)
        };
        Self { min: at(0.0), median: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1.0) }
    }
}

impl Copies {
    fn of(documents: &Documents) -> Self {
        let mut copies = Self::default();
        let mut first = HashMap::new();
        for (document, text) in documents.texts.iter().enumerate() {
            let Some(earlier) = first.insert(text, document) else { continue };
            // the first of all is the one that is named
            first.insert(text, earlier);
            let pair = || Some((documents.ids[earlier].clone(), documents.ids[document].clone()));
            copies.documents += 1;
            if documents.groups.as_ref().is_none_or(|groups| groups[earlier] != groups[document]) {
                copies.apart += 1;
                copies.apart_example = copies.apart_example.or_else(pair);
            }
            let differ = match &documents.labels {
                DocumentLabels::Single(labels) => labels[earlier] != labels[document],
                DocumentLabels::Multi(labels) => labels[earlier] != labels[document],
            };
            if differ {
                copies.contradicting += 1;
                copies.contradicting_example = copies.contradicting_example.or_else(pair);
            }
        }
        copies
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '〇' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;
    use crate::text::{Corpus, prepare};

    #[test]
    fn a_small_corpus_is_told_in_full() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = [
            "id,text,label,who",
            "1,臺灣的頭髮 頭髮,a,x",
            "2,臺灣的頭髮  頭髮,a,x",
            "3,臺灣的頭髮 頭髮,b,y",
            "4,ＡＢ ab ab 𠀀,b,y",
            "5,ab ab,a,y",
        ];
        std::fs::write(directory.path().join("a.csv"), rows.join("\n")).expect("written");
        let keys = "[data]\npath = \"a.csv\"\nid = \"id\"\ngroup = \"who\"\n[text]\nnormalize = [\"nfkc\", \"control\", \"whitespace\"]";
        let config = Config::parse(keys).expect("a good file");
        let path = prepare(directory.path(), directory.path(), &config, None).expect("prepared");
        let corpus = Corpus::open(&path).expect("a corpus");
        insta::assert_snapshot!(serde_json::to_string_pretty(corpus.profile()).expect("json"));
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_counts() {
        let counts: Vec<usize> = (1..=101).rev().collect();
        assert_eq!(Quantiles::of(counts), Quantiles { min: 1, median: 51, p90: 91, p99: 100, max: 101 });
        assert_eq!(Quantiles::of(vec![7]), Quantiles { min: 7, median: 7, p90: 7, p99: 7, max: 7 });
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
