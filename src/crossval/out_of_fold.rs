use crate::metrics::{Metric, Truth};

/// What trials said of documents that they were not trained on: documents as the units of a bootstrap.
#[derive(Clone, Debug)]
pub struct OutOfFold {
    metric: Metric,
    classes: usize,
    labels: Labels,
    trials: Vec<Answers>,
}

/// The truth of all documents, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    Single(Vec<u32>),
    Multi(Vec<Vec<u32>>),
}

/// f32, as they are stored: a hundred trials of thousands of documents are held at once.
#[derive(Clone, Debug)]
struct Answers {
    /// Of each repeat: [documents, classes], row by row
    repeats: Vec<Vec<f32>>,
    /// Of each label; not used with one label a document.
    thresholds: Vec<f64>,
}

impl OutOfFold {
    pub fn new(metric: Metric, classes: usize, labels: Labels) -> Self {
        Self { metric, classes, labels, trials: Vec::new() }
    }

    /// Adds a trial: its probabilities in each repeat, [documents, classes], row by row.
    ///
    /// # Panics
    /// On shapes that disagree.
    pub fn push(&mut self, repeats: Vec<Vec<f32>>, thresholds: Vec<f64>) {
        let cells = self.documents() * self.classes;
        assert!(repeats.iter().all(|rows| rows.len() == cells), "documents x classes in each repeat");
        self.trials.push(Answers { repeats, thresholds });
    }

    pub fn trials(&self) -> usize {
        self.trials.len()
    }

    pub fn documents(&self) -> usize {
        match &self.labels {
            Labels::Single(of) => of.len(),
            Labels::Multi(of) => of.len(),
        }
    }

    /// The mean over the repeats: another repeat has answers to the very same documents.
    pub(super) fn score(&self, trial: usize, documents: &[usize]) -> f64 {
        let Answers { repeats, thresholds } = &self.trials[trial];
        let (single, multi): (Vec<u32>, Vec<Vec<u32>>) = match &self.labels {
            Labels::Single(of) => (documents.iter().map(|document| of[*document]).collect(), Vec::new()),
            Labels::Multi(of) => (Vec::new(), documents.iter().map(|document| of[*document].clone()).collect()),
        };
        let truth = match &self.labels {
            Labels::Single(_) => Truth::Single(&single),
            Labels::Multi(_) => Truth::Multi(&multi),
        };
        let of_repeat = |rows: &Vec<f32>| {
            let rows = documents.iter().flat_map(|document| &rows[document * self.classes..][..self.classes]);
            let probabilities: Vec<f64> = rows.map(|p| f64::from(*p)).collect();
            self.metric.of(truth, &probabilities, self.classes, thresholds)
        };
        repeats.iter().map(of_repeat).sum::<f64>() / repeats.len() as f64
    }
}
