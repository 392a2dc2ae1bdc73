//! One optimiser step at a time, with the exact gradients of a whole batch whatever pieces it is computed in.

use candle_core::{Result, Tensor, Var};

use super::loss::{loss_sum, normaliser};
use super::optimiser::Optimiser;
use crate::model::{Batch, Classifier, Pass, Sequences};
use crate::spec::Train;

/// A model and what trains it.
#[derive(Debug)]
pub struct Trainer {
    model: Classifier,
    optimiser: Optimiser,
    train: Train,
    /// Most tokens whose activations are kept at once.
    room: usize,
}

/// Documents that go through the model together.
#[derive(Clone, Debug)]
pub struct Piece {
    pub input: Input,
    /// Label ids of each document.
    pub labels: Vec<Vec<u32>>,
}

#[derive(Clone, Debug)]
pub enum Input {
    Tokens(Batch),
    /// Segment vectors [S, hidden] of an encoder that does not change.
    Vectors {
        vectors: Tensor,
        documents: Sequences,
    },
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The mean loss of the batch before the step.
    pub loss: f64,
    /// Of the whole gradient, before clipping.
    pub gradient_norm: f64,
}

impl Trainer {
    /// `room` is the most tokens whose activations are kept at once.
    pub fn new(model: Classifier, train: &Train, room: usize) -> Result<Self> {
        let optimiser = Optimiser::new(model.params(), train, model.encoder_layers())?;
        Ok(Self { model, optimiser, train: train.clone(), room })
    }

    pub fn model(&self) -> &Classifier {
        &self.model
    }

    /// Moves the weights once against the gradient of the pieces' mean loss. `factor` is the schedule's, `noise` the
    /// seed of the dropout masks.
    pub fn step(&mut self, pieces: &[Piece], factor: f64, noise: Option<u64>) -> Result<Step> {
        let loss = self.add_gradients(pieces, noise)?;
        if !loss.is_finite() {
            return Ok(Step { loss, gradient_norm: f64::NAN });
        }
        let gradient_norm = self.optimiser.step(self.model.params(), &self.train, factor)?;
        Ok(Step { loss, gradient_norm })
    }

    /// Leaves the gradients of the pieces' mean loss with the weights, and gives that loss.
    pub(super) fn add_gradients(&self, pieces: &[Piece], noise: Option<u64>) -> Result<f64> {
        let documents = pieces.iter().map(|piece| piece.labels.len()).sum();
        let whole = normaliser(self.train.loss, documents, self.model.classes());
        let pass = Pass::training(noise);
        let mut sum = 0.0;
        for piece in pieces {
            sum += match &piece.input {
                Input::Tokens(batch) if batch.tokens() > self.room && batch.segments.count() > 1 => {
                    self.in_chunks(batch, piece, whole, &pass)?
                }
                Input::Tokens(batch) => {
                    self.backward(&self.model.encode(batch, &pass)?, &batch.documents, piece, whole, &pass)?.0
                }
                Input::Vectors { vectors, documents } => self.backward(vectors, documents, piece, whole, &pass)?.0,
            };
        }
        Ok(sum)
    }

    /// Gradient caching (Gao 2021): segment vectors without activations, the gradient of the head with respect to
    /// them, then every chunk of segments once more with activations, which that gradient goes through. Dropout draws
    /// the same masks both times.
    fn in_chunks(&self, batch: &Batch, piece: &Piece, whole: f64, pass: &Pass) -> Result<f64> {
        let chunks = batch.chunks(self.room);
        let still = Pass { gradients: false, ..pass.clone() };
        let vectors: Vec<Tensor> =
            chunks.iter().map(|chunk| self.model.encode(chunk, &still)).collect::<Result<_>>()?;
        let vectors = Var::from_tensor(&Tensor::cat(&vectors, 0)?)?;
        let (loss, slopes) = self.backward(vectors.as_tensor(), &batch.documents, piece, whole, pass)?;
        let Some(slopes) = slopes.filter(|_| !self.model.has_frozen_encoder()) else { return Ok(loss) };
        let mut start = 0;
        for chunk in chunks {
            let vectors = self.model.encode(&chunk, pass)?;
            let slopes = slopes.narrow(0, start, chunk.segments.count())?;
            self.model.params().absorb(&vectors.mul(&slopes)?.sum_all()?.backward()?)?;
            start += chunk.segments.count();
        }
        Ok(loss)
    }

    /// From segment vectors to the loss, and back; with the gradient of the vectors if they are a variable.
    fn backward(
        &self,
        vectors: &Tensor,
        documents: &Sequences,
        piece: &Piece,
        whole: f64,
        pass: &Pass,
    ) -> Result<(f64, Option<Tensor>)> {
        let logits = self.model.classify(vectors, documents, pass)?;
        let labels: Vec<&[u32]> = piece.labels.iter().map(Vec::as_slice).collect();
        let loss = loss_sum(self.train.loss, &logits, &labels)?.affine(1.0 / whole, 0.0)?;
        let gradients = loss.backward()?;
        self.model.params().absorb(&gradients)?;
        // a gradient that keeps its graph would be differentiated again
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients.get(vectors).map(Tensor::detach)))
    }
}
