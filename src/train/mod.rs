//! Trains one fold: batches in, measurements and checkpoints out.

mod batches;
mod checkpoint;
mod evaluate;
mod fit;
mod loss;
mod optimiser;
mod schedule;

pub use checkpoint::{CheckpointError, load_weights};
pub(crate) use evaluate::Evaluation;
pub use fit::{Fit, FitError, fit};

#[cfg(test)]
mod golden;
