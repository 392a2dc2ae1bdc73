//! The hierarchical classifier: windows to logits, differentiable throughout.

mod aggregator;
mod batch;
mod bert;
mod classifier;
mod gradient;
mod kernels;
mod labels;
mod layers;
mod lstm;
mod params;
mod pooling;
mod pretrained;
mod transformer;
mod weights;

pub use batch::{Batch, Document};
pub use bert::{Sizes, multiply_adds};
pub use classifier::Classifier;
pub use gradient::{Gradient, Rows};
pub use kernels::{AdamStep, Moments, Pass, Precision, Room, Sequences, adamw, blend, log_softmax, squared_norm};
pub use params::{Param, Params};
pub use pretrained::{Description, PretrainedError, describe, encoder_files, read_sizes, read_weights};

#[cfg(test)]
mod option_tests;
#[cfg(test)]
mod pretrained_tests;
#[cfg(test)]
mod tests;
