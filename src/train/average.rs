//! A running mean of the weights, which is often better than the last of them (Polyak and Juditsky 1992).

use std::collections::{BTreeMap, HashMap};

use candle_core::{Result, Tensor, Var, bail};

use crate::model::{Params, blend};

/// The running mean of the trained weights, by name.
#[derive(Debug)]
pub(super) struct Average {
    decay: f64,
    values: BTreeMap<String, Var>,
}

impl Average {
    pub(super) fn new(params: &Params, decay: f64) -> Result<Self> {
        let copy =
            |param: &crate::model::Param| Ok((param.name().to_owned(), Var::from_tensor(&param.value().copy()?)?));
        let values =
            params.iter().filter(|param| param.is_trained()).map(|param| copy(param)).collect::<Result<_>>()?;
        Ok(Self { decay, values })
    }

    /// After optimiser step `step` (from 1). The first steps weigh more: the mean must not remember the start.
    pub(super) fn update(&mut self, params: &Params, step: u64) -> Result<()> {
        let decay = self.decay.min((1.0 + step as f64) / (10.0 + step as f64));
        for (name, value) in &self.values {
            let Some(param) = params.get(name) else { bail!("no weights named {name}") };
            blend(value, param.value(), decay)?;
        }
        Ok(())
    }

    /// The mean takes the place of the weights, and the weights that of the mean.
    pub(super) fn swap(&mut self, params: &Params) -> Result<()> {
        for (name, value) in &self.values {
            let Some(param) = params.get(name) else { bail!("no weights named {name}") };
            let weights = param.value().copy()?;
            param.var().set(value.as_tensor())?;
            value.set(&weights)?;
        }
        Ok(())
    }

    /// For a checkpoint.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.values.iter().map(|(name, value)| (format!("{PREFIX}{name}"), value.as_tensor().clone()))
    }

    /// Back from a checkpoint.
    pub(super) fn set(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for (name, value) in &self.values {
            let Some(tensor) = tensors.get(&format!("{PREFIX}{name}")) else { bail!("no running mean of {name}") };
            value.set(&tensor.to_device(value.device())?)?;
        }
        Ok(())
    }
}

const PREFIX: &str = "average.";
