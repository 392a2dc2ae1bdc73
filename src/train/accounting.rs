//! How fast a run is, and how near to what the machine can do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::{Device, Result, Tensor};

use super::trainer::{Input, Piece};
use crate::model::{Batch, Precision, Sizes, multiply_adds};
use crate::text::write_atomically;

/// Counts what a run does, epoch by epoch.
#[derive(Debug)]
pub(super) struct Accounts {
    sizes: Sizes,
    /// Layers from the top that have a backward pass.
    trained_layers: usize,
    /// Operations per second of a large product; 0: unknown.
    peak: f64,
    seconds: f64,
    waiting: f64,
    documents: usize,
    tokens: usize,
    padded: usize,
    operations: f64,
}

impl Accounts {
    pub(super) fn new(sizes: Sizes, trained_layers: usize, peak: f64) -> Self {
        Self {
            sizes,
            trained_layers,
            peak,
            seconds: 0.0,
            waiting: 0.0,
            documents: 0,
            tokens: 0,
            padded: 0,
            operations: 0.0,
        }
    }

    /// A training step of these pieces that took so long, of which data took `waiting`.
    pub(super) fn add(&mut self, pieces: &[Piece], took: Duration, waiting: Duration) {
        self.seconds += took.as_secs_f64();
        self.waiting += waiting.as_secs_f64();
        for piece in pieces {
            self.documents += piece.labels.len();
            if let Input::Tokens(batch) = &piece.input {
                self.tokens += batch.tokens();
                self.padded += batch.segments.count() * batch.segments.longest();
                self.operations += self.operations(batch);
            }
        }
    }

    /// Twice the multiply-adds of the encoder's forward pass, and twice as many again for the backward pass of the
    /// layers that have one. What is computed again is not counted.
    fn operations(&self, batch: &Batch) -> f64 {
        let layers = self.sizes.num_hidden_layers as f64;
        let forward: f64 = (0..batch.segments.count())
            .map(|segment| 2.0 * layers * multiply_adds(&self.sizes, batch.segments.len(segment)))
            .sum();
        forward * (1.0 + 2.0 * self.trained_layers as f64 / layers)
    }

    /// Figures of the epoch by name; counting begins anew.
    pub(super) fn take(&mut self) -> BTreeMap<String, f64> {
        let seconds = self.seconds.max(1e-9);
        let mut figures = vec![
            ("documents_per_second", self.documents as f64 / seconds),
            ("data_wait_share", self.waiting / seconds),
            ("train_seconds", self.seconds),
        ];
        if self.tokens > 0 {
            figures.push(("tokens_per_second", self.tokens as f64 / seconds));
            figures.push(("padded_tokens_per_second", self.padded as f64 / seconds));
            figures.push(("gflops", self.operations / seconds / 1e9));
            if self.peak > 0.0 {
                figures.push(("flop_utilisation", self.operations / seconds / self.peak));
            }
        }
        *self = Self::new(self.sizes.clone(), self.trained_layers, self.peak);
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Operations per second of a large product on this device with these threads, measured once a machine and kept in
/// `cache`; 0 if it cannot be.
pub(super) fn peak(device: &Device, precision: Precision, threads: usize, cache: &Path) -> f64 {
    let path = cache.join("peak.json");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut known: BTreeMap<String, f64> = serde_json::from_str(&text).unwrap_or_default();
    let key = format!("{} {:?} {precision:?} {threads}", machine(), device.location());
    if let Some(peak) = known.get(&key) {
        return *peak;
    }
    let Ok(peak) = measure(device, precision) else { return 0.0 };
    known.insert(key, peak);
    // two workers at once measure both; what the later one writes is as good
    let _ = write_atomically(&path, |file| Ok(serde_json::to_writer_pretty(file, &known)?));
    peak
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    model.map(|model| model.trim_start_matches(['\t', ' ', ':']).to_owned()).unwrap_or_default()
}

/// The best of some products.
fn measure(device: &Device, precision: Precision) -> Result<f64> {
    let on_cpu = matches!(device, Device::Cpu);
    let size = if on_cpu { 768 } else { 4096 };
    let numbers: Vec<f32> = (0..size * size).map(|i| (i % 17) as f32 / 17.0).collect();
    // on the CPU products of less than f32 are made of those of f32 or compared with them
    let dtype = if on_cpu { candle_core::DType::F32 } else { precision.dtype() };
    let x = Tensor::from_vec(numbers, (size, size), device)?.to_dtype(dtype)?;
    let mut best = f64::INFINITY;
    for _ in 0..6 {
        let start = Instant::now();
        x.matmul(&x)?;
        device.synchronize()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * (size as f64).powi(3) / best)
}
