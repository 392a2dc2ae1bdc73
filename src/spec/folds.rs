//! `[folds]`: how the documents are split.

use serde::{Deserialize, Serialize};

use super::reader::Reader;

/// `[folds]`: the same splits for every trial of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldPlan {
    pub k: u32,
    pub repeats: u32,
    pub seed: u64,
    /// Keep the class shares of every fold alike.
    pub stratify: bool,
}

impl FoldPlan {
    /// Of a program, which splits by itself: a run is a whole trial unless the file says otherwise.
    pub(super) fn of_program(reader: &mut Reader<'_>) -> Self {
        Self {
            k: reader.integer("k", 1, 1..=1000) as u32,
            repeats: reader.integer("repeats", 1, 1..=1000) as u32,
            seed: reader.integer("seed", 17, 0..=usize::MAX) as u64,
            stratify: false,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self::read_from(reader, 5, 2)
    }

    /// Folds of somebody else's training, of which there may be one.
    pub(super) fn read_free(reader: &mut Reader<'_>) -> Self {
        Self::read_from(reader, 1, 1)
    }

    fn read_from(reader: &mut Reader<'_>, default: usize, least: usize) -> Self {
        Self {
            k: reader.integer("k", default, least..=1000) as u32,
            repeats: reader.integer("repeats", 1, 1..=1000) as u32,
            seed: reader.integer("seed", 17, 0..=usize::MAX) as u64,
            stratify: reader.flag("stratify", true),
        }
    }

    /// Runs of one finished trial.
    pub fn runs(&self) -> u32 {
        self.k * self.repeats
    }
}
