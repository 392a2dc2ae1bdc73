//! `sweep`: hyperparameter sweeps of a hierarchical BERT long-text classifier.
//!
//! The code map, from the pure core outwards (`ARCHITECTURE.md` tells the whole):
//!
//! - core, pure: [`spec`] the file that the user writes; [`search`] which point comes next; [`sweep`] what happens
//!   next; [`protocol`] the messages of a run; [`metrics`] scores.
//! - learn, candle: [`text`] from files to windows of tokens.

pub mod metrics;
pub mod model;
pub mod protocol;
pub mod search;
pub mod spec;
pub mod store;
pub mod sweep;
pub mod text;
pub mod train;
