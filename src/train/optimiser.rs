//! AdamW with parameter groups: no decay of biases and norms, a learning rate by depth, clipping of the whole
//! gradient, moments that a checkpoint can hold. candle's own has none of these.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Result, Tensor, bail};

use crate::model::{AdamStep, Gradient, Moments, Param, Params, adamw, squared_norm};
use crate::spec::Train;

#[derive(Debug)]
pub(super) struct Optimiser {
    states: BTreeMap<String, State>,
    /// Steps so far.
    pub(super) step: u64,
}

#[derive(Debug)]
struct State {
    learning_rate: f64,
    weight_decay: f64,
    moments: Moments,
}

/// The gradients of all trained weights.
pub(super) struct Gradients<'p> {
    all: Vec<(&'p Param, Gradient)>,
    square: f64,
    scale: f64,
}

impl Gradients<'_> {
    /// Of the whole gradient.
    pub(super) fn norm(&self) -> f64 {
        self.square.sqrt() / self.scale
    }
}

impl Optimiser {
    /// For the trained weights of a model whose encoder has `layers` layers.
    pub(super) fn new(params: &Params, train: &Train, layers: usize) -> Result<Self> {
        let state = |param: &Param| -> Result<(String, State)> {
            let state = State {
                learning_rate: learning_rate(param.name(), train, layers),
                weight_decay: if decays(param) { train.weight_decay } else { 0.0 },
                moments: Moments::zeros(param.value())?,
            };
            Ok((param.name().to_owned(), state))
        };
        let states =
            params.iter().filter(|param| param.is_trained()).map(|param| state(param)).collect::<Result<_>>()?;
        Ok(Self { states, step: 0 })
    }

    /// Takes the gradients that were added up; they are `scale` times what they should be.
    pub(super) fn gather<'p>(&self, params: &'p Params, scale: f64) -> Result<Gradients<'p>> {
        let mut all = Vec::with_capacity(self.states.len());
        let mut square = 0.0;
        for param in params.iter().filter(|param| param.is_trained()) {
            let gradient = param.take_gradient();
            square += squared_norm(&gradient)?;
            all.push((&**param, gradient));
        }
        Ok(Gradients { all, square, scale })
    }

    /// Clips the gradients and moves the weights, with the learning rates times `factor`.
    pub(super) fn step(&mut self, gradients: Gradients<'_>, train: &Train, factor: f64) -> Result<()> {
        let norm = gradients.norm();
        let clipped = if train.clip_norm > 0.0 { (train.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        self.step += 1;
        for (param, gradient) in gradients.all {
            let Some(state) = self.states.get_mut(param.name()) else { bail!("{} was not trained", param.name()) };
            let how = AdamStep {
                learning_rate: state.learning_rate * factor,
                weight_decay: state.weight_decay,
                beta1: train.beta1,
                beta2: train.beta2,
                epsilon: train.epsilon,
                step: self.step,
                scale: clipped / gradients.scale,
            };
            adamw(param.var(), &gradient, &mut state.moments, &how)?;
        }
        Ok(())
    }

    /// Moments by name, for a checkpoint.
    pub(super) fn tensors(&self, params: &Params) -> Result<HashMap<String, Tensor>> {
        let mut tensors = HashMap::new();
        for (name, state) in &self.states {
            let Some(param) = params.get(name) else { bail!("no weights named {name}") };
            let [first, second] = state.moments.tensors(param.value())?;
            tensors.insert(format!("{FIRST}{name}"), first);
            tensors.insert(format!("{SECOND}{name}"), second);
        }
        Ok(tensors)
    }

    /// Back from a checkpoint.
    pub(super) fn set(&mut self, params: &Params, tensors: &HashMap<String, Tensor>, step: u64) -> Result<()> {
        for (name, state) in &mut self.states {
            let find = |prefix: &str| tensors.get(&format!("{prefix}{name}"));
            let (Some(param), Some(first), Some(second)) = (params.get(name), find(FIRST), find(SECOND)) else {
                bail!("no moments of {name}")
            };
            state.moments = Moments::from_tensors(param.value(), [first, second])?;
        }
        self.step = step;
        Ok(())
    }
}

const FIRST: &str = "adamw.first.";
const SECOND: &str = "adamw.second.";

/// Decay pulls biases and norms towards zero for no gain; BERT's own recipe leaves them out.
fn decays(param: &Param) -> bool {
    let name = param.name();
    let norm = name.contains("LayerNorm") || name.contains(".norm") || name.contains("label_ln");
    !norm && !name.ends_with("bias") && param.value().rank() > 1
}

fn learning_rate(name: &str, train: &Train, layers: usize) -> f64 {
    let depth = if name.starts_with("bert.embeddings.") {
        layers
    } else if let Some(rest) = name.strip_prefix("bert.encoder.layer.") {
        let index: usize = rest.split('.').next().and_then(|index| index.parse().ok()).unwrap_or(0);
        layers - 1 - index.min(layers - 1)
    } else {
        return train.head_learning_rate.unwrap_or(train.learning_rate);
    };
    train.learning_rate * train.layer_decay.powf(depth as f64)
}
