//! Encoders in the Hugging Face layout: what a folder holds, and why it cannot be used if it cannot.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::bert::Sizes;
use super::weights::Weights;

#[derive(Debug, Error)]
pub enum PretrainedError {
    #[error("cannot read {}: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("{}: model_type {found:?} is not supported; {SUPPORTED} are (Chinese \"RoBERTa\" and MacBERT models are bert)", path.display())]
    Architecture { path: PathBuf, found: String },
    #[error("{}: {key} is {found}, only {wanted} is supported", path.display())]
    Option { path: PathBuf, key: &'static str, found: String, wanted: &'static str },
    #[error("{}: no weights in it: neither model.safetensors (or shards with model.safetensors.index.json) nor pytorch_model.bin", .0.display())]
    NoWeights(PathBuf),
    #[error("{}: weights are missing: {}", path.display(), names.join(", "))]
    MissingWeights { path: PathBuf, names: Vec<String> },
}

const SUPPORTED: &str = "bert, roberta, xlm-roberta and camembert";

/// A folder's encoder, as its files describe it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// `model_type` of its `config.json`.
    pub architecture: String,
    pub sizes: Sizes,
    /// Numbers in the weights that are used.
    pub parameters: u64,
}

/// What `config.json` says.
struct Config {
    architecture: String,
    sizes: Sizes,
    /// Rows of the table of positions that are never looked up: `RoBERTa` counts positions from behind its padding id
    /// (Liu 2019), so what is left of 514 is 512. They are not loaded, and positions count from 0 as in BERT.
    unused_positions: usize,
}

/// Reads the sizes of a folder's model.
pub fn read_sizes(folder: &Path) -> Result<Sizes, PretrainedError> {
    Config::read(folder).map(|config| config.sizes)
}

impl Config {
    fn read(folder: &Path) -> Result<Self, PretrainedError> {
        let path = folder.join("config.json");
        let read = |why: String| PretrainedError::Read { path: path.clone(), why };
        let text = fs::read_to_string(&path).map_err(|error| read(error.to_string()))?;
        let config: Value = serde_json::from_str(&text).map_err(|error| read(error.to_string()))?;
        let architecture = config["model_type"].as_str().unwrap_or("(none)").to_owned();
        let counts_from_padding = match architecture.as_str() {
            "bert" => false,
            "roberta" | "xlm-roberta" | "camembert" => true,
            _ => return Err(PretrainedError::Architecture { found: architecture, path }),
        };
        for (key, wanted) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
            if let Some(found) = config[key].as_str().filter(|found| *found != wanted) {
                return Err(PretrainedError::Option { key, found: found.to_owned(), wanted, path });
            }
        }
        for key in ["is_decoder", "add_cross_attention"] {
            if config[key].as_bool() == Some(true) {
                return Err(PretrainedError::Option { key, found: "true".to_owned(), wanted: "false", path });
            }
        }
        let number = |key: &str, default: Option<u64>| {
            let number = config[key].as_u64().or(default.filter(|_| config[key].is_null()));
            number
                .map(|number| number as usize)
                .ok_or_else(|| read(format!("{key} is {}, expected a number", config[key])))
        };
        let unused_positions = if counts_from_padding { number("pad_token_id", Some(1))? + 1 } else { 0 };
        let (hidden, heads) = (number("hidden_size", None)?, number("num_attention_heads", None)?);
        let sizes = Sizes {
            vocab_size: number("vocab_size", None)?,
            hidden_size: hidden,
            num_hidden_layers: number("num_hidden_layers", None)?,
            num_attention_heads: heads,
            intermediate_size: number("intermediate_size", None)?,
            max_position_embeddings: number("max_position_embeddings", None)?.saturating_sub(unused_positions),
            type_vocab_size: number("type_vocab_size", Some(2))?,
            layer_norm_eps: config["layer_norm_eps"].as_f64().unwrap_or(1e-12),
        };
        let counts = [
            ("vocab_size", sizes.vocab_size),
            ("hidden_size", hidden),
            ("num_hidden_layers", sizes.num_hidden_layers),
            ("num_attention_heads", heads),
            ("intermediate_size", sizes.intermediate_size),
            ("max_position_embeddings", sizes.max_position_embeddings),
            ("type_vocab_size", sizes.type_vocab_size),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(read(format!("{name} is {}, which is too small", config[name])));
        }
        if !hidden.is_multiple_of(heads) {
            return Err(read(format!("num_attention_heads ({heads}) must divide hidden_size ({hidden})")));
        }
        Ok(Self { architecture, sizes, unused_positions })
    }
}

/// Describes a folder's encoder. All the weights that its `config.json` promises are there; they are not read.
pub fn describe(folder: &Path) -> Result<Description, PretrainedError> {
    let Checkpoint { config, weights, .. } = Checkpoint::open(folder)?;
    let parameters = weights.iter().map(|weight| weight.shape.iter().product::<usize>() as u64).sum();
    Ok(Description { architecture: config.architecture, sizes: config.sizes, parameters })
}

/// The files that an encoder is read from, tokenizer aside.
pub fn encoder_files(folder: &Path) -> Result<Vec<PathBuf>, PretrainedError> {
    let weights = Weights::open(folder)?;
    let files = weights.files().into_iter().map(Path::to_owned);
    Ok([folder.join("config.json")].into_iter().chain(files).collect())
}

/// Reads the encoder's weights, under the names that the model gives them. Heads and poolers are left where they are.
pub fn read_weights(folder: &Path) -> Result<HashMap<String, Tensor>, PretrainedError> {
    let checkpoint = Checkpoint::open(folder)?;
    let read = |weight: &Weight| {
        let tensor = checkpoint.file.read(&weight.stored)?;
        let tensor = if weight.name == POSITIONS {
            let (unused, kept) = (checkpoint.config.unused_positions, weight.shape[0]);
            tensor
                .narrow(0, unused, kept)
                .and_then(|kept| kept.contiguous())
                .map_err(|error| PretrainedError::Read { path: checkpoint.file.path.clone(), why: error.to_string() })?
        } else {
            tensor
        };
        Ok((weight.name.clone(), tensor))
    };
    checkpoint.weights.iter().map(read).collect()
}

/// A folder whose weights are all there.
struct Checkpoint {
    config: Config,
    file: Weights,
    weights: Vec<Weight>,
}

/// A weight of the encoder.
struct Weight {
    /// That the model gives it.
    name: String,
    /// That the file gives it.
    stored: String,
    /// In the model.
    shape: Vec<usize>,
}

/// What tells where in a larger model the encoder is: its name without the prefix.
const WORDS: &str = "embeddings.word_embeddings.weight";
const POSITIONS: &str = "bert.embeddings.position_embeddings.weight";

impl Checkpoint {
    fn open(folder: &Path) -> Result<Self, PretrainedError> {
        let config = Config::read(folder)?;
        let file = Weights::open(folder)?;
        let prefix = file.names().filter_map(|name| name.strip_suffix(WORDS)).min_by_key(|prefix| prefix.len());
        let prefix = prefix.unwrap_or("bert.").to_owned();
        let stored: HashMap<String, &str> =
            file.names().filter_map(|name| Some((modern_name(name.strip_prefix(&prefix)?), name))).collect();
        let mut weights = Vec::new();
        let mut missing = Vec::new();
        for (name, shape) in expected(&config.sizes) {
            match stored.get(&name) {
                Some(stored) => {
                    weights.push(Weight { name: format!("bert.{name}"), stored: (*stored).to_owned(), shape });
                }
                None => missing.push(format!("{prefix}{name}")),
            }
        }
        if !missing.is_empty() {
            let more = missing.len().saturating_sub(NAMED);
            missing.truncate(NAMED);
            if more > 0 {
                missing.push(format!("and {more} more"));
            }
            return Err(PretrainedError::MissingWeights { path: file.path, names: missing });
        }
        for weight in &weights {
            let mut shape = weight.shape.clone();
            if weight.name == POSITIONS {
                shape[0] += config.unused_positions;
            }
            let (found, is_float) = file.shape(&weight.stored).unwrap_or_default();
            let why = if found != shape {
                format!("{} has the shape {found:?}, config.json says {shape:?}", weight.stored)
            } else if !is_float {
                format!("{} is no f32, f16, bf16 or f64: quantised models are not supported", weight.stored)
            } else {
                continue;
            };
            return Err(PretrainedError::Read { path: file.path, why });
        }
        Ok(Self { config, file, weights })
    }
}

/// Missing weights that are named.
const NAMED: usize = 5;

/// Today's names of a norm's weights.
fn modern_name(name: &str) -> String {
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

/// Names and shapes of the weights of these sizes, names without a prefix.
fn expected(sizes: &Sizes) -> impl Iterator<Item = (String, Vec<usize>)> + use<> {
    let (width, inner) = (sizes.hidden_size, sizes.intermediate_size);
    let embeddings = [
        ("word_embeddings.weight", vec![sizes.vocab_size, width]),
        ("position_embeddings.weight", vec![sizes.max_position_embeddings, width]),
        ("token_type_embeddings.weight", vec![sizes.type_vocab_size, width]),
        ("LayerNorm.weight", vec![width]),
        ("LayerNorm.bias", vec![width]),
    ];
    let embeddings = embeddings.into_iter().map(|(name, shape)| (format!("embeddings.{name}"), shape));
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
            let name = format!("encoder.layer.{index}.{part}");
            [(format!("{name}.weight"), weight), (format!("{name}.bias"), vec![bias])]
        })
    });
    embeddings.chain(layers)
}
