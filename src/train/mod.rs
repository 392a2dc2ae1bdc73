//! Trains one fold: batches in, measurements and checkpoints out.

mod batches;
mod checkpoint;
mod evaluate;
mod fit;
mod loss;
mod optimiser;
mod schedule;
mod trainer;

pub use checkpoint::{CheckpointError, load_weights};
pub use fit::{Fit, FitError, fit};
pub use trainer::{Input, Piece, Step, Trainer};

#[cfg(test)]
mod golden;
