//! The hierarchical classifier: windows to logits, differentiable throughout.

mod kernels;
mod params;

pub use kernels::{Pass, Sequences};
pub use params::{Param, Params};
