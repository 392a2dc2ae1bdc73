//! Documents as the model takes them: windows of tokens, flat, without padding.

use std::ops::Range;
use std::sync::Arc;

use super::kernels::{Sequences, mix};
use crate::text::Special;

/// A document that is cut into windows.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its random numbers come from it.
    pub number: u32,
    /// Without special ones.
    pub tokens: Vec<u32>,
    /// What each window holds of the tokens.
    pub windows: Vec<Range<usize>>,
}

/// Windows of some documents.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Token ids of all windows, each with its own `[CLS]` and `[SEP]`.
    pub ids: Arc<[u32]>,
    /// Tokens of each window.
    pub segments: Sequences,
    /// Windows of each document.
    pub documents: Sequences,
}

impl Batch {
    /// Every window between its own `[CLS]` and `[SEP]`.
    pub fn new(documents: impl IntoIterator<Item = Document>, special: Special) -> Self {
        let mut ids = Vec::new();
        let mut segments = Ends::default();
        let mut ends = Ends::default();
        for Document { number, tokens, windows } in documents {
            let key = mix(u64::from(number));
            for (index, window) in windows.into_iter().enumerate() {
                ids.push(special.cls);
                ids.extend_from_slice(&tokens[window]);
                ids.push(special.sep);
                segments.push(ids.len(), mix(key ^ (index as u64 + 1)));
            }
            ends.push(segments.keys.len(), key);
        }
        Self { ids: ids.into(), segments: segments.finish(), documents: ends.finish() }
    }

    /// The same segments in parts of at most `most` tokens, or of one segment; a part has no documents.
    pub fn chunks(&self, most: usize) -> Vec<Self> {
        let offsets = &self.segments.offsets;
        let mut chunks = Vec::new();
        let mut first = 0;
        for next in 1..=self.segments.count() {
            let is_full = next == self.segments.count() || offsets[next + 1] - offsets[first] > most;
            if is_full {
                chunks.push(Self {
                    ids: self.ids[offsets[first]..offsets[next]].into(),
                    segments: Sequences {
                        offsets: offsets[first..=next].iter().map(|offset| offset - offsets[first]).collect(),
                        keys: self.segments.keys[first..next].into(),
                    },
                    documents: Ends::default().finish(),
                });
                first = next;
            }
        }
        chunks
    }

    /// Tokens that the encoder reads, special ones included.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

struct Ends {
    offsets: Vec<usize>,
    keys: Vec<u64>,
}

impl Default for Ends {
    fn default() -> Self {
        Self { offsets: vec![0], keys: Vec::new() }
    }
}

impl Ends {
    fn push(&mut self, end: usize, key: u64) {
        self.offsets.push(end);
        self.keys.push(key);
    }

    fn finish(self) -> Sequences {
        Sequences { offsets: self.offsets.into(), keys: self.keys.into() }
    }
}
