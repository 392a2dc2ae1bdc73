//! The weights of a model by name, and their gradients.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gradient::{Gradient, Rows};
use super::kernels::{Pass, zeros};

/// One named tensor that is trained, unless it is frozen.
#[derive(Debug)]
pub struct Param {
    name: String,
    value: Var,
    /// What keeps operations on weights outside the graph inside the graph.
    anchor: Var,
    trained: bool,
    gradient: Mutex<Gradient>,
}

impl Param {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn value(&self) -> &Tensor {
        self.value.as_tensor()
    }

    pub fn var(&self) -> &Var {
        &self.value
    }

    pub fn is_trained(&self) -> bool {
        self.trained
    }

    /// The tensor for operations of the graph, in f32.
    pub(super) fn exact(&self, pass: &Pass) -> Tensor {
        if pass.gradients && self.trained { self.value.as_tensor().clone() } else { self.value.as_tensor().detach() }
    }

    /// The same in what the pass computes in; gradients come back in f32.
    pub(super) fn tensor(&self, pass: &Pass) -> Result<Tensor> {
        self.exact(pass).to_dtype(pass.precision.dtype())
    }

    /// A stand-in for operations whose weights stay outside the graph.
    pub(super) fn anchor(&self, pass: &Pass) -> Tensor {
        if pass.gradients && self.trained { self.anchor.as_tensor().clone() } else { self.anchor.as_tensor().detach() }
    }

    /// Lets `add` add to the sum of gradients; of a frozen weight there is none.
    pub(super) fn add_gradient(&self, add: impl FnOnce(&mut [f32])) {
        if !self.trained {
            return;
        }
        let mut gradient = self.lock();
        if let Gradient::Rows(rows) = &*gradient {
            *gradient = Gradient::Host(rows.all());
        } else if !matches!(*gradient, Gradient::Host(_)) {
            *gradient = Gradient::Host(zeros(self.value.elem_count()));
        }
        if let Gradient::Host(sum) = &mut *gradient {
            add(sum);
        }
    }

    /// Adds row i of `rows` to the gradient of row `ids[i]` of this table.
    pub(super) fn add_row_gradients(&self, ids: &[u32], rows: &[f32]) -> Result<()> {
        if !self.trained {
            return Ok(());
        }
        let (entries, width) = self.value.dims2()?;
        let mut gradient = self.lock();
        match &mut *gradient {
            Gradient::Rows(sum) => sum.add(ids, rows),
            Gradient::Host(sum) => {
                for (id, row) in ids.iter().zip(rows.chunks_exact(width)) {
                    let start = *id as usize * width;
                    sum[start..start + width].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
            }
            Gradient::None | Gradient::Device(_) => {
                let mut sum = Rows::new(entries, width);
                sum.add(ids, rows);
                *gradient = Gradient::Rows(sum);
            }
        }
        Ok(())
    }

    /// Adds a gradient that the graph holds.
    fn absorb(&self, gradient: &Tensor) -> Result<()> {
        if matches!(gradient.device(), Device::Cpu) {
            let gradient = gradient.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            self.add_gradient(|sum| sum.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += x));
            return Ok(());
        }
        let mut sum = self.lock();
        *sum = Gradient::Device(match &*sum {
            Gradient::Device(sum) => sum.add(gradient)?.detach(),
            _ => gradient.detach(),
        });
        Ok(())
    }

    /// The sum of gradients; none is left behind.
    pub fn take_gradient(&self) -> Gradient {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Gradient> {
        // a panic while adding ends the run; there is nobody left to be misled by half a sum
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All weights of a model, by name, in the order of the names: sums over them are the same on every run.
#[derive(Clone, Debug, Default)]
pub struct Params(BTreeMap<String, Arc<Param>>);

impl Params {
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Param>> {
        self.0.values()
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Param>> {
        self.0.get(name)
    }

    /// Moves the gradients of a backward pass into the weights' own sums.
    pub fn absorb(&self, gradients: &GradStore) -> Result<()> {
        for param in self.iter().filter(|param| param.trained) {
            if let Some(gradient) = gradients.get(&param.value) {
                param.absorb(gradient)?;
            }
        }
        Ok(())
    }

    /// Values of all weights by name.
    pub fn tensors(&self) -> HashMap<String, Tensor> {
        self.values(|_| true)
    }

    /// Values of the weights that are trained, for a checkpoint: the others are where they came from.
    pub fn trained(&self) -> HashMap<String, Tensor> {
        self.values(Param::is_trained)
    }

    /// The same, apart from the weights: these may change meanwhile.
    pub fn copies(&self) -> Result<HashMap<String, Tensor>> {
        self.trained().into_iter().map(|(name, value)| Ok((name, value.copy()?))).collect()
    }

    fn values(&self, wanted: impl Fn(&Param) -> bool) -> HashMap<String, Tensor> {
        self.0
            .iter()
            .filter(|(_, param)| wanted(param))
            .map(|(name, param)| (name.clone(), param.value.as_tensor().clone()))
            .collect()
    }

    /// Sets the values of the weights that are trained; every name must be there with the same shape.
    pub fn set(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        for (name, param) in self.0.iter().filter(|(_, param)| param.trained) {
            let Some(tensor) = tensors.get(name) else { candle_core::bail!("no weights named {name}") };
            if tensor.dims() != param.value.dims() {
                candle_core::bail!("{name} is {:?}, not {:?}", tensor.dims(), param.value.dims());
            }
            param.value.set(&tensor.to_device(param.value.device())?.to_dtype(param.value.dtype())?)?;
        }
        Ok(())
    }
}

/// How a weight starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    Normal,
    /// From minus this to this.
    Uniform(f64),
    Zeros,
    Ones,
}

/// BERT's standard deviation of initial weights.
const SPREAD: f64 = 0.02;

/// Makes the weights of a model: given ones by name, the others at random from (seed, name).
pub(super) struct Maker {
    params: Params,
    given: HashMap<String, Tensor>,
    device: Device,
    anchor: Var,
    seed: u64,
    pub(super) frozen: bool,
}

impl Maker {
    pub(super) fn new(given: HashMap<String, Tensor>, seed: u64, device: &Device) -> Result<Self> {
        let anchor = Var::zeros(1, DType::F32, device)?;
        Ok(Self { params: Params::default(), given, device: device.clone(), anchor, seed, frozen: false })
    }

    pub(super) fn make(&mut self, name: &str, shape: impl Into<Shape>, start: Start) -> Result<Arc<Param>> {
        let shape = shape.into();
        let tensor = match self.given.remove(name) {
            Some(given) if *given.shape() == shape => given.to_dtype(DType::F32)?.to_device(&self.device)?,
            Some(given) => candle_core::bail!("{name} is {:?}, expected {:?}", given.dims(), shape.dims()),
            None => self.start(name, &shape, start)?,
        };
        let param = Arc::new(Param {
            name: name.to_owned(),
            value: Var::from_tensor(&tensor.contiguous()?)?,
            anchor: self.anchor.clone(),
            trained: !self.frozen,
            gradient: Mutex::default(),
        });
        if self.params.0.insert(name.to_owned(), param.clone()).is_some() {
            candle_core::bail!("two weights are named {name}");
        }
        Ok(param)
    }

    fn start(&self, name: &str, shape: &Shape, start: Start) -> Result<Tensor> {
        match start {
            Start::Zeros => Tensor::zeros(shape, DType::F32, &self.device),
            Start::Ones => Tensor::ones(shape, DType::F32, &self.device),
            Start::Normal => self.draw(name, shape, |rng| normal(rng) * SPREAD),
            Start::Uniform(bound) => self.draw(name, shape, |rng| (2.0 * rng.random::<f64>() - 1.0) * bound),
        }
    }

    fn draw(&self, name: &str, shape: &Shape, one: impl Fn(&mut ChaCha8Rng) -> f64) -> Result<Tensor> {
        // keyed by the name: adding a weight to the model leaves the others as they were
        let key = name.bytes().fold(self.seed ^ 0xcbf2_9ce4_8422_2325, |key, byte| {
            (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut rng = ChaCha8Rng::seed_from_u64(key);
        let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| one(&mut rng) as f32).collect();
        Tensor::from_vec(numbers, shape, &self.device)
    }

    pub(super) fn finish(self) -> Params {
        self.params
    }
}

/// A standard normal number (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}
