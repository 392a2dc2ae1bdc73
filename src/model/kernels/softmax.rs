//! Softmax over the last dimension, of candle's operations. Its own differentiates through the maximum that it takes
//! away for stability: nothing in theory, noise beside a small gradient in practice.

use candle_core::{D, Result, Tensor};

/// exp(x) / sum(exp(x))
pub(in crate::model) fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = shifted(x)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

/// x - log(sum(exp(x)))
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let shifted = shifted(x)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

fn shifted(x: &Tensor) -> Result<Tensor> {
    x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())
}
