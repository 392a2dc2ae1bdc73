//! What the trials are measured against: TF-IDF of n-grams and a linear classifier, on the same folds, in seconds.
//!
//! Our own code, because no library brings both halves. linfa-logistic and smartcore take dense matrices only, and a
//! dense one of 1,000 documents by 200,000 n-grams is 1.6 GB; linfa-preprocessing's TF-IDF cuts words, which Chinese
//! does not space; the bindings of LIBLINEAR need a C++ compiler and draw from the C library's unseeded `rand`.

mod fit;
mod logistic;
mod tfidf;
mod units;

pub use fit::{BaselineError, fit};

#[cfg(test)]
mod tests;
