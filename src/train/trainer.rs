//! One optimiser step at a time, with the exact gradients of a whole batch whatever pieces it is computed in.

use std::collections::HashMap;

use candle_core::{Result, Tensor, Var, bail};

use super::average::Average;
use super::loss::Criterion;
use super::optimiser::Optimiser;
use super::scaler::Scaler;
use crate::model::{Batch, Classifier, Pass, Precision, Sequences};
use crate::spec::Train;

/// A model and what trains it.
#[derive(Debug)]
pub struct Trainer {
    model: Classifier,
    optimiser: Optimiser,
    criterion: Criterion,
    average: Option<Average>,
    /// With f16 only.
    pub(super) scaler: Option<Scaler>,
    train: Train,
    limits: Limits,
}

/// What a machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most tokens whose activations are kept at once.
    pub tokens: usize,
    pub precision: Precision,
}

/// Documents that go through the model together.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Their numbers.
    pub documents: Vec<u32>,
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
    /// The gradients overflowed f16 and nothing was moved; the schedule does not advance either.
    pub skipped: bool,
}

impl Trainer {
    /// `counts` has the training documents of each class, of `documents` in all.
    pub fn new(model: Classifier, train: &Train, counts: &[usize], documents: usize, limits: Limits) -> Result<Self> {
        Ok(Self {
            optimiser: Optimiser::new(model.params(), train, model.encoder_layers())?,
            criterion: Criterion::new(train, counts, documents),
            average: train.ema.map(|decay| Average::new(model.params(), decay)).transpose()?,
            scaler: (limits.precision == Precision::F16).then(Scaler::default),
            train: train.clone(),
            model,
            limits,
        })
    }

    pub fn model(&self) -> &Classifier {
        &self.model
    }

    /// As a checkpoint had them.
    pub(super) fn resume(&mut self, tokens: usize, scaler: Option<Scaler>) {
        self.limits.tokens = tokens;
        self.scaler = scaler;
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Moves the weights once against the gradient of the pieces' mean loss. `factor` is the schedule's, `noise` the
    /// seed of the dropout masks.
    pub fn step(&mut self, pieces: &[Piece], factor: f64, noise: Option<u64>) -> Result<Step> {
        let scale = self.scaler.map_or(1.0, |scaler| scaler.scale);
        let loss = self.add_gradients(pieces, noise, scale)?;
        let gradients = self.optimiser.gather(self.model.params(), scale)?;
        let gradient_norm = gradients.norm();
        if let Some(scaler) = &mut self.scaler {
            if gradient_norm.is_finite() {
                scaler.good();
            } else if !scaler.is_least() {
                scaler.overflowed();
                return Ok(Step { loss, gradient_norm, skipped: true });
            }
        }
        if loss.is_finite() && gradient_norm.is_finite() {
            self.optimiser.step(gradients, &self.train, factor)?;
            if let Some(average) = &mut self.average {
                average.update(self.model.params(), self.optimiser.step)?;
            }
        }
        Ok(Step { loss, gradient_norm, skipped: false })
    }

    /// Leaves the gradients of the pieces' mean loss, times `scale`, with the weights, and gives that loss.
    pub(super) fn add_gradients(&self, pieces: &[Piece], noise: Option<u64>, scale: f64) -> Result<f64> {
        let labels = pieces.iter().flat_map(|piece| &piece.labels).map(Vec::as_slice);
        let factor = scale / self.criterion.normaliser(labels);
        let pass = Pass { precision: self.limits.precision, ..Pass::training(noise) };
        let mut sum = 0.0;
        for piece in pieces {
            sum += match &piece.input {
                Input::Tokens(batch) if batch.tokens() > self.limits.tokens && batch.segments.count() > 1 => {
                    self.in_chunks(batch, piece, factor, &pass)?
                }
                Input::Tokens(batch) => {
                    self.backward(&self.model.encode(batch, &pass)?, &batch.documents, piece, factor, &pass)?.0
                }
                Input::Vectors { vectors, documents } => self.backward(vectors, documents, piece, factor, &pass)?.0,
            };
        }
        Ok(sum / scale)
    }

    /// Gradient caching (Gao 2021): segment vectors without activations, the gradient of the head with respect to
    /// them, then every chunk of segments once more with activations, which that gradient goes through. Dropout draws
    /// the same masks both times.
    fn in_chunks(&self, batch: &Batch, piece: &Piece, factor: f64, pass: &Pass) -> Result<f64> {
        let chunks = batch.chunks(self.limits.tokens);
        let still = Pass { gradients: false, ..pass.clone() };
        let vectors: Vec<Tensor> =
            chunks.iter().map(|chunk| self.model.encode(chunk, &still)).collect::<Result<_>>()?;
        let vectors = Var::from_tensor(&Tensor::cat(&vectors, 0)?)?;
        let (loss, slopes) = self.backward(vectors.as_tensor(), &batch.documents, piece, factor, pass)?;
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
        factor: f64,
        pass: &Pass,
    ) -> Result<(f64, Option<Tensor>)> {
        let logits = self.model.classify(vectors, documents, pass)?;
        let loss = self.criterion.sum(&logits, &piece.labels)?.affine(factor, 0.0)?;
        let gradients = loss.backward()?;
        self.model.params().absorb(&gradients)?;
        // a gradient that keeps its graph would be differentiated again
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients.get(vectors).map(Tensor::detach)))
    }

    /// Logits [documents, classes], without gradients.
    pub fn logits(&self, input: &Input) -> Result<Tensor> {
        let pass = Pass { precision: self.limits.precision, ..Pass::inference() };
        match input {
            Input::Vectors { vectors, documents } => self.model.classify(vectors, documents, &pass),
            Input::Tokens(batch) => self.model.classify(&self.encode(batch)?, &batch.documents, &pass),
        }
    }

    /// Segment vectors [S, hidden], without gradients.
    pub(super) fn encode(&self, batch: &Batch) -> Result<Tensor> {
        let pass = Pass { precision: self.limits.precision, ..Pass::inference() };
        let chunks = batch.chunks(INFERENCE * self.limits.tokens);
        let vectors: Vec<Tensor> = chunks.iter().map(|chunk| self.model.encode(chunk, &pass)).collect::<Result<_>>()?;
        Tensor::cat(&vectors, 0)
    }

    /// Runs `f` with the weights that are to be scored: their running mean, if there is one.
    pub(super) fn scored<R>(&mut self, f: impl FnOnce(&Self) -> R) -> Result<R> {
        self.swap_average()?;
        let result = f(self);
        self.swap_average()?;
        Ok(result)
    }

    fn swap_average(&mut self) -> Result<()> {
        self.average.as_mut().map_or(Ok(()), |average| average.swap(self.model.params()))
    }

    /// All that a run needs to go on, by name.
    pub(super) fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = self.model.params().trained();
        tensors.extend(self.optimiser.tensors(self.model.params())?);
        tensors.extend(self.average.iter().flat_map(Average::tensors));
        Ok(tensors)
    }

    /// Back from a checkpoint after optimiser step `step`. One that does not fit changes nothing: the run may begin anew.
    pub(super) fn set(&mut self, tensors: &HashMap<String, Tensor>, step: u64) -> Result<()> {
        for (name, mine) in self.tensors()? {
            let Some(tensor) = tensors.get(&name) else { bail!("no {name} in it") };
            if tensor.dims() != mine.dims() {
                bail!("{name} is {:?}, not {:?}", tensor.dims(), mine.dims());
            }
        }
        if let Some(average) = &mut self.average {
            average.set(tensors)?;
        }
        self.optimiser.set(self.model.params(), tensors, step)?;
        self.model.params().set(tensors)
    }
}

/// How many times the tokens fit when no activations are kept.
pub(super) const INFERENCE: usize = 4;

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::model::{Document, Sizes};
    use crate::spec::Config;
    use crate::text::{Special, windows};

    /// 8 documents of 3 classes, learned by heart; the losses on the way.
    fn losses(precision: Precision) -> Vec<f64> {
        let text = "data.path = \"a.csv\"
            [model]
            hidden = 16
            heads = 2
            layers = 2
            intermediate = 32
            segment_len = 8
            stride = 6
            max_segments = 4
            aggregator = { heads = 2 }
            [train]
            learning_rate = 3e-3";
        let config = Config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        let sizes = Sizes {
            vocab_size: 40,
            hidden_size: 16,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 32,
            max_position_embeddings: 8,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
        };
        let (model, train) = (&config.model, &config.train);
        let classifier = Classifier::new(&sizes, model, 3, train.freeze, HashMap::new(), 5, &Device::Cpu);
        let documents = (0..8u32).map(|number| {
            let tokens: Vec<u32> = (0..9 + number).map(|i| 4 + (i * 7 + number * number * 5) % 36).collect();
            Document { number, windows: windows(tokens.len(), model), tokens }
        });
        let batch = Batch::new(documents, Special { cls: 2, sep: 3, pad: 0, unknown: 1 });
        let piece = Piece {
            documents: (0..8).collect(),
            input: Input::Tokens(batch),
            labels: (0..8).map(|number| vec![number * number % 3]).collect(),
        };
        let limits = Limits { tokens: 10_000, precision };
        let mut trainer = Trainer::new(classifier.expect("a model"), train, &[3, 5, 0], 8, limits).expect("a trainer");
        (0..60).map(|step| trainer.step(std::slice::from_ref(&piece), 1.0, Some(step)).expect("a step").loss).collect()
    }

    #[test]
    fn bfloat16_learns_as_well_as_f32() {
        let (f32, bf16) = (losses(Precision::F32), losses(Precision::Bf16));
        assert_ne!(f32, bf16, "nothing was rounded");
        assert!(f32[0] > 0.8 && f32[59] < 0.05, "{} to {}", f32[0], f32[59]);
        for (step, (a, b)) in f32.iter().zip(&bf16).enumerate() {
            assert!((a - b).abs() < 5e-3, "step {step}: {a} in f32, {b} in bfloat16");
        }
    }
}
