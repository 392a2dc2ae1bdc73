//! `[folds]`: how the documents are split.

use serde::{Deserialize, Serialize};

use super::reader::{Floats, Reader};

/// `[folds]`: the same splits for every trial of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldPlan {
    pub k: u32,
    pub repeats: u32,
    pub seed: u64,
    /// Keep the class shares of every fold alike.
    pub stratify: bool,
    /// Share of the documents that no fold sees.
    pub holdout: Option<f64>,
}

/// Documents that nothing is trained on, chosen by or stopped by; on them the best trial is scored in the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holdout {
    /// Of the documents: above 0, at most a half.
    pub share: f64,
    pub seed: u64,
    /// Keep the class shares as they are.
    pub stratify: bool,
}

impl FoldPlan {
    /// Of a program, which splits by itself: a run is a whole trial unless the file says otherwise.
    pub(super) fn of_program(reader: &mut Reader<'_>) -> Self {
        refuse_holdout(
            reader,
            "a program splits its documents itself: hold some back there, and score the best trial on them",
        );
        Self {
            k: reader.integer("k", 1, 1..=1000) as u32,
            repeats: reader.integer("repeats", 1, 1..=1000) as u32,
            seed: reader.integer("seed", 17, 0..=usize::MAX) as u64,
            stratify: false,
            holdout: None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { holdout: share(reader), ..Self::read_from(reader, 5, 2) }
    }

    /// Folds of somebody else's training, of which there may be one.
    pub(super) fn read_free(reader: &mut Reader<'_>) -> Self {
        refuse_holdout(reader, "a loop of one's own scores its best trial itself");
        Self::read_from(reader, 1, 1)
    }

    fn read_from(reader: &mut Reader<'_>, default: usize, least: usize) -> Self {
        Self {
            k: reader.integer("k", default, least..=1000) as u32,
            repeats: reader.integer("repeats", 1, 1..=1000) as u32,
            seed: reader.integer("seed", 17, 0..=usize::MAX) as u64,
            stratify: reader.flag("stratify", true),
            holdout: None,
        }
    }

    pub fn held_out(&self) -> Option<Holdout> {
        let Self { seed, stratify, .. } = *self;
        self.holdout.map(|share| Holdout { share, seed, stratify })
    }

    /// Runs of one finished trial.
    pub fn runs(&self) -> u32 {
        self.k * self.repeats
    }
}

/// More than half would leave less to choose by than to look at once.
fn share(reader: &mut Reader<'_>) -> Option<f64> {
    let share = reader.optional_float("holdout", Floats::NotNegative)?;
    if share > 0.5 {
        reader.problem("holdout", format!("expected a share of the documents from 0 to 0.5, found {share}"));
    }
    (share > 0.0).then_some(share)
}

/// The key is of no use to a training of somebody else's.
fn refuse_holdout(reader: &mut Reader<'_>, why: &str) {
    if reader.has("holdout") {
        reader.ask("holdout");
        reader.problem("holdout", format!("is for the built-in trainer: {why}"));
    }
}
