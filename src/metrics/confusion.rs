use super::{mean, weighted_mean};

/// What was given, what was true, and where they agree: of one class over the documents, or of one
/// document over its labels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) predicted: u64,
    pub(super) support: u64,
}

impl Counts {
    pub(super) fn add(&mut self, truth: bool, predicted: bool) {
        self.hits += u64::from(truth && predicted);
        self.predicted += u64::from(predicted);
        self.support += u64::from(truth);
    }

    /// All decisions as if of one class.
    pub(super) fn pooled(counts: &[Self]) -> Self {
        counts.iter().fold(Self::default(), |sum, count| Self {
            hits: sum.hits + count.hits,
            predicted: sum.predicted + count.predicted,
            support: sum.support + count.support,
        })
    }

    pub(super) fn precision(&self) -> f64 {
        ratio(self.hits, self.predicted)
    }

    pub(super) fn recall(&self) -> f64 {
        ratio(self.hits, self.support)
    }

    pub(super) fn f1(&self) -> f64 {
        ratio(2 * self.hits, self.predicted + self.support)
    }

    pub(super) fn jaccard(&self) -> f64 {
        ratio(self.hits, self.predicted + self.support - self.hits)
    }

    pub(super) fn errors(&self) -> u64 {
        self.predicted + self.support - 2 * self.hits
    }

    fn is_undefined(&self) -> bool {
        self.predicted == 0 || self.support == 0
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

pub(super) fn undefined_classes(counts: &[Counts]) -> usize {
    counts.iter().filter(|c| c.is_undefined()).count()
}

/// Precision, recall or F1, averaged over the classes as its name says, such as `macro_f1`; NaN for another name.
pub(super) fn average(name: &str, counts: &[Counts]) -> f64 {
    let Some((over, score)) = name.split_once('_') else {
        return f64::NAN;
    };
    let score: fn(&Counts) -> f64 = match score {
        "precision" => Counts::precision,
        "recall" => Counts::recall,
        "f1" => Counts::f1,
        _ => return f64::NAN,
    };
    match over {
        "macro" => mean(counts.iter().map(score)),
        "micro" => score(&Counts::pooled(counts)),
        "weighted" => weighted_mean(counts.iter().map(|count| (score(count), count.support))),
        _ => f64::NAN,
    }
}

/// `cells[truth][prediction]` in documents.
pub(super) struct Confusion {
    pub(super) cells: Vec<Vec<u64>>,
}

impl Confusion {
    pub(super) fn new(truth: &[u32], predicted: &[usize], classes: usize) -> Self {
        let mut cells = vec![vec![0; classes]; classes];
        for (&truth, &predicted) in truth.iter().zip(predicted) {
            cells[truth as usize][predicted] += 1;
        }
        Self { cells }
    }

    pub(super) fn counts(&self) -> Vec<Counts> {
        let class = |class: usize| Counts {
            hits: self.cells[class][class],
            predicted: self.cells.iter().map(|row| row[class]).sum(),
            support: self.cells[class].iter().sum(),
        };
        (0..self.cells.len()).map(class).collect()
    }
}

pub(super) fn accuracy(counts: &[Counts]) -> f64 {
    let hits: u64 = counts.iter().map(|c| c.hits).sum();
    hits as f64 / documents(counts)
}

/// Mean recall over the classes that the truth holds.
pub(super) fn balanced_accuracy(counts: &[Counts]) -> f64 {
    mean(counts.iter().filter(|c| c.support > 0).map(Counts::recall))
}

/// Matthews's correlation for any number of classes (Gorodkin 2004); 0 where truth or prediction is
/// constant.
pub(super) fn mcc(counts: &[Counts]) -> f64 {
    let n = documents(counts);
    let hits: f64 = counts.iter().map(|c| c.hits as f64).sum();
    let sum = |product: fn(&Counts) -> f64| counts.iter().map(product).sum::<f64>();
    let covariance = hits * n - sum(|c| c.support as f64 * c.predicted as f64);
    let of_predicted = n * n - sum(|c| (c.predicted as f64).powi(2));
    let of_truth = n * n - sum(|c| (c.support as f64).powi(2));
    if of_predicted * of_truth == 0.0 { 0.0 } else { covariance / (of_predicted * of_truth).sqrt() }
}

/// Cohen's kappa; NaN where truth and prediction are one and the same class throughout.
pub(super) fn kappa(counts: &[Counts]) -> f64 {
    let n = documents(counts);
    let misses = n - counts.iter().map(|c| c.hits as f64).sum::<f64>();
    let by_chance = |c: &Counts| c.support as f64 * c.predicted as f64;
    let expected_misses = (n * n - counts.iter().map(by_chance).sum::<f64>()) / n;
    if expected_misses == 0.0 { f64::NAN } else { 1.0 - misses / expected_misses }
}

fn documents(counts: &[Counts]) -> f64 {
    counts.iter().map(|c| c.support as f64).sum()
}
