//! The model's laws, for every combination of its options that a sweep file may hold.

use std::collections::{BTreeMap, HashMap};

use candle_core::{Device, Tensor};

use super::kernels::mix;
use super::tests::{SPECIAL, TRAINED, batch, config_or, document, flat, sizes};
use super::*;
use crate::spec::Config;

const POOLINGS: [&str; 4] = ["cls", "mean", "max", "attention"];
const LAYERS: [&str; 2] = ["last", "last-four"];
const AGGREGATORS: [&str; 18] = [
    "kind = \"none\"",
    "kind = \"mean\"",
    "kind = \"max\"",
    "kind = \"attention\"",
    "heads = 2, layers = 0, pooling = \"mean\"",
    "heads = 2, layers = 0, pooling = \"attention\"",
    "heads = 2, pooling = \"mean\"",
    "heads = 2, pooling = \"max\", activation = \"relu\"",
    "heads = 2, pooling = \"token\"",
    "heads = 2, pooling = \"attention\", norm = \"post\"",
    "heads = 2, pooling = \"mean\", norm = \"post\", activation = \"relu\", feed_forward = 5, layers = 2",
    "heads = 2, pooling = \"token\", norm = \"post\"",
    "kind = \"lstm\", pooling = \"mean\"",
    "kind = \"lstm\", pooling = \"max\"",
    "kind = \"lstm\", pooling = \"attention\"",
    "kind = \"lstm\", layers = 2",
    "kind = \"logit-mean\"",
    "kind = \"logit-max\"",
];
const LABELS: [&str; 3] = ["none", "doc", "label-wise"];
const EMBEDDINGS: [&str; 2] = ["random", "names"];
/// Options that take turns instead of multiplying the walk.
const TURNS: [[&str; 2]; 3] = [
    ["label_projection = false", "label_projection = true"],
    ["label_norm = false", "label_norm = true"],
    ["label_scale = true", "label_scale = false"],
];
const POSITIONS: [&str; 3] = ["learned", "sinusoidal", "none"];
const CLASSES: usize = 3;

/// A configuration that a sweep file may hold.
struct Case {
    name: String,
    config: Config,
    index: usize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut index = 0;
    for pooling in POOLINGS {
        for layers in LAYERS {
            for aggregator in AGGREGATORS {
                for labels in LABELS {
                    for embeddings in EMBEDDINGS {
                        index += 1;
                        let draw = mix(index as u64) as usize;
                        let turn = |place: usize| TURNS[place][(draw >> place) & 1];
                        let positions = if aggregator.contains("logit") { "none" } else { POSITIONS[(draw >> 8) % 3] };
                        let name = format!(
                            "layers = 4\nsegment_pooling = \"{pooling}\"\nsegment_layers = \"{layers}\"\n\
                             aggregator = {{ {aggregator} }}\nlabel_attention = \"{labels}\"\n\
                             label_embeddings = \"{embeddings}\"\nsegment_positions = \"{positions}\"\n{}\n{}\n{}",
                            turn(0),
                            turn(1),
                            turn(2)
                        );
                        if let Ok(config) = config_or(&name) {
                            cases.push(Case { name, config, index });
                        }
                    }
                }
            }
        }
    }
    cases
}

/// A model whose weights are large enough for their gradients to be seen.
fn model(case: &Case) -> Classifier {
    let deeper = Sizes { num_hidden_layers: 4, ..sizes() };
    let model = Classifier::new(&deeper, &case.config.model, CLASSES, TRAINED, HashMap::new(), 5, &Device::Cpu);
    let model = model.unwrap_or_else(|error| panic!("{}: {error}", case.name));
    for param in model.params().iter() {
        // norms start at one, biases at zero
        let starts_small = param.value().rank() > 1 || !param.name().contains('.');
        let factor = if starts_small { 10.0 } else { 1.0 };
        param.var().set(&param.value().affine(factor, 0.0).expect("scaled")).expect("set");
    }
    if case.config.model.label_embeddings == crate::spec::LabelEmbeddings::Names {
        let names: Vec<Vec<u32>> = (0..CLASSES as u32).map(|class| document(class + 9, class + 1).1).collect();
        model.name_labels(&names, SPECIAL).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    model
}

/// A loss that no two logits enter alike, in f64.
fn loss(logits: &Tensor) -> f64 {
    flat(logits).iter().zip(0..).map(|(x, i)| weight(i) * f64::from(*x).powi(2)).sum()
}

fn weight(index: usize) -> f64 {
    [0.7, -1.1, 0.4, 1.3, -0.6, 0.9, -0.3][index % 7]
}

/// Gradients of the loss by name.
fn gradients(model: &Classifier, logits: &Tensor) -> BTreeMap<String, Vec<f32>> {
    let weights = Tensor::from_iter((0..logits.elem_count()).map(|i| weight(i) as f32), &Device::Cpu)
        .and_then(|weights| weights.reshape(logits.dims()));
    let loss = weights.and_then(|weights| logits.sqr()?.mul(&weights)?.sum_all()).expect("a loss");
    model.params().absorb(&loss.backward().expect("gradients")).expect("absorbed");
    let of = |param: &Param| {
        Some((
            param.name().to_owned(),
            flat(&param.take_gradient().to_tensor(param.value().dims()).expect("a tensor")?),
        ))
    };
    model.params().iter().filter_map(|param| of(param)).collect()
}

#[test]
fn every_option_keeps_the_laws() {
    let cases = cases();
    // the others are refused: pooled by nothing, pooled for nobody, or without labels to embed
    assert_eq!(cases.len(), 568, "combinations that a sweep file may hold");
    for case in &cases {
        keeps_the_laws(case);
    }
}

fn keeps_the_laws(case: &Case) {
    let name = &case.name;
    let model = model(case);
    let documents = [document(1, 17), document(2, 3), document(3, 40)];
    let whole = batch(&case.config, &documents);
    let pass = |fused| Pass { fused, ..Pass::training(Some(3)) };
    let logits = |batch: &Batch, pass: &Pass| {
        let logits = model.forward(batch, pass).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(logits.dims(), [batch.documents.count(), CLASSES], "{name}");
        logits
    };
    let together = logits(&whole, &pass(true));
    let scale = flat(&together).iter().fold(1f32, |most, x| most.max(x.abs()));
    assert!(flat(&together).iter().all(|x| x.is_finite()), "{name}: {together}");

    // every weight is trained
    let fused = gradients(&model, &together);
    for param in model.params().iter() {
        let gradient = fused.get(param.name()).unwrap_or_else(|| panic!("{name}: no gradient of {}", param.name()));
        // a softmax does not see what is added to all of its scores
        let blind = param.name().ends_with("key.bias");
        assert!(blind || gradient.iter().any(|x| *x != 0.0), "{name}: the gradient of {} is 0", param.name());
    }

    // the fused operations are the plain ones
    let plain = logits(&whole, &pass(false));
    for (a, b) in flat(&together).iter().zip(flat(&plain)) {
        assert!((a - b).abs() < 1e-5 * scale, "{name}: fused {together}, plain {plain}");
    }
    for (weight, plain) in gradients(&model, &plain) {
        let largest = plain.iter().fold(1e-2f32, |most, x| most.max(x.abs()));
        for (a, b) in fused[&weight].iter().zip(&plain) {
            assert!((a - b).abs() < 1e-4 * largest, "{name}: the gradient of {weight} is {a} fused, {b} plain");
        }
    }

    // a document's logits are its own, with dropout too
    for (index, document) in documents.iter().enumerate() {
        let alone = logits(&batch(&case.config, std::slice::from_ref(document)), &pass(true));
        for (a, b) in flat(&alone).iter().zip(&flat(&together)[index * CLASSES..]) {
            assert!((a - b).abs() <= 5e-6 * scale, "{name}: document {index}: {a} alone, {b} together");
        }
    }

    // finite differences agree, at the steepest place of some weights
    for offset in 0..2 {
        let weights: Vec<_> = model.params().iter().collect();
        let param = weights[(case.index * 7 + offset * 13) % weights.len()];
        let gradient = &fused[param.name()];
        let steepest = (0..gradient.len()).max_by(|a, b| gradient[*a].abs().total_cmp(&gradient[*b].abs()));
        let (place, start) = (steepest.expect("a weight"), flat(param.value()));
        let at = |step: f32| {
            let mut moved = start.clone();
            moved[place] += step;
            let moved = Tensor::from_vec(moved, param.value().dims(), &Device::Cpu).expect("a tensor");
            param.var().set(&moved).expect("set");
            loss(&logits(&whole, &Pass { gradients: false, ..pass(true) }))
        };
        let gradient = f64::from(gradient[place]);
        let agrees = |step: &f32| {
            let slope = (at(*step) - at(-step)) / f64::from(2.0 * step);
            (slope - gradient).abs() < 0.02 * slope.abs() + 2e-3 * f64::from(scale)
        };
        assert!(STEPS.iter().any(agrees), "{name}: {}[{place}] has no slope of {gradient}", param.name());
        at(0.0);
    }
}

/// Of the finite differences: a longer one may cross the place where another row becomes the largest.
const STEPS: [f32; 2] = [2e-3, 3e-4];
