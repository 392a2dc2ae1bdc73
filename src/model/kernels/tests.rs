//! Every fused operation against candle's own operations, forward and backward, and against finite differences.

use std::collections::HashMap;

use candle_core::{Tensor, Var};

use super::*;
use crate::model::gradient::Gradient;
use crate::model::params::{Maker, Param, Params, Start};

/// Three sequences of 5, 1 and 12 rows.
fn sequences() -> Sequences {
    Sequences { offsets: [0, 5, 6, 18].into(), keys: [11, 22, 33].into() }
}

fn tensor(rows: usize, width: usize, seed: u64) -> Var {
    let numbers: Vec<f32> =
        (0..rows * width).map(|i| (mix(seed ^ (i as u64) << 20) >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect();
    Var::from_tensor(&Tensor::from_vec(numbers, (rows, width), &Device::Cpu).expect("a tensor")).expect("a variable")
}

fn maker() -> Maker {
    Maker::new(HashMap::new(), 3, &Device::Cpu).expect("a maker")
}

struct Outcome {
    y: Vec<f32>,
    gradients: Vec<Vec<f32>>,
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().and_then(|x| x.to_vec1()).expect("numbers")
}

fn training(fused: bool) -> Pass {
    Pass { fused, ..Pass::training(Some(7)) }
}

/// The result, and the gradients of sum(y * y * fixed weights) with respect to inputs and parameters.
fn outcome(inputs: &[&Var], params: &Params, pass: &Pass, f: &(dyn Fn(&Pass) -> Tensor + Sync)) -> Outcome {
    let y = f(pass);
    let weights = tensor(y.dim(0).expect("rows"), y.dim(1).expect("columns"), 99);
    let loss = y.mul(&y).and_then(|y| y.mul(&weights.detach())).and_then(|y| y.sum_all()).expect("a loss");
    let gradients = loss.backward().expect("gradients");
    params.absorb(&gradients).expect("absorbed");
    let of_inputs = inputs.iter().map(|x| gradients.get(x).map(flat).unwrap_or_default());
    let of_params = params.iter().map(|p| {
        p.take_gradient().to_tensor(p.value().dims()).expect("a tensor").map(|g| flat(&g)).unwrap_or_default()
    });
    Outcome { y: flat(&y), gradients: of_inputs.chain(of_params).collect() }
}

/// Up to `tolerance` of the largest number, or of `scale` if that is larger.
fn close(a: &[f32], b: &[f32], scale: f32, tolerance: f32, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = b.iter().fold(scale, |most, x| most.max(x.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}[{i}]: {a}, expected {b}");
    }
}

fn check(name: &str, inputs: &[&Var], params: &Params, f: &(dyn Fn(&Pass) -> Tensor + Sync)) {
    let [fused, plain] = [true, false].map(|fused| outcome(inputs, params, &training(fused), f));
    assert_eq!(fused.gradients.len(), inputs.len() + params.iter().count());
    close(&fused.y, &plain.y, 1e-3, 1e-5, name);
    // what is 0 in theory, as the gradient of a key's bias is, is noise
    let largest = plain.gradients.iter().flatten().fold(1e-2f32, |most, x| most.max(x.abs()));
    for (index, (a, b)) in fused.gradients.iter().zip(&plain.gradients).enumerate() {
        assert!(!a.is_empty(), "{name}: no gradient {index}");
        close(a, b, 0.1 * largest, 1e-5, &format!("{name}: gradient {index}"));
    }
    finite_differences(name, inputs, f, &fused);
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let again = pool.install(|| outcome(inputs, params, &training(true), f));
        let same = again.y == fused.y && again.gradients == fused.gradients;
        assert!(same, "{name}: {threads} threads change the bits");
    }
}

fn length(x: impl Iterator<Item = f32>) -> f32 {
    x.map(|x| x * x).sum::<f32>().sqrt()
}

/// The gradients of a few input elements by central differences.
fn finite_differences(name: &str, inputs: &[&Var], f: &(dyn Fn(&Pass) -> Tensor + Sync), fused: &Outcome) {
    let pass = Pass { gradients: false, ..Pass::training(Some(7)) };
    let loss = || -> f64 {
        let y = f(&pass);
        let weights = flat(&tensor(y.dim(0).expect("rows"), y.dim(1).expect("columns"), 99));
        flat(&y).iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(*y) * f64::from(w)).sum()
    };
    for (index, input) in inputs.iter().enumerate() {
        let original = flat(input);
        let scale = fused.gradients[index].iter().fold(1e-3f32, |most, x| most.max(x.abs()));
        for element in (0..original.len()).step_by(original.len() / 7 + 1) {
            let at = |delta: f32| {
                let mut moved = original.clone();
                moved[element] += delta;
                input.set(&Tensor::from_vec(moved, input.dims(), &Device::Cpu).expect("a tensor")).expect("set");
                loss()
            };
            let slope = (at(5e-3) - at(-5e-3)) / 1e-2;
            let gradient = f64::from(fused.gradients[index][element]);
            let error = (slope - gradient).abs() / f64::from(scale);
            assert!(error < 5e-3, "{name}: input {index}[{element}]: slope {slope}, gradient {gradient}");
        }
        input.set(&Tensor::from_vec(original, input.dims(), &Device::Cpu).expect("a tensor")).expect("set");
    }
}

#[test]
fn linear_layers() {
    let (x, mut maker) = (tensor(18, 10, 1), maker());
    let weight = maker.make("w", (7, 10), Start::Normal).expect("a weight");
    let bias = maker.make("b", 7, Start::Normal).expect("a bias");
    let params = maker.finish();
    check("linear", &[&x], &params, &|pass| linear(&x, &weight, Some(&bias), pass).expect("y"));
}

#[test]
fn norms_alone_and_of_residuals() {
    let (x, r, s) = (tensor(18, 20, 1), tensor(18, 20, 2), sequences());
    for p in [0.0, 0.3] {
        let mut maker = maker();
        let weight = maker.make("w", 20, Start::Ones).expect("a weight");
        let bias = maker.make("b", 20, Start::Normal).expect("a bias");
        let params = maker.finish();
        check("norm", &[&x], &params, &|pass| norm(&x, &weight, &bias, 1e-5, pass).expect("y"));
        let how = Residual { sequences: &s, dropout: p, site: 4 };
        check("add norm", &[&x, &r], &params, &|pass| add_norm(&x, &r, &weight, &bias, 1e-5, &how, pass).expect("y"));
    }
}

#[test]
fn gelus() {
    let x = tensor(18, 33, 1);
    let wide = |pass: &Pass| gelu(&x.affine(4.0, 0.0).expect("scaled"), pass).expect("y");
    check("gelu", &[&x], &Params::default(), &wide);
}

#[test]
fn attentions() {
    let (q, kv, s) = (tensor(18, 12, 1), tensor(18, 24, 2), sequences());
    for p in [0.0, 0.25] {
        let how = Attention { sequences: &s, heads: 3, dropout: p, site: 9 };
        let scaled = || q.affine(3.0, 0.0).expect("scaled");
        check("attention", &[&q, &kv], &Params::default(), &|pass| attention(&scaled(), &kv, &how, pass).expect("y"));
    }
}

/// A block of 12 numbers a row, with dropout `p`.
fn transformer(p: f64) -> (Arc<Block>, Params) {
    let mut maker = maker();
    let mut affine = |name: &str, out: usize, input: Option<usize>| {
        let shape: candle_core::Shape = input.map_or(out.into(), |input| (out, input).into());
        let start = if input.is_some() { Start::Normal } else { Start::Ones };
        let weight = maker.make(&format!("{name}.weight"), shape, start).expect("a weight");
        Affine { weight, bias: maker.make(&format!("{name}.bias"), out, Start::Normal).expect("a bias") }
    };
    let block = Block {
        query: affine("query", 12, Some(12)),
        key: affine("key", 12, Some(12)),
        value: affine("value", 12, Some(12)),
        attended: affine("attended", 12, Some(12)),
        attention_norm: affine("attention_norm", 12, None),
        up: affine("up", 20, Some(12)),
        down: affine("down", 12, Some(20)),
        norm: affine("norm", 12, None),
        heads: 3,
        eps: 1e-5,
        dropout: p,
        attention_dropout: p,
    };
    let params = maker.finish();
    for param in params.iter().filter(|param| param.name().ends_with("weight") && param.value().rank() == 2) {
        // weights of a size that moves the softmax
        param.var().set(&param.value().affine(20.0, 0.0).expect("scaled")).expect("set");
    }
    (Arc::new(block), params)
}

/// More rows than a tile has.
fn tiled_sequences() -> Sequences {
    Sequences { offsets: [0, 5, 6, 218, 350].into(), keys: [11, 22, 33, 44].into() }
}

#[test]
fn transformer_blocks() {
    let (x, sequences) = (tensor(350, 12, 1), tiled_sequences());
    for p in [0.0, 0.25] {
        let (weights, params) = transformer(p);
        for rows in [Rows::All, Rows::First] {
            check("block", &[&x], &params, &|pass| block(&x, &weights, &sequences, rows, 4, pass).expect("y"));
        }
    }
}

#[test]
fn transformer_blocks_of_bfloat16() {
    let (x, sequences) = (tensor(350, 12, 1), tiled_sequences());
    for p in [0.0, 0.25] {
        let (weights, params) = transformer(p);
        let run = |precision, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let pass = Pass { precision, ..training(true) };
            let f = |pass: &Pass| block(&x, &weights, &sequences, Rows::All, 4, pass).expect("y");
            pool.install(|| outcome(&[&x], &params, &pass, &f))
        };
        let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| run(precision, 1));
        close(&bf16.y, &f32.y, 0.0, 2e-2, "block");
        for ((index, a), b) in bf16.gradients.iter().enumerate().zip(&f32.gradients) {
            let off = length(a.iter().zip(b).map(|(a, b)| a - b));
            // more where large numbers cancel out; a key's bias has none but noise
            assert!(off <= 4e-2 * length(b.iter().copied()) + 1e-4, "gradient {index} is off by {off}");
            assert_ne!(a, b, "gradient {index} was not rounded");
        }
        for threads in [2, 3] {
            let more = run(Precision::Bf16, threads);
            assert!(bf16.y == more.y && bf16.gradients == more.gradients, "{threads} threads change the bits");
        }
    }
}

#[test]
fn dropouts() {
    let (x, s) = (tensor(18, 16, 1), sequences());
    check("dropout", &[&x], &Params::default(), &|pass| dropout(&x, &s, 0.4, 2, pass).expect("y"));
}

#[test]
fn recurrences() {
    let (gates, s) = (tensor(18, 20, 1), sequences());
    for reverse in [false, true] {
        let mut maker = maker();
        let weight = maker.make("w", (20, 5), Start::Uniform(0.5)).expect("a weight");
        let bias = maker.make("b", 20, Start::Uniform(0.5)).expect("a bias");
        let params = maker.finish();
        let how = Recurrence { sequences: &s, reverse };
        check("lstm", &[&gates], &params, &|pass| lstm(&gates, &weight, &bias, &how, pass).expect("y"));
    }
}

#[test]
fn gradients_of_rows_and_of_whole_tables_add_up() {
    let mut maker = maker();
    let table = maker.make("words", (4, 2), Start::Normal).expect("a table");
    let _ = maker.finish();
    let rows = || table.add_row_gradients(&[3, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).expect("added");
    let whole = || table.add_gradient(|sum| sum.iter_mut().for_each(|x| *x += 10.0));
    for order in [[&rows as &dyn Fn(), &whole], [&whole, &rows]] {
        order.iter().for_each(|add| add());
        let sum = table.take_gradient().to_tensor(&[4, 2]).expect("a tensor").expect("a gradient");
        assert_eq!(flat(&sum), [10.0, 10.0, 13.0, 14.0, 10.0, 10.0, 16.0, 18.0]);
    }
}

#[test]
fn embeddings() {
    let mut maker = maker();
    let words = maker.make("words", (6, 5), Start::Normal).expect("a table");
    let places = maker.make("places", (3, 5), Start::Normal).expect("a table");
    let params = maker.finish();
    let lookup = |table: &Arc<Param>, ids: &[u32]| Lookup { table: table.clone(), ids: ids.into() };
    let lookups = [lookup(&words, &[3, 1, 3, 0, 5]), lookup(&places, &[0, 1, 2, 0, 0])];
    check("embedding", &[], &params, &|pass| embedding(&lookups, pass).expect("y"));
    assert!(embedding(&[lookup(&words, &[6])], &Pass::inference()).is_err());
}

#[test]
fn dropout_keeps_its_share_and_does_not_see_the_batch() {
    let x = Var::ones((18, 1000), DType::F32, &Device::Cpu).expect("ones");
    let whole = dropout(&x, &sequences(), 0.3, 2, &Pass::training(Some(7))).expect("y");
    let kept = flat(&whole).iter().filter(|x| **x > 0.0).count() as f64 / 18_000.0;
    assert!((kept - 0.7).abs() < 0.01, "{kept}");
    // the last sequence alone gets the mask that it got in the batch
    let alone = Sequences { offsets: [0, 12].into(), keys: [33].into() };
    let x = Var::ones((12, 1000), DType::F32, &Device::Cpu).expect("ones");
    let alone = dropout(&x, &alone, 0.3, 2, &Pass::training(Some(7))).expect("y");
    assert_eq!(flat(&alone), flat(&whole)[6 * 1000..]);
    let other =
        dropout(&x, &Sequences { offsets: [0, 12].into(), keys: [33].into() }, 0.3, 3, &Pass::training(Some(7)));
    assert_ne!(flat(&alone), flat(&other.expect("y")));
}

#[test]
fn what_is_not_trained_gets_no_gradient_and_costs_none() {
    let x = tensor(18, 10, 1);
    let mut maker = maker();
    maker.frozen = true;
    let weight = maker.make("w", (7, 10), Start::Normal).expect("a weight");
    let y = linear(&x.detach(), &weight, None, &Pass::training(None)).expect("y");
    assert!(!y.track_op());
    assert!(matches!(weight.take_gradient(), Gradient::None));
}

#[test]
fn big_products_do_not_depend_on_the_threads() {
    let (x, mut maker) = (tensor(700, 192, 1), maker());
    let weight = maker.make("w", (330, 192), Start::Normal).expect("a weight");
    let bias = maker.make("b", 330, Start::Normal).expect("a bias");
    let params = maker.finish();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let f = |pass: &Pass| linear(&x, &weight, Some(&bias), pass).expect("y");
        pool.install(|| outcome(&[&x], &params, &training(true), &f))
    };
    let one = run(1);
    for threads in [2, 4] {
        let more = run(threads);
        assert!(one.y == more.y && one.gradients == more.gradients, "{threads} threads change the bits");
    }
}
