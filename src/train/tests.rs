//! What a trainer promises: exact gradients of the whole batch in any pieces, the same bits again, weights that are
//! scored as they should be.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};

use super::batches::{pieces, tokens};
use super::loss::Criterion;
use super::trainer::{Input, Limits, Piece, Trainer};
use crate::model::{Batch, Classifier, Document, Pass, Precision, Sizes};
use crate::spec::Config;
use crate::text::{Special, windows};

const SPECIAL: Special = Special { cls: 2, sep: 3, pad: 0, unknown: 1 };
const LABELS: [u32; 6] = [0, 1, 2, 1, 0, 0];

fn config(keys: &str) -> Config {
    let text = format!(
        "data.path = \"a.csv\"\n[model]\nhidden = 16\nheads = 2\nlayers = 2\nsegment_len = 12\nstride = 7\n\
         aggregator = {{ heads = 2 }}\n[train]\nlearning_rate = 1e-2\n{keys}"
    );
    Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn trainer(config: &Config, tokens: usize, precision: Precision) -> Trainer {
    let (sizes, device) = (Sizes::small(), Device::Cpu);
    let (model, train) = (&config.model, &config.train);
    let model = Classifier::new(&sizes, model, 3, train.freeze, HashMap::new(), 5, &device).expect("a model");
    Trainer::new(model, train, &[3, 2, 1], 6, Limits { tokens, precision }).expect("a trainer")
}

/// Documents of 3 to 88 tokens; what they are tells their label.
fn documents(config: &Config) -> Vec<Document> {
    let document = |(number, label): (u32, &u32)| {
        let tokens: Vec<u32> = (0..3 + 17 * number).map(|i| 4 + label * 8 + (i * 5 + number) % 8).collect();
        Document { number, windows: windows(tokens.len(), &config.model), tokens }
    };
    (0..).zip(&LABELS).map(document).collect()
}

/// The batch in pieces of at most so many tokens.
fn cut(config: &Config, most: usize) -> Vec<Piece> {
    let piece = |documents: Vec<Document>| Piece {
        documents: documents.iter().map(|document| document.number).collect(),
        labels: documents.iter().map(|document| vec![LABELS[document.number as usize]]).collect(),
        input: Input::Tokens(Batch::new(documents, SPECIAL)),
    };
    pieces(documents(config), most, tokens).into_iter().map(piece).collect()
}

fn gradients(trainer: &Trainer) -> HashMap<String, Vec<f32>> {
    let of = |param: &crate::model::Param| {
        let gradient = param.take_gradient().to_tensor(param.value().dims()).expect("a tensor");
        let numbers = gradient.map(|x| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("numbers"));
        (param.name().to_owned(), numbers.unwrap_or_default())
    };
    trainer.model().params().iter().map(|param| of(param)).collect()
}

/// Weights, moments and means.
fn numbers(trainer: &Trainer) -> BTreeMap<String, Vec<f32>> {
    let tensors = trainer.tensors().expect("weights").into_iter();
    tensors.map(|(name, x)| (name, x.flatten_all().and_then(|x| x.to_vec1()).expect("numbers"))).collect()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let floor = 1e-5 * (b.len() as f64).sqrt().max(1.0);
    norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b))) / norm(&mut b.iter().map(|x| f64::from(*x))).max(floor)
}

#[test]
fn the_gradients_are_those_of_the_whole_batch_in_any_pieces() {
    let cases = [
        "",
        "class_weights = \"inverse\"\nlabel_smoothing = 0.1",
        "loss = \"focal\"",
        "freeze = { embeddings = true, layers = 1 }",
    ];
    for keys in cases {
        let config = config(keys);
        let whole = trainer(&config, usize::MAX, Precision::F32);
        let loss = whole.add_gradients(&cut(&config, usize::MAX), Some(9), 1.0).expect("gradients");
        let expected = gradients(&whole);
        // 30: the longer documents go through in chunks of two or three segments, twice
        for tokens in [1, 30, 60, 200] {
            let parts = trainer(&config, tokens, Precision::F32);
            let pieces = cut(&config, tokens);
            assert!(pieces.len() > 1, "{tokens}");
            let found = parts.add_gradients(&pieces, Some(9), 1.0).expect("gradients");
            assert!((found - loss).abs() < 1e-5, "{keys}: {tokens} tokens: loss {found}, whole {loss}");
            for (name, gradient) in gradients(&parts) {
                let error = distance(&gradient, &expected[&name]);
                assert!(error < 1e-4, "{keys}: {tokens} tokens: {name} is off by {error:.1e}");
            }
        }
    }
}

#[test]
fn chunks_change_no_loss_curve() {
    let config = config("");
    let curve = |tokens: usize| -> Vec<f64> {
        let mut trainer = trainer(&config, tokens, Precision::F32);
        let pieces = cut(&config, tokens);
        (0..12).map(|step| trainer.step(&pieces, 1.0, Some(step)).expect("a step").loss).collect()
    };
    let (whole, chunks) = (curve(usize::MAX), curve(30));
    assert!(whole[11] < 0.7 * whole[0], "it learns: {whole:?}");
    for (a, b) in whole.iter().zip(&chunks) {
        assert!((a - b).abs() < 1e-4, "{whole:?} {chunks:?}");
    }
    assert_eq!(chunks, curve(30), "the same bits again");
}

#[test]
fn every_precision_overfits_a_handful() {
    for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
        let config = config("");
        let mut trainer = trainer(&config, usize::MAX, precision);
        let pieces = cut(&config, usize::MAX);
        let losses: Vec<f64> = (0..60).map(|_| trainer.step(&pieces, 1.0, None).expect("a step").loss).collect();
        assert!(losses[59] < 0.25 * losses[0], "{precision:?}: {losses:?}");
    }
}

#[test]
fn an_overflow_skips_the_step_and_halves_the_scale() {
    let config = config("");
    let mut trainer = trainer(&config, usize::MAX, Precision::F16);
    let pieces = cut(&config, usize::MAX);
    let before = trainer.tensors().expect("weights");
    // far beyond what f16 holds
    trainer.resume(usize::MAX, Some(serde_json::from_str("{\"scale\": 1e30, \"good_steps\": 3}").expect("a scaler")));
    let step = trainer.step(&pieces, 1.0, None).expect("a step");
    assert!(step.skipped && step.loss.is_finite(), "{step:?}");
    assert!((trainer.scaler.expect("a scaler").scale - 5e29).abs() < 1e20);
    for (name, tensor) in trainer.tensors().expect("weights") {
        let same = |x: &Tensor| x.flatten_all().and_then(|x| x.to_vec1::<f32>()).expect("numbers");
        assert_eq!(same(&tensor), same(&before[&name]), "{name} was moved");
    }
    trainer.resume(usize::MAX, Some(super::scaler::Scaler::default()));
    assert!(!trainer.step(&pieces, 1.0, None).expect("a step").skipped);
}

#[test]
fn a_running_mean_is_what_is_scored() {
    let config = config("ema = 0.9");
    let mut trainer = trainer(&config, usize::MAX, Precision::F32);
    let pieces = cut(&config, usize::MAX);
    let bias = |trainer: &Trainer| -> Vec<f32> {
        let param = trainer.model().params().get("classifier.bias").expect("a bias");
        param.value().to_vec1().expect("numbers")
    };
    // as the running mean should be
    let mut mean = bias(&trainer);
    for step in 1..=5u32 {
        trainer.step(&pieces, 1.0, None).expect("a step");
        let decay = 0.9f32.min((1.0 + step as f32) / (10.0 + step as f32));
        let now = bias(&trainer);
        mean.iter_mut().zip(now).for_each(|(mean, x)| *mean = decay * *mean + (1.0 - decay) * x);
    }
    let raw = bias(&trainer);
    let scored = trainer.scored(|trainer| bias(trainer)).expect("scored");
    assert!(distance(&scored, &mean) < 1e-5, "{scored:?} {mean:?}");
    assert_eq!(bias(&trainer), raw, "training goes on with the weights themselves");
    // a checkpoint brings both back
    let tensors = trainer.tensors().expect("weights");
    let mut other = self::trainer(&config, usize::MAX, Precision::F32);
    other.set(&tensors, 5).expect("set");
    assert_eq!((bias(&other), other.scored(|trainer| bias(trainer)).expect("scored")), (raw, scored));
}

#[test]
fn a_checkpoint_that_does_not_fit_changes_nothing() {
    let config = config("ema = 0.9");
    let mut trainer = trainer(&config, usize::MAX, Precision::F32);
    let fresh = numbers(&trainer);
    let mut other = self::trainer(&config, usize::MAX, Precision::F32);
    other.step(&cut(&config, usize::MAX), 1.0, None).expect("a step");
    let whole = other.tensors().expect("weights");
    // the first and the last that would be set, and those between them
    for name in ["adamw.first.agg.norm.bias", "average.label_emb", "bert.embeddings.LayerNorm.bias", "seg_pos.weight"] {
        let mut tensors = whole.clone();
        let tensor = tensors.remove(name).unwrap_or_else(|| panic!("{name}"));
        trainer.set(&tensors, 1).expect_err("it is missing");
        tensors.insert(name.to_owned(), Tensor::cat(&[&tensor, &tensor], 0).expect("longer"));
        trainer.set(&tensors, 1).expect_err("it is too long");
        assert_eq!(numbers(&trainer), fresh, "{name}");
    }
    trainer.set(&whole, 1).expect("set");
    assert_eq!(numbers(&trainer), numbers(&other));
}

#[test]
fn threads_change_no_bits() {
    for keys in ["", "freeze = { embeddings = true, layers = 1 }\nprecision = \"bf16\""] {
        let config = config(keys);
        let precision = if keys.is_empty() { Precision::F32 } else { Precision::Bf16 };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| {
                let mut trainer = trainer(&config, 60, precision);
                let pieces = cut(&config, 60);
                for step in 0..3 {
                    trainer.step(&pieces, 1.0, Some(step)).expect("a step");
                }
                numbers(&trainer)
            })
        };
        let alone = run(1);
        for threads in [2, 3] {
            assert!(run(threads) == alone, "{keys}: {threads} threads change the bits");
        }
    }
}

#[test]
fn a_batch_of_weighted_classes_is_divided_by_their_weights() {
    let config = config("class_weights = \"inverse\"");
    let model = trainer(&config, usize::MAX, Precision::F32);
    let pieces = cut(&config, usize::MAX);
    let loss = model.add_gradients(&pieces, None, 1.0).expect("gradients");
    // by hand: each document's own loss, times its class's weight, over the sum of the weights
    let plain = Criterion::new(&self::config("").train, &[3, 2, 1], 6);
    let weights = [3, 2, 1].map(|count| 6.0 / (3.0 * f64::from(count)));
    let (mut sum, mut whole) = (0.0, 0.0);
    for piece in cut(&config, 1) {
        let Input::Tokens(batch) = &piece.input else { panic!("tokens") };
        let logits = model.model().forward(batch, &Pass::training(None)).expect("logits");
        let own = plain.sum(&logits, &piece.labels).and_then(|x| x.to_scalar::<f32>()).expect("a loss");
        let weight = weights[piece.labels[0][0] as usize];
        sum += weight * f64::from(own);
        whole += weight;
    }
    assert!((loss - sum / whole).abs() < 1e-5, "{loss} {}", sum / whole);
}
