//! Learns WordPiece vocabularies. The trainer of the tokenizers library walks hash maps in random order, so that two
//! runs on the same text give different ids and, with ties, different pieces; a sweep must be repeatable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

/// Marks a piece that does not begin a word.
const CONTINUED: &str = "##";

/// Pieces of the words of `texts`: first their characters, then the most frequent pairs merged (Sennrich 2016), at
/// most `most` of them, all occurring at least twice. Ties are broken by the pieces themselves.
pub(super) fn learn<N: Normalizer, P: PreTokenizer>(
    texts: &[impl AsRef<str>],
    normalizer: &N,
    split: &P,
    most: usize,
) -> tokenizers::Result<Vec<String>> {
    let mut learner = Learner::new(count_words(texts, normalizer, split)?);
    let mut pieces = learner.characters();
    pieces.truncate(most);
    let mut known: BTreeSet<String> = pieces.iter().cloned().collect();
    while pieces.len() < most {
        let Some(piece) = learner.merge() else { break };
        if known.insert(piece.clone()) {
            pieces.push(piece);
        }
    }
    Ok(pieces)
}

fn count_words<N: Normalizer, P: PreTokenizer>(
    texts: &[impl AsRef<str>],
    normalizer: &N,
    split: &P,
) -> tokenizers::Result<BTreeMap<String, u64>> {
    let mut words = BTreeMap::new();
    for text in texts {
        let mut normalized = NormalizedString::from(text.as_ref());
        normalizer.normalize(&mut normalized)?;
        let mut split_text = PreTokenizedString::from(normalized);
        split.pre_tokenize(&mut split_text)?;
        for (word, _, _) in split_text.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    Ok(words)
}

type Pair = (String, String);

struct Learner {
    words: Vec<(Vec<String>, u64)>,
    pairs: BTreeMap<Pair, u64>,
    /// The same by frequency, the first of equals last.
    ranked: BTreeSet<(u64, Reverse<Pair>)>,
    /// Words that hold a pair, or held it once.
    places: BTreeMap<Pair, BTreeSet<usize>>,
}

impl Learner {
    fn new(words: BTreeMap<String, u64>) -> Self {
        let spell = |word: &str| -> Vec<String> {
            let spelled = |(i, c): (usize, char)| {
                if i == 0 { c.to_string() } else { format!("{CONTINUED}{c}") }
            };
            word.chars().enumerate().map(spelled).collect()
        };
        let words = words.into_iter().map(|(word, count)| (spell(&word), count)).collect();
        let mut learner = Self { words, pairs: BTreeMap::new(), ranked: BTreeSet::new(), places: BTreeMap::new() };
        for index in 0..learner.words.len() {
            learner.count(index, true);
        }
        learner
    }

    fn characters(&self) -> Vec<String> {
        let mut counts = BTreeMap::<&String, u64>::new();
        for (pieces, count) in &self.words {
            for piece in pieces {
                *counts.entry(piece).or_default() += count;
            }
        }
        let mut frequent: Vec<(u64, &String)> =
            counts.into_iter().map(|(piece, count)| (count, piece)).filter(|(count, _)| *count > 1).collect();
        frequent.sort_by_key(|(count, piece)| (Reverse(*count), *piece));
        frequent.into_iter().map(|(_, piece)| piece.clone()).collect()
    }

    /// Merges the most frequent pair everywhere; none when no pair occurs twice.
    fn merge(&mut self) -> Option<String> {
        let (count, Reverse(pair)) = self.ranked.last()?.clone();
        if count < 2 {
            return None;
        }
        let merged = format!("{}{}", pair.0, pair.1.trim_start_matches(CONTINUED));
        for index in self.places.remove(&pair).unwrap_or_default() {
            self.count(index, false);
            let pieces = std::mem::take(&mut self.words[index].0);
            let mut joined = Vec::with_capacity(pieces.len());
            let mut pieces = pieces.into_iter().peekable();
            while let Some(piece) = pieces.next() {
                if piece == pair.0 && pieces.next_if(|next| *next == pair.1).is_some() {
                    joined.push(merged.clone());
                } else {
                    joined.push(piece);
                }
            }
            self.words[index].0 = joined;
            self.count(index, true);
        }
        if let Some(left) = self.pairs.remove(&pair) {
            self.ranked.remove(&(left, Reverse(pair)));
        }
        Some(merged)
    }

    fn count(&mut self, index: usize, add: bool) {
        let (pieces, count) = &self.words[index];
        for pair in pieces.windows(2) {
            let pair = (pair[0].clone(), pair[1].clone());
            let total = self.pairs.entry(pair.clone()).or_default();
            self.ranked.remove(&(*total, Reverse(pair.clone())));
            *total = if add { *total + count } else { total.saturating_sub(*count) };
            self.ranked.insert((*total, Reverse(pair.clone())));
            if add {
                self.places.entry(pair).or_default().insert(index);
            }
        }
    }
}
