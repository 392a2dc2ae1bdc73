//! `sweep`: hyperparameter sweeps of a hierarchical BERT long-text classifier.
//!
//! The code map, from the pure core outwards (`ARCHITECTURE.md` tells the whole):
//!
//! - core, pure: [`spec`] the file that the user writes; [`search`] which point comes next; [`sweep`] what happens
//!   next; [`protocol`] the messages of a run; [`metrics`] scores; [`crossval`] what they allow one to say.
//! - learn, candle: [`text`] from files to windows of tokens and folds; [`model`] windows to logits; [`train`] one run;
//!   [`baseline`] what it is measured against.
//! - edge: [`worker`] one run in its process; [`tether`] a program that ends with us; [`driver`] all runs of a sweep;
//!   [`control`] how people steer one; [`hub`] models to download; [`store`] SQLite; [`dashboard`] the screen; [`cli`] the
//!   command line;
//!   [`settings`] of the machine; [`failure`] errors for people.

pub mod baseline;
pub mod cli;
pub mod control;
pub mod crossval;
pub mod dashboard;
pub mod driver;
pub mod failure;
pub mod hub;
pub mod metrics;
pub mod model;
pub mod protocol;
pub mod search;
pub mod settings;
pub mod spec;
pub mod store;
pub mod sweep;
pub mod tether;
pub mod text;
pub mod train;
pub mod worker;
