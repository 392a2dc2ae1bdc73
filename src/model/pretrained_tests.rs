//! Encoders in the Hugging Face layout: those of the fixtures, which transformers has made and answered, and broken ones.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bert::{Bert, Dropouts};
use super::kernels::Rows;
use super::params::Maker;
use super::*;
use crate::spec::Freeze;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders").join(name)
}

/// Segments, and the last hidden states that transformers computes of them.
#[derive(Deserialize)]
struct Expected {
    segments: Vec<Vec<u32>>,
    states: Vec<Vec<Vec<f32>>>,
}

/// The largest difference between our hidden states and those of transformers.
fn difference(folder: &Path, expected: &Expected, fused: bool) -> f32 {
    let sizes = read_sizes(folder).expect("sizes");
    let given = read_weights(folder).expect("weights");
    let mut maker = Maker::new(given, 1, &Device::Cpu).expect("a maker");
    let dropouts = Dropouts { hidden: 0.0, attention: 0.0 };
    let freeze = Freeze { embeddings: false, layers: 0 };
    let bert = Bert::new(&mut maker, &sizes, dropouts, freeze).expect("an encoder");
    let mut offsets = vec![0];
    offsets.extend(expected.segments.iter().scan(0, |end, segment| {
        *end += segment.len();
        Some(*end)
    }));
    let segments = Sequences { offsets: offsets.into(), keys: vec![0; expected.segments.len()].into() };
    let ids = expected.segments.concat().into();
    let pass = Pass { fused, ..Pass::inference() };
    let ours =
        bert.states(&ids, &segments, 1, Rows::All, &pass).and_then(|x| x[0].to_vec2::<f32>()).expect("hidden states");
    let theirs: Vec<f32> = expected.states.iter().flatten().flatten().copied().collect();
    let ours: Vec<f32> = ours.into_iter().flatten().collect();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn encoders_answer_as_those_of_transformers() {
    for name in ["bert", "bert-shards", "bert-pickle", "xlm-roberta"] {
        let folder = fixture(name);
        let text = fs::read_to_string(folder.join("expected.json")).expect("answers");
        let expected: Expected = serde_json::from_str(&text).expect("answers");
        for fused in [true, false] {
            let difference = difference(&folder, &expected, fused);
            assert!(difference < 1e-5, "{name}, fused {fused}: {difference}");
        }
    }
}

#[test]
fn descriptions_count_what_is_used() {
    let bert = describe(&fixture("bert")).expect("a description");
    assert_eq!((bert.architecture.as_str(), bert.sizes.max_position_embeddings), ("bert", 16));
    // embeddings (20 words, 16 positions, 2 types, norm), and 2 layers; neither pooler nor head
    let layer = 4 * (16 * 16 + 16) + 2 * 16 * 24 + 24 + 16 + 4 * 16;
    assert_eq!(bert.parameters, (20 + 16 + 2 + 2) * 16 + 2 * layer);
    let roberta = describe(&fixture("xlm-roberta")).expect("a description");
    assert_eq!((roberta.architecture.as_str(), roberta.sizes.max_position_embeddings), ("xlm-roberta", 16));
    assert_eq!(roberta.parameters, (21 + 16 + 1 + 2) * 16 + 2 * layer);
}

/// A copy of a fixture that may be changed.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = Self(tempfile::tempdir().expect("a temporary directory"));
        for entry in fs::read_dir(fixture(name)).expect("a fixture").flatten() {
            fs::copy(entry.path(), copy.0.path().join(entry.file_name())).expect("copied");
        }
        copy
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn configure(&self, key: &str, value: Value) {
        let path = self.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
        config[key] = value;
        fs::write(path, config.to_string()).expect("written");
    }

    fn change_weights(&self, change: impl Fn(&mut BTreeMap<String, Tensor>)) {
        let path = self.path().join("model.safetensors");
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).expect("weights");
        let mut tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        change(&mut tensors);
        let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
        candle_core::safetensors::save(&tensors, path).expect("saved");
    }

    fn refused(&self) -> String {
        let described = describe(self.path()).map(|_| ()).expect_err("it cannot be used").to_string();
        let read = read_weights(self.path()).map(|_| ()).expect_err("it cannot be used").to_string();
        assert_eq!(described, read);
        described.replace(&self.path().display().to_string(), "DIR")
    }
}

#[test]
fn weights_are_found_under_any_prefix_and_in_any_precision() {
    let plain = read_weights(&fixture("xlm-roberta")).expect("weights");
    let copy = Copy::of("xlm-roberta");
    for (prefix, dtype) in [("roberta.", DType::F32), ("0.auto_model.", DType::F64)] {
        copy.change_weights(|tensors| {
            let old = std::mem::take(tensors).into_iter();
            let rename = |(name, x): (String, Tensor)| {
                let short = name.trim_start_matches("roberta.");
                (format!("{prefix}{short}"), x.to_dtype(dtype).expect("widened"))
            };
            tensors.extend(old.map(rename));
            tensors.insert("lm_head.bias".to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).expect("zeros"));
        });
        let renamed = read_weights(copy.path()).expect("weights");
        assert_eq!(renamed.len(), plain.len());
        for (name, tensor) in &renamed {
            let numbers = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("f32");
            assert_eq!(numbers(tensor), numbers(&plain[name]), "{prefix} {name}");
        }
    }
}

#[test]
fn what_cannot_be_used_is_said_with_its_reason() {
    let mut said = Vec::new();
    for (key, value) in [
        ("model_type", json!("gpt2")),
        ("model_type", Value::Null),
        ("hidden_act", json!("gelu_new")),
        ("position_embedding_type", json!("relative_key_query")),
        ("is_decoder", json!(true)),
        ("num_attention_heads", json!(3)),
        ("num_attention_heads", json!(0)),
        ("hidden_size", json!("wide")),
        ("vocab_size", Value::Null),
        ("num_hidden_layers", json!(4)),
        ("num_hidden_layers", json!(0)),
        ("vocab_size", json!(21)),
        ("max_position_embeddings", json!(512)),
    ] {
        let copy = Copy::of("bert");
        copy.configure(key, value);
        said.push(copy.refused());
    }
    let roberta = Copy::of("xlm-roberta");
    roberta.configure("max_position_embeddings", json!(2));
    said.push(roberta.refused());
    let garbled = Copy::of("bert");
    fs::write(garbled.path().join("config.json"), "{\"model_type\":").expect("written");
    said.push(garbled.refused());
    let quantised = Copy::of("bert");
    quantised.change_weights(|tensors| {
        let name = "bert.encoder.layer.0.attention.self.query.weight";
        let bytes = tensors[name].abs().and_then(|x| x.to_dtype(DType::U8)).expect("bytes");
        tensors.insert(name.to_owned(), bytes);
    });
    said.push(quantised.refused());
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn damaged_weight_files_are_seen_by_their_headers() {
    let mut said = Vec::new();
    let bert = Copy::of("bert");
    let weights = bert.path().join("model.safetensors");
    let whole = fs::read(&weights).expect("read");
    let longer = [whole.clone(), vec![0; 8]].concat();
    let garbled = [&whole[..8], &vec![b'x'; whole.len() - 8]].concat();
    for damaged in [&whole[..whole.len() - 100], &longer, &garbled, &whole[..100], &whole[..4], b"", &[255; 64]] {
        fs::write(&weights, damaged).expect("written");
        said.push(bert.refused());
    }
    fs::remove_file(&weights).expect("removed");
    said.push(bert.refused());
    let shards = Copy::of("bert-shards");
    fs::remove_file(shards.path().join("model-00002-of-00002.safetensors")).expect("removed");
    said.push(shards.refused());
    fs::write(shards.path().join("model.safetensors.index.json"), "{}").expect("written");
    said.push(shards.refused());
    let pickle = Copy::of("bert-pickle");
    let file = pickle.path().join("pytorch_model.bin");
    let whole = fs::read(&file).expect("read");
    for damaged in [&whole[..whole.len() / 2], b"\x80\x02older", b""] {
        fs::write(&file, damaged).expect("written");
        said.push(pickle.refused());
    }
    insta::assert_snapshot!(said.join("\n"));
}
