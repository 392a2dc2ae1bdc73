//! Encoders in the Hugging Face layout: what a folder holds, and why it cannot be used if it cannot.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;
use thiserror::Error;

use super::bert::Sizes;

#[derive(Debug, Error)]
pub enum PretrainedError {
    #[error("{}: no such directory: model.encoder is \"scratch\" or a directory in the Hugging Face layout (models of the hub must be downloaded first)", .0.display())]
    Missing(PathBuf),
    #[error("cannot read {}: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("{}: model_type {found:?} is not supported, only \"bert\"", path.display())]
    Architecture { path: PathBuf, found: String },
    #[error("{}: {key} is {found}, only {wanted} is supported", path.display())]
    Option { path: PathBuf, key: &'static str, found: String, wanted: &'static str },
    #[error("{}: neither model.safetensors nor pytorch_model.bin in it", .0.display())]
    NoWeights(PathBuf),
    #[error("{}: weights are missing: {}", path.display(), names.join(", "))]
    MissingWeights { path: PathBuf, names: Vec<String> },
}

/// Reads the sizes of a folder's model.
pub fn read_sizes(folder: &Path) -> Result<Sizes, PretrainedError> {
    if !folder.is_dir() {
        return Err(PretrainedError::Missing(folder.to_owned()));
    }
    let path = folder.join("config.json");
    let read = |why: String| PretrainedError::Read { path: path.clone(), why };
    let text = fs::read_to_string(&path).map_err(|error| read(error.to_string()))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| read(error.to_string()))?;
    let found = config["model_type"].as_str().unwrap_or("nothing").to_owned();
    if found != "bert" {
        return Err(PretrainedError::Architecture { path, found });
    }
    for (key, wanted) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
        if let Some(found) = config[key].as_str().filter(|found| *found != wanted) {
            return Err(PretrainedError::Option { path: path.clone(), key, found: found.to_owned(), wanted });
        }
    }
    let mut with_defaults = config.clone();
    for (key, default) in [("type_vocab_size", Value::from(2)), ("layer_norm_eps", Value::from(1e-12))] {
        if config[key].is_null() {
            with_defaults[key] = default;
        }
    }
    let sizes: Sizes = serde_json::from_value(with_defaults).map_err(|error| read(error.to_string()))?;
    let (hidden, heads) = (sizes.hidden_size, sizes.num_attention_heads);
    let counts = [
        sizes.vocab_size,
        hidden,
        heads,
        sizes.intermediate_size,
        sizes.max_position_embeddings,
        sizes.type_vocab_size,
    ];
    if counts.contains(&0) {
        return Err(read("a size is 0".to_owned()));
    }
    if !hidden.is_multiple_of(heads) {
        return Err(read(format!("num_attention_heads ({heads}) must divide hidden_size ({hidden})")));
    }
    Ok(sizes)
}

/// Reads the encoder's weights, under the names that the model gives them. Files older than PyTorch 1.6 and those of
/// other architectures are refused.
pub fn read_weights(folder: &Path, sizes: &Sizes) -> Result<HashMap<String, Tensor>, PretrainedError> {
    let (path, tensors) = read_tensors(folder)?;
    let weights: HashMap<String, Tensor> =
        tensors.into_iter().map(|(name, tensor)| (modern_name(&name), tensor)).collect();
    let expected: Vec<(String, Vec<usize>)> = expected(sizes).collect();
    let missing = expected.iter().filter(|(name, _)| !weights.contains_key(name));
    let mut names: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
    if !names.is_empty() {
        let more = names.len().saturating_sub(5);
        names.truncate(5);
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        return Err(PretrainedError::MissingWeights { path, names });
    }
    for (name, shape) in expected {
        let found = weights[&name].dims();
        if found != shape {
            let why = format!("{name} has the shape {found:?}, config.json says {shape:?}");
            return Err(PretrainedError::Read { path, why });
        }
    }
    Ok(weights)
}

fn read_tensors(folder: &Path) -> Result<(PathBuf, Vec<(String, Tensor)>), PretrainedError> {
    let safetensors = folder.join("model.safetensors");
    if safetensors.exists() {
        let read = |why: candle_core::Error| PretrainedError::Read { path: safetensors.clone(), why: plain(&why) };
        let tensors = candle_core::safetensors::load(&safetensors, &Device::Cpu).map_err(read)?;
        return Ok((safetensors, tensors.into_iter().collect()));
    }
    let pickle = folder.join("pytorch_model.bin");
    if pickle.exists() {
        let read = |why: candle_core::Error| {
            let why = plain(&why);
            let hint =
                if why.contains("EOCD") { " (a file older than PyTorch 1.6: save it anew as safetensors)" } else { "" };
            PretrainedError::Read { path: pickle.clone(), why: format!("{why}{hint}") }
        };
        let tensors = candle_core::pickle::read_all(&pickle).map_err(read)?;
        return Ok((pickle, tensors));
    }
    Err(PretrainedError::NoWeights(folder.to_owned()))
}

/// The message without the backtrace that candle appends.
fn plain(error: &candle_core::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// With the `bert.` prefix, and with today's names of a norm's weights.
fn modern_name(name: &str) -> String {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    let name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
    format!("bert.{name}")
}

/// Names and shapes of the weights of these sizes.
fn expected(sizes: &Sizes) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
    let (width, inner) = (sizes.hidden_size, sizes.intermediate_size);
    let embeddings = [
        ("word_embeddings.weight", vec![sizes.vocab_size, width]),
        ("position_embeddings.weight", vec![sizes.max_position_embeddings, width]),
        ("token_type_embeddings.weight", vec![sizes.type_vocab_size, width]),
        ("LayerNorm.weight", vec![width]),
        ("LayerNorm.bias", vec![width]),
    ];
    let embeddings = embeddings.into_iter().map(|(name, shape)| (format!("bert.embeddings.{name}"), shape));
    let linear = [
        ("attention.self.query", [width, width]),
        ("attention.self.key", [width, width]),
        ("attention.self.value", [width, width]),
        ("attention.output.dense", [width, width]),
        ("intermediate.dense", [inner, width]),
        ("output.dense", [width, inner]),
    ];
    let linear = linear.into_iter().map(|(part, shape)| (part, shape.to_vec(), shape[0]));
    let norms =
        ["attention.output.LayerNorm", "output.LayerNorm"].into_iter().map(move |part| (part, vec![width], width));
    let parts: Vec<(&str, Vec<usize>, usize)> = linear.chain(norms).collect();
    let layers = (0..sizes.num_hidden_layers).flat_map(move |index| {
        let layer = parts.clone().into_iter();
        layer.flat_map(move |(part, weight, bias)| {
            let name = format!("bert.encoder.layer.{index}.{part}");
            [(format!("{name}.weight"), weight), (format!("{name}.bias"), vec![bias])]
        })
    });
    embeddings.chain(layers)
}
