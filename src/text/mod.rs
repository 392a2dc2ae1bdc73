//! From a file of documents to windows of tokens and folds.

mod breaks;
mod corpus;
mod encode;
mod files;
pub mod folds;
mod load;
mod normalize;
mod profile;
mod statistics;
mod tokenize;
mod windows;
mod wordpiece;

pub use breaks::Break;
pub(crate) use corpus::hex;
pub use corpus::{Corpus, CorpusError, prepare};
pub use encode::{Marker, Tokens};
pub use files::write_atomically;
pub use load::{DataError, DocumentLabels, Documents, documents};
pub use normalize::normalize;
pub use profile::{Copies, Profile, Quantiles};
pub use statistics::{Bin, SHORT, Statistics};
pub use tokenize::{Special, TOKENIZER_FILES, Tokenizer, TokenizerError};
pub use windows::{unit_windows, windows};
