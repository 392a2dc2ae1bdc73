//! Texts to sparse rows: TF-IDF of unit 1- and 2-grams, as scikit-learn's `TfidfVectorizer` defines it.

use std::collections::HashMap;
use std::ops::Range;

use super::units::units;

/// What was learned from the training documents.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    /// Numbers of the units, from 1 in the order of their first appearance.
    units: HashMap<String, u32>,
    columns: HashMap<Gram, u32>,
    /// Inverse document frequency of each column.
    idf: Vec<f64>,
}

/// Sparse rows of Euclidean norm 1 (0 for a row without entries).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rows {
    ends: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

/// Two units, or none and one: (first << 32) | last.
type Gram = u64;

/// What occurs in one document only tells nothing about another.
const MIN_DOCUMENTS: u32 = 2;

/// Most columns: those of the most frequent n-grams. It bounds the weights of a class, to 1.6 MB.
pub(super) const MAX_COLUMNS: usize = 200_000;

impl Vocabulary {
    /// Learns from texts; the same texts in the same order give the same columns.
    pub(super) fn learn<'t>(texts: impl ExactSizeIterator<Item = &'t str>, most: usize) -> Self {
        let documents = texts.len();
        let mut numbers = HashMap::new();
        let mut frequencies: HashMap<Gram, u32> = HashMap::new();
        for text in texts {
            let count = |unit: &str| {
                if let Some(number) = numbers.get(unit) {
                    return Some(*number);
                }
                let number = numbers.len() as u32 + 1;
                numbers.insert(unit.to_owned(), number);
                Some(number)
            };
            for (gram, _) in counts(text, count) {
                *frequencies.entry(gram).or_default() += 1;
            }
        }
        let mut kept: Vec<(Gram, u32)> = frequencies.into_iter().filter(|(_, n)| *n >= MIN_DOCUMENTS).collect();
        kept.sort_unstable_by_key(|(gram, n)| (std::cmp::Reverse(*n), *gram));
        kept.truncate(most);
        // "smooth": as if one more document held every n-gram
        let idf = |n: u32| ((1 + documents) as f64 / f64::from(1 + n)).ln() + 1.0;
        Self {
            units: numbers,
            idf: kept.iter().map(|(_, n)| idf(*n)).collect(),
            columns: kept.into_iter().map(|(gram, _)| gram).zip(0..).collect(),
        }
    }

    /// Columns of a row.
    pub(super) fn len(&self) -> usize {
        self.idf.len()
    }

    /// One row a text.
    pub(super) fn rows<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Rows {
        let mut rows = Rows::default();
        for text in texts {
            let known = counts(text, |unit| self.units.get(unit).copied())
                .filter_map(|(gram, count)| Some((*self.columns.get(&gram)?, count)));
            // "sublinear": ten times as often is not ten times as much
            let weight = |(column, count)| (column, (1.0 + f64::from(count).ln()) * self.idf[column as usize]);
            let mut entries: Vec<(u32, f64)> = known.map(weight).collect();
            entries.sort_unstable_by_key(|(column, _)| *column);
            let norm = entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
            rows.columns.extend(entries.iter().map(|(column, _)| column));
            rows.values.extend(entries.iter().map(|(_, value)| (value / norm) as f32));
            rows.ends.push(rows.columns.len());
        }
        rows
    }
}

/// Each n-gram of a text with its count; those with a unit that has no number are left out.
fn counts(text: &str, mut number: impl FnMut(&str) -> Option<u32>) -> impl Iterator<Item = (Gram, u32)> {
    let mut grams: Vec<Gram> = Vec::with_capacity(text.len());
    let mut before = None;
    for unit in units(&text.to_lowercase()) {
        let unit = number(unit).map(u64::from);
        grams.extend(unit);
        grams.extend(before.zip(unit).map(|(before, unit)| before << 32 | unit));
        before = unit;
    }
    grams.sort_unstable();
    let mut rest = 0;
    std::iter::from_fn(move || {
        let gram = *grams.get(rest)?;
        let count = grams[rest..].iter().take_while(|other| **other == gram).count();
        rest += count;
        Some((gram, count as u32))
    })
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Entries of all rows.
    pub(super) fn entries(&self) -> usize {
        self.columns.len()
    }

    /// Columns and values of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f32)> {
        let range = self.range(row);
        let columns = self.columns[range.clone()].iter().map(|column| *column as usize);
        columns.zip(self.values[range].iter().copied())
    }

    fn range(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        start..self.ends[row]
    }
}

#[cfg(test)]
impl Vocabulary {
    /// The column of an n-gram whose units are joined by a space.
    pub(super) fn column(&self, gram: &str) -> Option<usize> {
        let number = |unit: &str| self.units.get(unit).map(|number| u64::from(*number));
        let gram = match gram.split_once(' ') {
            Some((first, last)) => number(first)? << 32 | number(last)?,
            None => number(gram)?,
        };
        self.columns.get(&gram).map(|column| *column as usize)
    }
}
