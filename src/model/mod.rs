//! The hierarchical classifier: windows to logits, differentiable throughout.

mod aggregator;
mod batch;
mod bert;
mod classifier;
mod kernels;
mod labels;
mod layers;
mod params;
mod pretrained;
mod weights;

pub use batch::{Batch, Document};
pub use bert::Sizes;
pub use classifier::Classifier;
pub use kernels::{AdamStep, Moments, Pass, Sequences, adamw, log_softmax, squared_norm};
pub use params::{Param, Params};
pub use pretrained::{Description, PretrainedError, describe, read_sizes, read_weights};

#[cfg(test)]
mod pretrained_tests;
#[cfg(test)]
mod tests;
