//! The encoder is BERT, and starts and stays as it is told to. What holds for every option is in
//! `option_tests`.

use std::collections::{BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::*;
use crate::spec::{Config, Freeze, Problems};
use crate::text::{Special, windows};

pub(super) const SPECIAL: Special = Special { cls: 2, sep: 3, pad: 0, unknown: 1 };
pub(super) const TRAINED: Freeze = Freeze { embeddings: false, layers: 0 };

/// The options, and small sizes for what they leave open.
pub(super) fn config(options: &str) -> Config {
    config_or(options).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) fn config_or(options: &str) -> Result<Config, Problems> {
    let base = "hidden = 8\nheads = 2\nlayers = 2\nintermediate = 12\nsegment_len = 8\nstride = 5\nmax_segments = 4\n\
                aggregator = { heads = 2 }";
    let given = |key: &str| options.lines().any(|line| line.starts_with(key));
    let base = base.lines().filter(|line| !given(line.split(" =").next().unwrap_or(line))).collect::<Vec<_>>();
    let text = format!("data.path = \"a.csv\"\n[model]\n{}\n{options}", base.join("\n"));
    Config::parse(&text)
}

pub(super) fn sizes() -> Sizes {
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

pub(super) fn classifier(config: &Config, freeze: Freeze) -> Classifier {
    Classifier::new(&sizes(), &config.model, 3, freeze, HashMap::new(), 5, &Device::Cpu).expect("a model")
}

pub(super) fn document(number: u32, length: u32) -> (u32, Vec<u32>) {
    (number, (0..length).map(|i| 4 + (i * 7 + number * 5) % 26).collect())
}

pub(super) fn batch(config: &Config, documents: &[(u32, Vec<u32>)]) -> Batch {
    let documents = documents.iter().map(|(number, tokens)| Document {
        number: *number,
        tokens: tokens.clone(),
        windows: windows(tokens.len(), &config.model),
    });
    Batch::new(documents, SPECIAL)
}

pub(super) fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("numbers")
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
        let trained = model.params().iter().filter(|param| !matches!(param.take_gradient(), Gradient::None));
        trained.map(|param| param.name().split('.').take(4).collect::<Vec<_>>().join(".")).collect()
    };
    let of = |freeze| names(freeze).into_iter().filter(|name| name.starts_with("bert")).collect::<Vec<_>>();
    assert!(of(Freeze { embeddings: true, layers: 2 }).is_empty());
    assert_eq!(of(Freeze { embeddings: true, layers: 1 }), ["bert.encoder.layer.1"]);
    assert!(names(Freeze { embeddings: true, layers: 2 }).contains("classifier.weight"));
}

#[test]
fn a_frozen_encoder_leaves_its_pooling_to_be_trained() {
    let frozen = Freeze { embeddings: true, layers: 2 };
    assert!(classifier(&config("segment_pooling = \"max\""), frozen).has_frozen_encoder());
    let config = config("segment_pooling = \"attention\"");
    let model = classifier(&config, frozen);
    assert!(!model.has_frozen_encoder(), "the query changes the segments' vectors");
    let batch = batch(&config, &[document(1, 17), document(2, 3)]);
    let logits = model.forward(&batch, &Pass::training(Some(3))).expect("logits");
    let gradients = logits.sqr().and_then(|x| x.sum_all()).and_then(|x| x.backward()).expect("gradients");
    model.params().absorb(&gradients).expect("absorbed");
    let query = model.params().get("seg_query").expect("a query");
    let gradient = query.take_gradient().to_tensor(query.value().dims()).expect("a tensor").expect("a gradient");
    assert!(flat(&gradient).iter().any(|x| *x != 0.0));
}

#[test]
fn layers_are_reinitialised_from_the_top() {
    let mut config = config("");
    let fresh =
        |config: &Config, given, seed| Classifier::new(&sizes(), &config.model, 3, TRAINED, given, seed, &Device::Cpu);
    let weights = |model: Classifier| model.params().tensors();
    let given = weights(fresh(&config, HashMap::new(), 1).expect("a model"));
    config.model.reinitialize_layers = 1;
    let (read, anew) = (
        weights(fresh(&config, given.clone(), 2).expect("a model")),
        weights(fresh(&config, HashMap::new(), 2).expect("a model")),
    );
    for (name, tensor) in &read {
        let expected = if name.starts_with("bert.encoder.layer.1.") { &anew[name] } else { &given[name] };
        assert_eq!(flat(tensor), flat(expected), "{name}");
    }
    config.model.reinitialize_layers = 3;
    let error = fresh(&config, given.clone(), 2).expect_err("too many").to_string();
    assert!(error.contains("model.reinitialize_layers: 3 is more than the encoder's 2 layers"), "{error}");
    config.model.reinitialize_layers = 1;
    let frozen = Freeze { embeddings: true, layers: usize::MAX };
    let error = Classifier::new(&sizes(), &config.model, 3, frozen, given, 2, &Device::Cpu).expect_err("frozen");
    assert!(error.to_string().contains("would never train all of them"), "{error}");
}

#[test]
fn labels_are_named_one_by_one() {
    let config = config("label_embeddings = \"names\"");
    let embeddings = |names: &[Vec<u32>]| {
        let model = Classifier::new(&sizes(), &config.model, names.len(), TRAINED, HashMap::new(), 5, &Device::Cpu);
        let model = model.expect("a model");
        model.name_labels(names, SPECIAL).expect("named");
        flat(model.params().get("label_emb").expect("label embeddings").value())
    };
    // more names than go through the encoder together, an empty one, and one longer than a window
    let names: Vec<Vec<u32>> = (0..40).map(|number| document(number, number % 12).1).collect();
    let together = embeddings(&names);
    for (name, together) in names.iter().zip(together.chunks_exact(8)) {
        for (a, b) in embeddings(std::slice::from_ref(name)).iter().zip(together) {
            assert!((a - b).abs() < 1e-6, "{name:?}");
        }
    }
    assert_eq!(embeddings(&[names[11].clone()]), embeddings(&[names[11][..6].to_vec()]));
    let model = classifier(&config, TRAINED);
    let error = model.name_labels(&names[..2], SPECIAL).expect_err("two names for three classes").to_string();
    assert!(error.contains("label embeddings are [3, 8], not [2, 8]"), "{error}");
    let model = classifier(&self::config("label_attention = \"none\""), TRAINED);
    assert!(model.name_labels(&names[..3], SPECIAL).is_err());
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
