//! The dashboard: sweeps on a terminal, live and old alike.
//!
//! A key is a message ([`keys`]), [`model::update`] is all that changes the [`model::Model`], and [`view::draw`] is a
//! function of it. The model says what its screens need ([`feed::Want`]), and the [`feed`] answers from the store, which
//! it only reads; orders go to the coordinator of a live sweep (`control`). [`terminal`] and `runtime` tie them to a real screen.

pub mod chart;
pub mod feed;
pub mod keys;
pub mod ledger;
pub mod machine;
pub mod message;
pub mod model;
pub mod terminal;
pub mod theme;
pub mod view;

pub mod filter;

pub(crate) mod format;
mod live;
mod outline;
mod runtime;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use runtime::{Ended, Remark, Remarked, open};

use crate::store::StoreError;

#[derive(Debug, Error)]
pub enum DashboardError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot draw on the terminal")]
    Terminal(#[from] std::io::Error),
    #[error("the dashboard needs a terminal on stdin and stdout")]
    NoTerminal,
}

/// An error and what lies under it, those that it does not tell itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
