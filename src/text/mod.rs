//! From a file of documents to windows of tokens and folds.

mod corpus;
mod files;
pub mod folds;
mod load;
mod normalize;
mod tokenize;
mod windows;
mod wordpiece;

pub(crate) use corpus::hex;
pub use corpus::{Corpus, CorpusError, Statistics, prepare};
pub use files::write_atomically;
pub use load::{DataError, DocumentLabels, Documents, load};
pub use normalize::normalize;
pub use tokenize::{Special, Tokenizer, TokenizerError};
pub use windows::windows;
