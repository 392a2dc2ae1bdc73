//! Linear layers and norms with names.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::kernels::{self, Pass, Residual};
use super::params::{Maker, Param, Start};

/// W `[out, in]` and, if it has one, b `[out]`.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) weight: Arc<Param>,
    pub(super) bias: Option<Arc<Param>>,
}

impl Linear {
    pub(super) fn new(maker: &mut Maker, name: &str, input: usize, output: usize) -> Result<Self> {
        let bias = Some(maker.make(&format!("{name}.bias"), output, Start::Zeros)?);
        Ok(Self { bias, ..Self::without_bias(maker, name, input, output)? })
    }

    pub(super) fn without_bias(maker: &mut Maker, name: &str, input: usize, output: usize) -> Result<Self> {
        let weight = maker.make(&format!("{name}.weight"), (output, input), Start::Normal)?;
        Ok(Self { weight, bias: None })
    }

    /// [rows, in] to [rows, out].
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        kernels::linear(x, &self.weight, self.bias.as_ref(), pass)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Norm {
    weight: Arc<Param>,
    bias: Arc<Param>,
    eps: f64,
}

impl Norm {
    pub(super) fn new(maker: &mut Maker, name: &str, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: maker.make(&format!("{name}.weight"), width, Start::Ones)?,
            bias: maker.make(&format!("{name}.bias"), width, Start::Zeros)?,
            eps,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        kernels::norm(x, &self.weight, &self.bias, self.eps, pass)
    }

    /// The norm of residual + dropout(x).
    pub(super) fn residual(&self, x: &Tensor, residual: &Tensor, how: &Residual<'_>, pass: &Pass) -> Result<Tensor> {
        kernels::add_norm(x, residual, &self.weight, &self.bias, self.eps, how, pass)
    }
}
