//! The documents of a run, as the model takes them.

use candle_core::{Result, Tensor};

use super::batches::{pieces, thinned, tokens};
use super::trainer::{Input, Piece};
use super::vectors::Vectors;
use crate::model::{Batch, Document};
use crate::protocol::Job;
use crate::text::Corpus;

/// Documents by number.
#[derive(Debug)]
pub(super) struct Examples<'a> {
    pub(super) job: &'a Job,
    pub(super) corpus: &'a Corpus,
    /// Segment vectors of an encoder that does not change.
    pub(super) vectors: Option<Vectors>,
}

impl Examples<'_> {
    /// Documents in pieces of at most `most` tokens, made one by one; with `noise`, as a training step with that seed
    /// sees them.
    pub(super) fn pieces(
        &self,
        documents: &[u32],
        most: usize,
        noise: Option<u64>,
    ) -> impl Iterator<Item = Result<Piece>> {
        let seen: Vec<Seen> = documents.iter().map(|number| self.seen(*number, noise)).collect();
        // where segment vectors are known, a segment takes what a token takes in the encoder
        let size = |seen: &Seen| if self.vectors.is_some() { seen.segments.len() } else { tokens(&seen.document) };
        pieces(seen, most, size).into_iter().map(|seen| self.piece(seen))
    }

    /// All windows of one document.
    pub(super) fn batch(&self, number: u32) -> Batch {
        Batch::new([self.seen(number, None).document], self.corpus.special())
    }

    fn seen(&self, number: u32, noise: Option<u64>) -> Seen {
        let config = &self.job.config;
        let all = self.corpus.windows(number as usize, &config.model);
        let segments = thinned(all.len(), config.train.segment_dropout, noise, number);
        let windows = segments.iter().map(|segment| all[*segment as usize].clone()).collect();
        Seen { document: Document { number, tokens: self.corpus.tokens(number as usize), windows }, segments }
    }

    fn piece(&self, seen: Vec<Seen>) -> Result<Piece> {
        let documents: Vec<u32> = seen.iter().map(|seen| seen.document.number).collect();
        let labels = documents.iter().map(|document| self.corpus.labels(*document as usize).to_vec()).collect();
        let rows = |vectors: &Vectors| -> Result<Tensor> {
            let of = |seen: &Seen| vectors.of(seen.document.number, &seen.segments);
            Tensor::cat(&seen.iter().map(of).collect::<Result<Vec<_>>>()?, 0)
        };
        let rows = self.vectors.as_ref().map(rows).transpose()?;
        let batch = Batch::new(seen.into_iter().map(|seen| seen.document), self.corpus.special());
        let input = match rows {
            Some(vectors) => Input::Vectors { vectors, documents: batch.documents },
            None => Input::Tokens(batch),
        };
        Ok(Piece { documents, input, labels })
    }
}

/// What a step sees of a document.
struct Seen {
    document: Document,
    /// Which of its segments.
    segments: Vec<u32>,
}
