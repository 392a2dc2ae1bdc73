//! One vector for the rows of each sequence: for the tokens of a segment, for the segments of a document. Rows stay
//! where they are: nothing is padded, and no sum sees a row of another sequence.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::kernels::{Pass, Sequences};
use super::params::Param;

#[derive(Debug)]
pub(super) enum Pooling {
    /// The first row: `[CLS]`, or a token in front of the segments.
    First,
    Mean,
    /// The largest number of each column.
    Max,
    /// The mean weighted by the softmax of the rows' products with a learned query.
    Attention(Arc<Param>),
}

impl Pooling {
    /// x [rows, width] to [sequences, width].
    pub(super) fn forward(&self, x: &Tensor, sequences: &Sequences, pass: &Pass) -> Result<Tensor> {
        match self {
            Self::First => firsts(x, sequences),
            Self::Mean => {
                let lengths: Vec<f32> = (0..sequences.count()).map(|sequence| sequences.len(sequence) as f32).collect();
                let lengths = Tensor::from_vec(lengths, (sequences.count(), 1), x.device())?.to_dtype(x.dtype())?;
                sums(x, &owners(x, sequences)?, sequences)?.broadcast_div(&lengths)
            }
            Self::Max => maxima(x, sequences),
            Self::Attention(query) => {
                let scores = x.matmul(&query.exact(pass).unsqueeze(1)?)?;
                let owners = owners(x, sequences)?;
                let most = maxima(&scores.detach(), sequences)?.index_select(&owners, 0)?;
                let powers = scores.sub(&most)?.exp()?;
                let totals = sums(&powers, &owners, sequences)?.index_select(&owners, 0)?;
                sums(&x.broadcast_mul(&powers.div(&totals)?)?, &owners, sequences)
            }
        }
    }
}

/// The first row of each sequence.
pub(super) fn firsts(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    x.index_select(&sequences.starts(x.device())?, 0)
}

/// Which sequence each row belongs to.
fn owners(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let of = |sequence| std::iter::repeat_n(sequence as u32, sequences.len(sequence));
    let owners: Vec<u32> = (0..sequences.count()).flat_map(of).collect();
    Tensor::from_vec(owners, sequences.rows(), x.device())
}

fn sums(x: &Tensor, owners: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let zeros = Tensor::zeros((sequences.count(), x.dim(1)?), x.dtype(), x.device())?;
    zeros.index_add(owners, &x.contiguous()?, 0)
}

/// The gradient goes to the largest row alone; the first of equal ones.
fn maxima(x: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let numbers = x.detach();
    let largest =
        |sequence: usize| numbers.narrow(0, sequences.offsets[sequence], sequences.len(sequence))?.argmax_keepdim(0);
    let places = (0..sequences.count()).map(largest).collect::<Result<Vec<_>>>()?;
    let starts = sequences.starts(x.device())?.unsqueeze(1)?;
    x.contiguous()?.gather(&Tensor::cat(&places, 0)?.broadcast_add(&starts)?, 0)
}
