//! The order of the documents, and how a batch is cut to fit.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::spec::Model;
use crate::text::Corpus;

/// The batches of an epoch: all documents once, shuffled by (seed, epoch); the last may be smaller.
pub(super) fn epoch(documents: &[u32], batch_size: usize, seed: u64, epoch: usize) -> Vec<Vec<u32>> {
    let mut order = documents.to_vec();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    order.shuffle(&mut rng);
    order.chunks(batch_size).map(<[u32]>::to_vec).collect()
}

/// Cuts documents into pieces of at most `most` tokens of windows; a longer document is a piece of its own.
pub(super) fn micro_batches(documents: &[u32], corpus: &Corpus, model: &Model, most: usize) -> Vec<Vec<u32>> {
    let mut pieces: Vec<Vec<u32>> = Vec::new();
    let mut room = 0;
    for document in documents {
        let tokens = windowed_tokens(corpus, *document, model);
        match pieces.last_mut() {
            Some(piece) if tokens <= room => {
                piece.push(*document);
                room -= tokens;
            }
            _ => {
                pieces.push(vec![*document]);
                room = most.saturating_sub(tokens);
            }
        }
    }
    pieces
}

/// Tokens that the encoder reads of a document, special ones included.
fn windowed_tokens(corpus: &Corpus, document: u32, model: &Model) -> usize {
    corpus.windows(document as usize, model).iter().map(|window| window.len() + 2).sum()
}
