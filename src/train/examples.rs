//! The documents of a run, as the model takes them.

use candle_core::{Result, Tensor};

use super::batches::{pieces, thinned};
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
    /// Documents in pieces of at most `most` tokens; with `noise`, as a training step with that seed sees them.
    pub(super) fn pieces(&self, documents: &[u32], most: usize, noise: Option<u64>) -> Result<Vec<Piece>> {
        let seen = documents.iter().map(|number| self.seen(*number, noise));
        match &self.vectors {
            Some(vectors) => Ok(vec![self.known(vectors, seen.collect())?]),
            None => Ok(pieces(seen.map(|seen| seen.document).collect(), most)
                .into_iter()
                .map(|documents| self.piece(documents))
                .collect()),
        }
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

    fn piece(&self, documents: Vec<Document>) -> Piece {
        let numbers = documents.iter().map(|document| document.number).collect();
        self.labelled(numbers, Input::Tokens(Batch::new(documents, self.corpus.special())))
    }

    /// Documents whose segment vectors are known, in one piece.
    fn known(&self, vectors: &Vectors, seen: Vec<Seen>) -> Result<Piece> {
        let rows: Vec<Tensor> =
            seen.iter().map(|seen| vectors.of(seen.document.number, &seen.segments)).collect::<Result<_>>()?;
        let numbers = seen.iter().map(|seen| seen.document.number).collect();
        let batch = Batch::new(seen.into_iter().map(|seen| seen.document), self.corpus.special());
        Ok(self.labelled(numbers, Input::Vectors { vectors: Tensor::cat(&rows, 0)?, documents: batch.documents }))
    }

    fn labelled(&self, documents: Vec<u32>, input: Input) -> Piece {
        let labels = documents.iter().map(|document| self.corpus.labels(*document as usize).to_vec()).collect();
        Piece { documents, input, labels }
    }
}

/// What a step sees of a document.
struct Seen {
    document: Document,
    /// Which of its segments.
    segments: Vec<u32>,
}
