//! What a trial gets wrong, by the answers to documents that it was not trained on.

use std::collections::BTreeMap;

use super::FeedError;
use crate::store::{Confused, Mistake, Reader, SweepKey};
use crate::sweep::TrialId;

/// Mistakes that are listed.
const MOST: u32 = 200;

#[derive(Clone, Debug, PartialEq)]
pub struct Errors {
    /// In the order of the sweep's classes; without those, of their names.
    pub classes: Vec<ClassErrors>,
    /// `confusion[truth][answer]` in documents; none where documents have several labels.
    pub confusion: Option<Vec<Vec<u32>>>,
    pub documents: u32,
    /// Documents whose answer is not exactly right.
    pub wrong: u32,
    /// The surest first.
    pub mistakes: Vec<Mistake>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassErrors {
    pub name: String,
    pub hits: u32,
    /// Documents that were given it.
    pub predicted: u32,
    /// Documents that have it.
    pub support: u32,
}

impl ClassErrors {
    /// Share of the documents given it that have it.
    pub fn precision(&self) -> f64 {
        ratio(self.hits, self.predicted)
    }

    /// Share of the documents that have it that were given it.
    pub fn recall(&self) -> f64 {
        ratio(self.hits, self.support)
    }

    pub fn f1(&self) -> f64 {
        ratio(2 * self.hits, self.predicted + self.support)
    }
}

fn ratio(part: u32, whole: u32) -> f64 {
    if whole == 0 { 0.0 } else { f64::from(part) / f64::from(whole) }
}

impl Errors {
    pub(super) async fn read(reader: &Reader, sweep: SweepKey, trial: TrialId) -> Result<Self, FeedError> {
        let record = reader.record(sweep).await?;
        let confused = reader.confusions(sweep, trial).await?;
        let mistakes = reader.mistakes(sweep, trial, MOST).await?;
        Ok(Self::of(record.classes, &confused, mistakes))
    }

    fn of(classes: Vec<String>, confused: &[Confused], mistakes: Vec<Mistake>) -> Self {
        let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
        let mut names = classes;
        for (number, name) in names.iter().enumerate() {
            numbers.insert(name.clone(), number);
        }
        let mut number_of = |name: &str| {
            *numbers.entry(name.to_owned()).or_insert_with(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let mut pairs = Vec::with_capacity(confused.len());
        let (mut is_single, mut documents, mut wrong) = (true, 0, 0);
        for Confused { label, predicted, documents: count } in confused {
            let (truth, answer) = (labels(label), labels(predicted));
            is_single &= truth.is_one && answer.is_one;
            documents += count;
            wrong += if label == predicted { 0 } else { *count };
            let numbers = |labels: Labels, number_of: &mut dyn FnMut(&str) -> usize| -> Vec<usize> {
                labels.names.iter().map(|name| number_of(name)).collect()
            };
            let truth = numbers(truth, &mut number_of);
            pairs.push((truth, numbers(answer, &mut number_of), *count));
        }
        let mut classes: Vec<ClassErrors> =
            names.into_iter().map(|name| ClassErrors { name, ..ClassErrors::default() }).collect();
        let mut confusion = vec![vec![0; classes.len()]; if is_single { classes.len() } else { 0 }];
        for (truth, answer, count) in pairs {
            for class in &truth {
                classes[*class].support += count;
                classes[*class].hits += if answer.contains(class) { count } else { 0 };
            }
            for class in &answer {
                classes[*class].predicted += count;
            }
            if let ([truth], [answer], true) = (truth.as_slice(), answer.as_slice(), is_single) {
                confusion[*truth][*answer] += count;
            }
        }
        Self { classes, confusion: is_single.then_some(confusion), documents, wrong, mistakes }
    }
}

struct Labels {
    names: Vec<String>,
    /// One class, not a list of them.
    is_one: bool,
}

fn labels(text: &str) -> Labels {
    match serde_json::from_str::<Vec<String>>(text) {
        Ok(names) => Labels { names, is_one: false },
        Err(_) => Labels { names: vec![text.to_owned()], is_one: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confused(label: &str, predicted: &str, documents: u32) -> Confused {
        Confused { label: label.to_owned(), predicted: predicted.to_owned(), documents }
    }

    #[test]
    fn one_label_a_document() {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let pairs = [confused("a", "a", 8), confused("a", "b", 2), confused("b", "b", 5), confused("b", "c", 1)];
        let errors = Errors::of(classes, &pairs, Vec::new());
        assert_eq!(errors.confusion, Some(vec![vec![8, 2, 0], vec![0, 5, 1], vec![0, 0, 0]]));
        assert_eq!((errors.documents, errors.wrong), (16, 3));
        assert_eq!(errors.classes[0].recall(), 0.8);
        assert_eq!(errors.classes[1].precision(), 5.0 / 7.0);
        assert_eq!(errors.classes[2].f1(), 0.0);
    }

    #[test]
    fn several_labels_a_document() {
        let pairs = [confused(r#"["a","b"]"#, r#"["a"]"#, 3), confused("[]", r#"["b"]"#, 1), confused("[]", "[]", 2)];
        let errors = Errors::of(Vec::new(), &pairs, Vec::new());
        assert_eq!(errors.confusion, None);
        assert_eq!((errors.documents, errors.wrong), (6, 4));
        let [a, b] = &errors.classes[..] else { panic!("two classes") };
        assert_eq!((a.hits, a.predicted, a.support), (3, 3, 3));
        assert_eq!((b.hits, b.predicted, b.support), (0, 1, 3));
    }
}
