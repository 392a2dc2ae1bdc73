//! What the trials are measured against: TF-IDF of n-grams and a linear classifier, on the same folds, in seconds.
//!
//! Our own code, because no library brings both halves (looked at in November 2026). linfa-logistic 0.8 and smartcore 0.7
//! fit dense matrices only, and a dense one of 1,000 documents by 200,000 n-grams is 1.6 GB; linfa-preprocessing's
//! TF-IDF has neither sublinear counts nor rows of norm 1; the `liblinear` crate compiles C++, which draws its order from
//! the C library's `rand`, one state for all threads.

mod fit;
mod logistic;
mod tfidf;
mod units;

pub use fit::{BaselineError, fit};

#[cfg(test)]
mod tests;
