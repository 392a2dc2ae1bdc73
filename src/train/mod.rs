//! Trains one fold: batches in, measurements and checkpoints out.

mod accounting;
mod average;
mod batches;
mod checkpoint;
mod evaluate;
mod examples;
mod fit;
mod holdout;
mod loss;
mod memory;
mod optimiser;
mod scaler;
mod schedule;
mod trainer;
mod vectors;

pub use checkpoint::{CheckpointError, load_weights};
pub(crate) use evaluate::Evaluation;
pub use fit::{Fit, FitError, fit};
pub use trainer::{Input, Limits, Piece, Step, Trainer};
pub use vectors::{VectorsError, prune_vectors};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
