//! The committed fixtures of the PyTorch reference: the same weights and documents give the same windows, logits,
//! loss, gradients and optimiser steps (`tests/fixtures/golden/README.md`). Others by hand, such as those of real
//! encoders: `SWEEP_GOLDEN` takes paths with colons between them. `SWEEP_GOLDEN_OUT` names a folder to leave our own
//! numbers in, as the reference's `compare` reads them (`benches/README.md`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::loss::Criterion;
use super::optimiser::Optimiser;
use super::schedule;
use crate::model::{Batch, Classifier, Document, Param, Pass, Sizes};
use crate::spec::Config;
use crate::text::{Special, windows};

const TOLERANCE: f64 = 1e-4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden")
}

/// The device of the fixtures: the card in a build for cards that finds one (`scripts/gpu-check.sh`).
fn device() -> Device {
    #[cfg(feature = "cuda")]
    if let Ok(device) = Device::new_cuda(0) {
        return device;
    }
    Device::Cpu
}

struct Golden {
    name: String,
    reference: Value,
    config: Config,
    inputs: HashMap<String, Tensor>,
}

impl Golden {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name).join("config.json")).expect("a fixture");
        let reference: Value = serde_json::from_str(&text).expect("json");
        let config = Config::parse(&sweep_file(&reference)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let inputs = tensors(name, "inputs");
        Self { name: name.to_owned(), reference, config, inputs }
    }

    fn model(&self) -> Classifier {
        let cfg = &self.reference["cfg"];
        let number = |key: &str| cfg[key].as_u64().expect("a number") as usize;
        let sizes = Sizes {
            vocab_size: number("vocab"),
            hidden_size: number("hidden"),
            num_hidden_layers: number("layers"),
            num_attention_heads: number("heads"),
            intermediate_size: number("inter"),
            max_position_embeddings: number("max_pos"),
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
        };
        let (model, freeze) = (&self.config.model, self.config.train.freeze);
        let mut given = tensors(&self.name, "model");
        let named = self.inputs.contains_key("name_ids").then(|| given.remove("label_emb").expect("label embeddings"));
        let model = Classifier::new(&sizes, model, number("num_labels"), freeze, given, 1, &device()).expect("a model");
        if let Some(theirs) = named {
            let names: Vec<Vec<u32>> = self.pieces("name_ids", "name_lens").collect();
            model.name_labels(&names, self.special()).expect("named labels");
            let error = distance(model.params().get("label_emb").expect("label embeddings").value(), &theirs);
            assert!(error < TOLERANCE, "{}: the labels' names are off by {error:.1e}", self.name);
        }
        model
    }

    fn integers(&self, name: &str) -> Vec<i64> {
        let tensor = &self.inputs[name];
        tensor.to_dtype(candle_core::DType::I64).and_then(|t| t.flatten_all()?.to_vec1()).expect("integers")
    }

    /// Lists of tokens that lie end to end.
    fn pieces(&self, ids: &str, lengths: &str) -> impl Iterator<Item = Vec<u32>> {
        let mut ids = self.integers(ids).into_iter().map(|id| id as u32);
        self.integers(lengths).into_iter().map(move |length| ids.by_ref().take(length as usize).collect())
    }

    fn special(&self) -> Special {
        let token = |key: &str| self.reference[key].as_u64().expect("a token") as u32;
        Special { cls: token("cls"), sep: token("sep"), pad: 0, unknown: 1 }
    }

    fn batch(&self) -> Batch {
        let documents = self.pieces("doc_ids", "doc_lens").zip(0..).map(|(tokens, number)| {
            let windows = windows(tokens.len(), &self.config.model);
            Document { number, tokens, windows }
        });
        Batch::new(documents, self.special())
    }

    fn labels(&self) -> Vec<Vec<u32>> {
        let labels = self.integers("labels");
        if self.inputs["labels"].rank() == 1 {
            return labels.iter().map(|label| vec![*label as u32]).collect();
        }
        let classes = self.inputs["labels"].dim(1).expect("classes");
        let of = |row: &[i64]| (0..classes as u32).filter(|label| row[*label as usize] == 1).collect();
        labels.chunks_exact(classes).map(of).collect()
    }

    /// Mean loss of the batch, with gradients in the model's weights.
    fn backward(&self, model: &Classifier, fused: bool) -> (f64, Tensor) {
        let labels = self.labels();
        let pass = Pass { fused, ..Pass::training(None) };
        let logits = model.forward(&self.batch(), &pass).expect("logits");
        let counts = vec![1; logits.dim(1).expect("classes")];
        let criterion = Criterion::new(&self.config.train, &counts, counts.len());
        let whole = criterion.normaliser(labels.iter().map(Vec::as_slice));
        let mean = criterion.sum(&logits, &labels).and_then(|x| x.affine(1.0 / whole, 0.0)).expect("a loss");
        model.params().absorb(&mean.backward().expect("gradients")).expect("absorbed");
        (f64::from(mean.to_scalar::<f32>().expect("a number")), logits.detach())
    }
}

/// The sweep file that means what the reference's options say.
fn sweep_file(reference: &Value) -> String {
    let cfg = &reference["cfg"];
    let text = |key: &str| cfg[key].as_str().expect("a name").to_owned();
    let attention = |name: String| if name == "attn" { "attention".to_owned() } else { name };
    let (layers, pooling) = (&cfg["agg_layers"], attention(text("doc_pool")));
    let transformer = if layers.as_u64() == Some(0) { "pool" } else { "transformer" };
    let aggregator = match cfg["agg_kind"].as_str().unwrap_or(transformer) {
        "pool" => format!("{{ kind = \"{pooling}\", dropout = 0.0 }}"),
        "transformer" => format!(
            "{{ layers = {layers}, heads = {}, feed_forward = {}, activation = {}, norm = {}, pooling = \"{pooling}\", dropout = 0.0 }}",
            cfg["agg_heads"], cfg["agg_ff"], cfg["agg_act"], cfg["agg_norm"],
        ),
        "lstm" => format!("{{ kind = \"lstm\", layers = {layers}, pooling = \"{pooling}\", dropout = 0.0 }}"),
        kind => format!("{{ kind = \"{kind}\" }}"),
    };
    let segment_layers = cfg["seg_layers"].as_str().unwrap_or("last");
    let positions = if text("seg_pos") == "sin" { "sinusoidal".to_owned() } else { text("seg_pos") };
    let label_attention = if text("label_attn") == "lwan" { "label-wise".to_owned() } else { text("label_attn") };
    let loss = match text("loss").as_str() {
        "ce" => format!("loss = \"cross-entropy\"\nlabel_smoothing = {}", cfg["label_smoothing"]),
        "focal" => format!("loss = \"focal\"\nfocal_gamma = {}", cfg["focal_gamma"]),
        _ => "loss = \"bce\"".to_owned(),
    };
    let label = if text("loss") == "bce" { "labels" } else { "label" };
    format!(
        "[data]\npath = \"a.jsonl\"\n{label} = \"y\"\n[model]\nhidden = {}\nlayers = {}\nheads = {}\nsegment_len = {}\nstride = {}\n\
         max_segments = {}\nkeep = {}\nsegment_pooling = \"{}\"\n\
         segment_layers = \"{segment_layers}\"\nsegment_positions = \"{positions}\"\ndropout = 0.0\n\
         attention_dropout = 0.0\nhead_dropout = 0.0\naggregator = {aggregator}\nlabel_attention = \"{label_attention}\"\n\
         label_scale = {}\nlabel_projection = {}\nlabel_norm = {}\n[train]\n{loss}\nlearning_rate = {}\n\
         head_learning_rate = {}\nlayer_decay = {}\nweight_decay = {}\nclip_norm = {}\nwarmup_steps = {}\n\
         warmup_from_zero = true\n",
        cfg["hidden"],
        cfg["layers"],
        cfg["heads"],
        cfg["segment_len"],
        cfg["stride"],
        cfg["max_segments"],
        cfg["keep"],
        attention(text("seg_pool")),
        text("label_scale") == "sqrt",
        cfg["label_proj"],
        cfg["label_norm"],
        reference["lr"],
        reference["head_lr"],
        reference["layer_decay"],
        reference["weight_decay"],
        reference["clip"],
        reference["warmup_steps"],
    )
}

fn tensors(name: &str, file: &str) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(root().join(name).join(format!("{file}.safetensors")), &Device::Cpu)
        .expect("tensors")
}

fn flat(x: &Tensor) -> Vec<f64> {
    let x = x.to_dtype(candle_core::DType::F64).and_then(|x| x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1());
    x.expect("numbers")
}

/// Relative distance, with a floor under what is 0 in theory, as the reference compares.
fn distance(ours: &Tensor, theirs: &Tensor) -> f64 {
    let (ours, theirs) = (flat(ours), flat(theirs));
    assert_eq!(ours.len(), theirs.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(&theirs).map(|(a, b)| a - b));
    difference / norm(&mut theirs.iter().copied()).max(1e-6 * (theirs.len() as f64).sqrt())
}

fn check(name: &str, fused: bool) {
    let golden = Golden::read(name);
    let batch = golden.batch();
    let offsets: Vec<i64> = batch.documents.offsets.iter().map(|offset| *offset as i64).collect();
    assert_eq!(offsets, golden.integers("offsets"), "{name}: windows of the documents");
    let (ids, mask) = (golden.integers("ids"), golden.integers("mask"));
    let theirs: Vec<u32> = ids.iter().zip(mask).filter(|(_, mask)| *mask == 1).map(|(id, _)| *id as u32).collect();
    assert_eq!(&*batch.ids, theirs, "{name}: windows");

    let model = golden.model();
    let outputs = tensors(name, "outputs");
    let (loss, logits) = golden.backward(&model, fused);
    let of = |param: &Param| param.take_gradient().to_tensor(param.value().dims()).expect("a tensor");
    let gradients: HashMap<String, Tensor> =
        model.params().iter().filter_map(|param| Some((param.name().to_owned(), of(param)?))).collect();
    if fused {
        let loss = Tensor::new(&[loss], &Device::Cpu).expect("a tensor");
        let ours = HashMap::from([("logits".to_owned(), logits.clone()), ("loss".to_owned(), loss)]);
        leave(name, "outputs", &ours);
        leave(name, "grads", &gradients);
    }
    let close =
        |what: &str, error: f64| assert!(error < TOLERANCE, "{name} (fused: {fused}): {what} is off by {error:.1e}");
    close("logits", distance(&logits, &outputs["logits"]));
    let their_loss = flat(&outputs["loss"])[0];
    close("loss", ((loss - their_loss) / their_loss).abs());
    for (weight, theirs) in tensors(name, "grads") {
        let ours = gradients.get(&weight).unwrap_or_else(|| panic!("{name}: no gradient of {weight}"));
        // a key's bias has no gradient in theory: what there is of it is noise
        let noise = if weight.ends_with("key.bias") { 10.0 } else { 1.0 };
        close(&format!("the gradient of {weight}"), distance(ours, &theirs) / noise);
    }
    steps(&golden, &model, fused);
}

/// Writes tensors of ours into the folder for them, if one was asked for.
fn leave(name: &str, file: &str, tensors: &HashMap<String, Tensor>) {
    let Some(folder) = std::env::var_os("SWEEP_GOLDEN_OUT") else { return };
    let folder = PathBuf::from(folder).join(Path::new(name).file_name().expect("the name of a folder"));
    std::fs::create_dir_all(&folder).expect("made");
    candle_core::safetensors::save(tensors, folder.join(format!("{file}.safetensors"))).expect("written");
}

/// The reference's optimiser steps on the same batch.
fn steps(golden: &Golden, model: &Classifier, fused: bool) {
    let train = &golden.config.train;
    let layers = golden.reference["cfg"]["layers"].as_u64().expect("a number") as usize;
    let total = golden.reference["steps"].as_u64().expect("a number");
    let losses = std::fs::read_to_string(root().join(&golden.name).join("losses.json")).expect("losses");
    let losses: Vec<HashMap<String, f64>> = serde_json::from_str(&losses).expect("json");
    let mut optimiser = Optimiser::new(model.params(), train, layers).expect("an optimiser");
    for (step, theirs) in (0..total).zip(losses) {
        let (loss, _) = golden.backward(model, fused);
        let gradients = optimiser.gather(model.params(), 1.0).expect("gradients");
        let norm = gradients.norm();
        optimiser.step(gradients, train, schedule::factor(train, step, total)).expect("a step");
        let error = ((loss - theirs["loss"]) / theirs["loss"]).abs();
        assert!(error < TOLERANCE, "{}: the loss of step {step} is off by {error:.1e}", golden.name);
        // the reference measures no norm where it does not clip
        if train.clip_norm > 0.0 {
            let error = ((norm - theirs["grad_norm"]) / theirs["grad_norm"]).abs();
            assert!(error < TOLERANCE, "{}: the norm of step {step} is off by {error:.1e}", golden.name);
        }
    }
    if fused {
        leave(&golden.name, "steps", &model.params().tensors());
    }
    for (weight, theirs) in tensors(&golden.name, "steps") {
        // a key's bias has no gradient in theory: AdamW turns the noise of its rounding into whole steps
        if weight.ends_with("key.bias") || weight.ends_with("in_proj_bias") {
            continue;
        }
        let ours = model.params().get(&weight).expect("a weight");
        let error = distance(ours.value(), &theirs);
        assert!(error < TOLERANCE, "{} (fused: {fused}): {weight} after the steps is off by {error:.1e}", golden.name);
    }
}

#[test]
fn equal_to_the_reference() {
    let mut names: Vec<String> = std::fs::read_dir(root())
        .expect("fixtures")
        .filter_map(|entry| Some(entry.ok()?).filter(|entry| entry.path().is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    let others = std::env::var("SWEEP_GOLDEN").unwrap_or_default();
    names.extend(others.split(':').filter(|path| !path.is_empty()).map(str::to_owned));
    for name in names {
        for fused in [true, false] {
            check(&name, fused);
        }
    }
}
