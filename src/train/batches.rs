//! The order of the documents, and how a batch is cut to fit.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::Document;

/// The batches of an epoch: all documents once, shuffled by (seed, epoch); the last may be smaller.
pub(super) fn epoch(documents: &[u32], batch_size: usize, seed: u64, epoch: usize) -> Vec<Vec<u32>> {
    let mut order = documents.to_vec();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch as u64);
    order.shuffle(&mut rng);
    order.chunks(batch_size).map(<[u32]>::to_vec).collect()
}

/// Cuts a batch into pieces of at most `most` in size, documents of alike size together; a larger document is a piece of
/// its own. The gradients are those of the whole batch whatever the pieces are.
pub(super) fn pieces<D>(mut documents: Vec<D>, most: usize, size: impl Fn(&D) -> usize) -> Vec<Vec<D>> {
    documents.sort_by_key(&size);
    let mut pieces: Vec<Vec<D>> = Vec::new();
    let mut room = 0;
    for document in documents {
        let size = size(&document);
        match pieces.last_mut() {
            Some(piece) if size <= room => {
                piece.push(document);
                room -= size;
            }
            _ => {
                pieces.push(vec![document]);
                room = most.saturating_sub(size);
            }
        }
    }
    pieces
}

/// Tokens that the encoder reads of a document, special ones included.
pub(super) fn tokens(document: &Document) -> usize {
    document.windows.iter().map(|window| window.len() + 2).sum()
}

/// The segments of a document that a training step with seed `noise` sees: each is left out with probability `share`,
/// one at least stays.
pub(super) fn thinned(segments: usize, share: f64, noise: Option<u64>, document: u32) -> Vec<u32> {
    let all = 0..segments as u32;
    let Some(noise) = noise.filter(|_| share > 0.0) else { return all.collect() };
    let mut rng = ChaCha8Rng::seed_from_u64(noise);
    rng.set_stream(u64::from(document));
    let stays = rng.random_range(all.clone());
    all.filter(|segment| rng.random::<f64>() >= share || *segment == stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: u32, length: usize) -> Document {
        Document { number, tokens: Vec::new(), windows: std::iter::once(0..length).collect() }
    }

    #[test]
    fn pieces_hold_what_fits_and_alike_lengths() {
        let lengths = [98, 8, 40, 300, 8, 41];
        let documents = lengths.iter().zip(0..).map(|(length, number)| document(number, *length)).collect();
        let numbers = |piece: &Vec<Document>| piece.iter().map(|document| document.number).collect::<Vec<_>>();
        let cut: Vec<Vec<u32>> = pieces(documents, 105, tokens).iter().map(numbers).collect();
        assert_eq!(cut, [vec![1, 4, 2, 5], vec![0], vec![3]]);
    }

    #[test]
    fn an_epoch_has_every_document_once_in_an_order_of_its_own() {
        let documents: Vec<u32> = (0..10).collect();
        let mut first = epoch(&documents, 4, 7, 0).concat();
        assert_eq!(epoch(&documents, 4, 7, 0).iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_ne!(first, epoch(&documents, 4, 7, 1).concat());
        first.sort_unstable();
        assert_eq!(first, documents);
    }

    #[test]
    fn segments_are_left_out_but_never_all() {
        assert_eq!(thinned(5, 0.0, Some(1), 2), [0, 1, 2, 3, 4]);
        assert_eq!(thinned(5, 0.5, None, 2), [0, 1, 2, 3, 4]);
        let kept: usize = (0..1000).map(|noise| thinned(20, 0.3, Some(noise), 2).len()).sum();
        assert!((kept as f64 / 20_000.0 - 0.7).abs() < 0.03, "{kept}");
        assert!((0..100).all(|noise| !thinned(3, 0.99, Some(noise), 1).is_empty()));
        assert_eq!(thinned(20, 0.5, Some(9), 3), thinned(20, 0.5, Some(9), 3));
        assert_ne!(thinned(20, 0.5, Some(9), 3), thinned(20, 0.5, Some(9), 4));
    }
}
