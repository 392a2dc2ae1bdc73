//! The model's laws: every weight is trained, a document's logits are its own, and the encoder is BERT.

use std::collections::{BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::*;
use crate::spec::{Config, Freeze, Spec};
use crate::text::{Special, windows};

const SPECIAL: Special = Special { cls: 2, sep: 3, pad: 0, unknown: 1 };
const TRAINED: Freeze = Freeze { embeddings: false, layers: 0 };

/// Option sets that together walk all of the model's options.
const OPTIONS: [&str; 8] = [
    "",
    "aggregator = { heads = 2, norm = \"post\", activation = \"relu\", pooling = \"max\" }\nsegment_positions = \"sinusoidal\"",
    "aggregator.pooling = \"token\"\nlabel_attention = \"label-wise\"\nlabel_projection = true",
    "aggregator.pooling = \"attention\"\nlabel_attention = \"none\"\nsegment_pooling = \"mean\"",
    "aggregator.kind = \"max\"\nlabel_projection = true\nlabel_norm = true\nsegment_positions = \"none\"",
    "aggregator.kind = \"none\"\nlabel_attention = \"label-wise\"\nlabel_scale = false",
    "aggregator.kind = \"attention\"\nlabel_scale = false",
    "aggregator = { kind = \"mean\" }\nkeep = \"tail\"\nmax_segments = 2",
];

/// The options, and small sizes for what they leave open.
fn config(options: &str) -> Config {
    let base = "hidden = 8\nheads = 2\nlayers = 2\nintermediate = 12\nsegment_len = 8\nstride = 5\nmax_segments = 4";
    let given = |key: &str| options.lines().any(|line| line.starts_with(key));
    let base = base.lines().filter(|line| !given(line.split(" =").next().unwrap_or(line))).collect::<Vec<_>>();
    let heads = if given("aggregator = {") || given("aggregator.kind") { "" } else { "aggregator.heads = 2" };
    let text = format!("data.path = \"a.csv\"\n[model]\n{}\n{heads}\n{options}", base.join("\n"));
    Spec::parse("x", &text, &[]).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn sizes() -> Sizes {
    Sizes {
        vocab_size: 30,
        hidden_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 12,
        max_position_embeddings: 8,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
    }
}

fn classifier(config: &Config, freeze: Freeze) -> Classifier {
    Classifier::new(&sizes(), &config.model, 3, freeze, HashMap::new(), 5, &Device::Cpu).expect("a model")
}

fn document(number: u32, length: u32) -> (u32, Vec<u32>) {
    (number, (0..length).map(|i| 4 + (i * 7 + number * 5) % 26).collect())
}

fn batch(config: &Config, documents: &[(u32, Vec<u32>)]) -> Batch {
    let documents = documents.iter().map(|(number, tokens)| Document {
        number: *number,
        tokens: tokens.clone(),
        windows: windows(tokens.len(), &config.model),
    });
    Batch::new(documents, SPECIAL)
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("numbers")
}

#[test]
fn every_weight_gets_a_gradient() {
    for options in OPTIONS {
        let config = config(options);
        for fused in [true, false] {
            let model = classifier(&config, TRAINED);
            let batch = batch(&config, &[document(1, 17), document(2, 3), document(3, 40)]);
            let pass = Pass { fused, ..Pass::training(Some(3)) };
            let loss = model.forward(&batch, &pass).and_then(|x| x.sqr()?.sum_all()).expect("a loss");
            model.params().absorb(&loss.backward().expect("gradients")).expect("absorbed");
            for param in model.params().iter() {
                let gradient = param.take_gradient().expect("taken");
                let gradient = gradient.unwrap_or_else(|| panic!("{options}: {} has no gradient", param.name()));
                let largest = flat(&gradient).iter().fold(0f32, |most, x| most.max(x.abs()));
                // the softmax does not see what is added to every key; the last bias of a mean-free norm neither
                let blind = param.name().ends_with("key.bias") || param.name().ends_with("label_k.weight");
                assert!(largest > 0.0 || blind, "{options}: the gradient of {} is 0", param.name());
            }
        }
    }
}

#[test]
fn a_documents_logits_are_its_own() {
    let documents: Vec<_> =
        [17, 1, 40, 6, 7, 23].iter().zip(1..).map(|(length, number)| document(number, *length)).collect();
    for options in OPTIONS {
        let config = config(options);
        let model = classifier(&config, TRAINED);
        // with dropout too: a mask belongs to a document, not to a place in a batch
        for pass in [Pass::inference(), Pass::training(Some(9))] {
            let together = flat(&model.forward(&batch(&config, &documents), &pass).expect("logits"));
            for (index, document) in documents.iter().enumerate() {
                let alone =
                    flat(&model.forward(&batch(&config, std::slice::from_ref(document)), &pass).expect("logits"));
                for (a, b) in alone.iter().zip(&together[3 * index..]) {
                    assert!(
                        (a - b).abs() < 1e-6,
                        "{options}: document {index}: {alone:?} alone, {together:?} together"
                    );
                }
            }
        }
    }
}

#[test]
fn fused_and_plain_give_the_same() {
    for options in OPTIONS {
        let config = config(options);
        let model = classifier(&config, TRAINED);
        let batch = batch(&config, &[document(1, 17), document(2, 3)]);
        let logits = |fused| flat(&model.forward(&batch, &Pass { fused, ..Pass::training(Some(3)) }).expect("logits"));
        for (a, b) in logits(true).iter().zip(logits(false)) {
            assert!((a - b).abs() < 1e-6, "{options}: fused {a}, plain {b}");
        }
    }
}

#[test]
fn what_is_frozen_stays_and_the_rest_learns() {
    let config = config("");
    let names = |freeze: Freeze| -> BTreeSet<String> {
        let model = classifier(&config, freeze);
        let batch = batch(&config, &[document(1, 17), document(2, 3)]);
        let logits = model.forward(&batch, &Pass::training(Some(3))).expect("logits");
        let gradients = logits.sqr().and_then(|x| x.sum_all()).and_then(|x| x.backward()).expect("gradients");
        model.params().absorb(&gradients).expect("absorbed");
        let trained = model.params().iter().filter(|param| param.take_gradient().expect("taken").is_some());
        trained.map(|param| param.name().split('.').take(4).collect::<Vec<_>>().join(".")).collect()
    };
    let of = |freeze| names(freeze).into_iter().filter(|name| name.starts_with("bert")).collect::<Vec<_>>();
    assert!(of(Freeze { embeddings: true, layers: 2 }).is_empty());
    assert_eq!(of(Freeze { embeddings: true, layers: 1 }), ["bert.encoder.layer.1"]);
    assert!(names(Freeze { embeddings: true, layers: 2 }).contains("classifier.weight"));
}

#[test]
fn the_encoder_is_bert() {
    let config = config("dropout = 0.0\nattention_dropout = 0.0");
    let model = classifier(&config, TRAINED);
    let weights: HashMap<String, Tensor> = model.params().tensors();
    let builder = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
    let peer_config = serde_json::json!({
        "vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.0, "max_position_embeddings": 8, "type_vocab_size": 2,
        "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0, "model_type": "bert",
    });
    let peer_config = serde_json::from_value(peer_config).expect("a configuration");
    let peer = candle_transformers::models::bert::BertModel::load(builder.pp("bert"), &peer_config).expect("a model");
    let batch = batch(&config, &[document(1, 6), document(2, 3)]);
    let ours = flat(&model.encode(&batch, &Pass::inference()).expect("vectors"));
    let rows = [(0, 8, 8), (8, 13, 8)].map(|(start, end, length): (usize, usize, usize)| {
        let mut ids = batch.ids[start..end].to_vec();
        let mask: Vec<u32> = (0..length).map(|i| u32::from(i < ids.len())).collect();
        ids.resize(length, 0);
        (ids, mask)
    });
    let tensor = |rows: Vec<Vec<u32>>| Tensor::new(rows, &Device::Cpu).expect("a tensor");
    let ids = tensor(rows.iter().map(|(ids, _)| ids.clone()).collect());
    let mask = tensor(rows.iter().map(|(_, mask)| mask.clone()).collect());
    let theirs = peer.forward(&ids, &ids.zeros_like().expect("zeros"), Some(&mask)).expect("states");
    let theirs = flat(&theirs.narrow(1, 0, 1).expect("the first token"));
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-5, "ours {ours:?}, theirs {theirs:?}");
    }
}

#[test]
fn folders_load_under_old_and_new_names_and_bad_ones_say_why() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let error = |what: &str| {
        let error = describe(path).and_then(|_| read_weights(path)).map(|_| ());
        let text = error.expect_err(what).to_string().replace(&path.display().to_string(), "DIR");
        assert!(text.contains(what), "{text}");
    };
    error("config.json");
    let write =
        |config: serde_json::Value| std::fs::write(path.join("config.json"), config.to_string()).expect("written");
    let mut config = serde_json::to_value(sizes()).expect("json");
    write(config.clone());
    error("model_type");
    config["model_type"] = "gpt2".into();
    write(config.clone());
    error("model_type \"gpt2\" is not supported; bert, roberta, xlm-roberta and camembert are");
    config["model_type"] = "bert".into();
    config["hidden_act"] = "relu".into();
    write(config.clone());
    error("hidden_act");
    config["hidden_act"] = "gelu".into();
    write(config);
    error("neither model.safetensors (or shards with model.safetensors.index.json) nor pytorch_model.bin");
    let model = classifier(&self::config(""), TRAINED);
    let old_name = |name: &str| {
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        name.trim_start_matches("bert.").to_owned()
    };
    let all = model.params().tensors();
    let bert: HashMap<String, Tensor> =
        all.iter().filter(|(name, _)| name.starts_with("bert.")).map(|(name, x)| (old_name(name), x.clone())).collect();
    let weights = path.join("model.safetensors");
    candle_core::safetensors::save(&bert, &weights).expect("saved");
    let read = read_weights(path).expect("weights");
    for (name, tensor) in all.iter().filter(|(name, _)| name.starts_with("bert.")) {
        assert_eq!(flat(&read[name]), flat(tensor), "{name}");
    }
    let whole = std::fs::read(&weights).expect("read");
    std::fs::write(&weights, &whole[..whole.len() - 100]).expect("written");
    error("cannot read DIR/model.safetensors");
    let some = bert.into_iter().filter(|(name, _)| !name.contains("layer.1.output.dense")).collect();
    candle_core::safetensors::save(&some, &weights).expect("saved");
    error("weights are missing: encoder.layer.1.output.dense.weight, encoder.layer.1.output.dense.bias");
    std::fs::remove_file(&weights).expect("removed");
    std::fs::write(path.join("pytorch_model.bin"), b"\x80\x02old").expect("written");
    error("older than PyTorch 1.6");
}
