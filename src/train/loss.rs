//! Losses, as sums: divided by the normaliser of the whole batch, micro-batches add up exactly.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};

use crate::model::log_softmax;
use crate::spec::{Balance, Loss, Train};

/// A loss, and how much each class counts in it.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    loss: Loss,
    /// Of the documents of each class; with several labels, of the documents that have it.
    weights: Vec<f32>,
}

impl Criterion {
    /// `counts` has the training documents of each class, `documents` are all of them.
    pub(super) fn new(train: &Train, counts: &[usize], documents: usize) -> Self {
        let weights = match train.loss {
            Loss::Bce | Loss::Asymmetric { .. } => positive_weights(train.positive_weight, counts, documents),
            Loss::CrossEntropy { .. } | Loss::Focal { .. } => class_weights(train.class_weights, counts, documents),
        };
        Self { loss: train.loss, weights }
    }

    /// What the sum of the losses of a whole batch is divided by: documents, the weights of their classes, or decisions.
    pub(super) fn normaliser<'l>(&self, labels: impl Iterator<Item = &'l [u32]>) -> f64 {
        match self.loss {
            Loss::CrossEntropy { .. } => {
                labels.flat_map(<[u32]>::iter).map(|label| f64::from(self.weights[*label as usize])).sum()
            }
            Loss::Focal { .. } => labels.count() as f64,
            Loss::Bce | Loss::Asymmetric { .. } => (labels.count() * self.weights.len()) as f64,
        }
    }

    /// The sum of the losses of documents with logits [B, classes] (f32); `labels` has the label ids of each.
    pub(super) fn sum(&self, logits: &Tensor, labels: &[Vec<u32>]) -> Result<Tensor> {
        if matches!(logits.device(), Device::Cpu) {
            return logits.contiguous()?.apply_op1(Fused { criterion: self.clone(), labels: labels.to_vec() });
        }
        self.plain(logits, labels)
    }

    /// Of candle's operations.
    fn plain(&self, logits: &Tensor, labels: &[Vec<u32>]) -> Result<Tensor> {
        let (documents, classes) = logits.dims2()?;
        let cells = |of: &dyn Fn(usize, bool) -> f32| {
            let row = |labels: &Vec<u32>| -> Vec<f32> {
                (0..classes).map(|class| of(class, labels.contains(&(class as u32)))).collect()
            };
            Tensor::from_vec(labels.iter().flat_map(row).collect::<Vec<_>>(), (documents, classes), logits.device())
        };
        let weights = &self.weights;
        let on = |class: usize, is_on: bool| if is_on { weights[class] } else { 0.0 };
        let off = |_: usize, is_on: bool| if is_on { 0.0 } else { 1.0 };
        match self.loss {
            Loss::CrossEntropy { label_smoothing } => {
                let (kept, spread) = ((1.0 - label_smoothing) as f32, (label_smoothing / classes as f64) as f32);
                let targets = cells(&|class, is_on| kept * on(class, is_on) + spread * weights[class])?;
                log_softmax(logits)?.mul(&targets)?.sum_all()?.neg()
            }
            Loss::Focal { gamma } => {
                let log_p = log_softmax(logits)?.mul(&cells(&|_, is_on| f32::from(u8::from(is_on)))?)?.sum(1)?;
                // the slope of a power at 0 is infinite for an exponent below 1
                let miss = log_p.exp()?.affine(-1.0, 1.0)?.clamp(1e-7, 1.0)?;
                miss.powf(gamma)?.mul(&log_p)?.mul(&cells(&on)?.sum(1)?)?.sum_all()?.neg()
            }
            Loss::Bce => {
                let (yes, no) = log_sigmoids(logits)?;
                (yes.mul(&cells(&on)?)?.sum_all()? + no.mul(&cells(&off)?)?.sum_all()?)?.neg()
            }
            Loss::Asymmetric { gamma_positive, gamma_negative, margin } => {
                let (yes, no) = log_sigmoids(logits)?;
                let present = no.exp()?.clamp(1e-7, 1.0)?.powf(gamma_positive)?.mul(&yes)?.mul(&cells(&on)?)?;
                let shifted = yes.exp()?.affine(1.0, -margin)?.clamp(0.0, 1.0 - 1e-7)?;
                let missed = shifted.affine(-1.0, 1.0)?.log()?;
                let absent = shifted.clamp(1e-7, 1.0)?.powf(gamma_negative)?.mul(&missed)?.mul(&cells(&off)?)?;
                (present.sum_all()? + absent.sum_all()?)?.neg()
            }
        }
    }

    /// The loss of one document, and its slopes.
    fn row(&self, logits: &[f32], labels: &[u32], slopes: &mut [f64]) -> f64 {
        match self.loss {
            Loss::CrossEntropy { label_smoothing } => {
                let log_p = log_probabilities(logits);
                let spread = label_smoothing / logits.len() as f64;
                let target = |class: usize| {
                    let on = if labels.contains(&(class as u32)) { 1.0 - label_smoothing } else { 0.0 };
                    f64::from(self.weights[class]) * (on + spread)
                };
                let whole: f64 = (0..logits.len()).map(target).sum();
                let mut loss = 0.0;
                for (class, (slope, log_p)) in slopes.iter_mut().zip(&log_p).enumerate() {
                    *slope = log_p.exp() * whole - target(class);
                    loss -= target(class) * log_p;
                }
                loss
            }
            // Lin 2017
            Loss::Focal { gamma } => {
                let log_p = log_probabilities(logits);
                let mut loss = 0.0;
                slopes.fill(0.0);
                for label in labels {
                    let (log, weight) = (log_p[*label as usize], f64::from(self.weights[*label as usize]));
                    let miss = -log.exp_m1();
                    loss -= weight * power(miss, gamma) * log;
                    let inner = if gamma == 0.0 { 0.0 } else { gamma * power(miss, gamma - 1.0) * log.exp() * log };
                    let by_log = -weight * (power(miss, gamma) - inner);
                    for (class, slope) in slopes.iter_mut().enumerate() {
                        let on = if class == *label as usize { 1.0 } else { 0.0 };
                        *slope += by_log * (on - log_p[class].exp());
                    }
                }
                loss
            }
            Loss::Bce | Loss::Asymmetric { .. } => {
                let mut loss = 0.0;
                for (class, (slope, logit)) in slopes.iter_mut().zip(logits).enumerate() {
                    let present = labels.contains(&(class as u32)).then(|| f64::from(self.weights[class]));
                    let (part, part_slope) = self.decision(f64::from(*logit), present);
                    loss += part;
                    *slope = part_slope;
                }
                loss
            }
        }
    }

    /// The loss of one label's logit and its slope; with a weight where the label is present.
    fn decision(&self, x: f64, present: Option<f64>) -> (f64, f64) {
        // log p and log (1 - p), stable for any logit
        let log_one_more = (-x.abs()).exp().ln_1p();
        let (yes, no) = (x.min(0.0) - log_one_more, (-x).min(0.0) - log_one_more);
        let (p, miss) = (yes.exp(), no.exp());
        match (self.loss, present) {
            (Loss::Asymmetric { gamma_positive, .. }, Some(weight)) => {
                let focus = power(miss, gamma_positive);
                (-weight * focus * yes, weight * focus * (gamma_positive * p * yes - miss))
            }
            (Loss::Asymmetric { gamma_negative, margin, .. }, None) => {
                let shifted = p - margin;
                if shifted <= 0.0 {
                    return (0.0, 0.0);
                }
                let focus = power(shifted, gamma_negative);
                let rest = miss + margin;
                let inner =
                    if gamma_negative == 0.0 { 0.0 } else { gamma_negative * power(shifted, gamma_negative - 1.0) };
                (-focus * rest.ln(), (focus / rest - inner * rest.ln()) * p * miss)
            }
            (_, Some(weight)) => (-weight * yes, -weight * miss),
            (_, None) => (-no, p),
        }
    }
}

/// Classes that are rare count more; the mean over all documents stays 1.
fn class_weights(balance: Balance, counts: &[usize], documents: usize) -> Vec<f32> {
    let raw: Vec<f64> = counts.iter().map(|count| rarity(balance, *count)).collect();
    let whole: f64 = raw.iter().zip(counts).map(|(weight, count)| weight * *count as f64).sum();
    raw.iter().map(|weight| (weight * documents as f64 / whole) as f32).collect()
}

/// Of the documents that have a label against those that have not.
fn positive_weights(balance: Balance, counts: &[usize], documents: usize) -> Vec<f32> {
    let weight = |count: &usize| match (balance, *count) {
        (Balance::None, _) | (_, 0) => 1.0,
        (_, count) => (rarity(balance, count) / rarity(balance, documents.saturating_sub(count))) as f32,
    };
    counts.iter().map(weight).collect()
}

fn rarity(balance: Balance, count: usize) -> f64 {
    const BETA: f64 = 0.999;
    let count = count.max(1) as f64;
    match balance {
        Balance::None => 1.0,
        Balance::Inverse => 1.0 / count,
        Balance::Sqrt => 1.0 / count.sqrt(),
        Balance::Effective => (1.0 - BETA) / (1.0 - BETA.powf(count)),
    }
}

/// x^exponent with 0^0 = 1, and finite where x is 0 and the exponent negative.
fn power(x: f64, exponent: f64) -> f64 {
    if exponent == 0.0 { 1.0 } else { x.max(1e-30).powf(exponent) }
}

fn log_probabilities(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits.iter().map(|x| f64::from(*x) - f64::from(most)).collect();
    let log_sum = shifted.iter().map(|x| x.exp()).sum::<f64>().ln();
    shifted.into_iter().map(|x| x - log_sum).collect()
}

/// log p and log (1 - p) of logits: a softmax over (logit, 0) is stable for any logit; candle's own loss is NaN from 17
/// on.
fn log_sigmoids(logits: &Tensor) -> Result<(Tensor, Tensor)> {
    let pair = log_softmax(&Tensor::stack(&[logits, &logits.zeros_like()?], 2)?)?;
    Ok((pair.narrow(2, 0, 1)?.squeeze(2)?, pair.narrow(2, 1, 1)?.squeeze(2)?))
}

/// The loss in f64, its slopes in closed form.
struct Fused {
    criterion: Criterion,
    labels: Vec<Vec<u32>>,
}

impl Fused {
    fn evaluate(&self, logits: &[f32]) -> (f64, Vec<f64>) {
        let mut slopes = vec![0.0; logits.len()];
        let classes = self.criterion.weights.len();
        let mut loss = 0.0;
        let rows = logits.chunks_exact(classes).zip(slopes.chunks_exact_mut(classes));
        for ((logits, slopes), labels) in rows.zip(&self.labels) {
            loss += self.criterion.row(logits, labels, slopes);
        }
        (loss, slopes)
    }
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the loss needs contiguous logits") };
        let (loss, _) = self.evaluate(&logits.as_slice::<f32>()?[start..end]);
        Ok((CpuStorage::F32(vec![loss as f32]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, slopes) = self.evaluate(&logits.flatten_all()?.to_vec1::<f32>()?);
        let gradient = f64::from(gradient.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        let slopes: Vec<f32> = slopes.into_iter().map(|slope| (slope * gradient) as f32).collect();
        Ok(Some(Tensor::from_vec(slopes, logits.dims(), logits.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::spec::Config;

    fn criterion(keys: &str, counts: &[usize]) -> Criterion {
        let label = if keys.contains("bce") || keys.contains("asymmetric") { "labels" } else { "label" };
        let text = format!("data.path = \"a.jsonl\"\ndata.{label} = \"y\"\n{keys}");
        let train = Config::parse(&text).unwrap_or_else(|e| panic!("{keys}: {e}")).train;
        Criterion::new(&train, counts, counts.iter().sum())
    }

    /// Loss and gradient, fused and plain.
    fn both(criterion: &Criterion, logits: &[f32], labels: &[Vec<u32>]) -> [(f32, Vec<f32>); 2] {
        let x = Var::new(logits, &Device::Cpu).expect("logits");
        let rows = x.reshape((labels.len(), logits.len() / labels.len())).expect("rows");
        [criterion.sum(&rows, labels), criterion.plain(&rows, labels)].map(|sum| {
            let sum = sum.expect("a loss");
            let gradients = sum.backward().expect("gradients");
            let gradient = gradients.get(&x).expect("a gradient").to_vec1().expect("numbers");
            (sum.to_scalar().expect("a number"), gradient)
        })
    }

    const LOSSES: [&str; 12] = [
        "",
        "train.label_smoothing = 0.1",
        "train.class_weights = \"inverse\"",
        "train.class_weights = \"effective\"\ntrain.label_smoothing = 0.2",
        "train.loss = \"focal\"",
        "train.loss = \"focal\"\ntrain.focal_gamma = 0.5\ntrain.class_weights = \"sqrt\"",
        "train.loss = \"focal\"\ntrain.focal_gamma = 0",
        "train.loss = \"bce\"",
        "train.loss = \"bce\"\ntrain.positive_weight = \"inverse\"",
        "train.loss = \"asymmetric\"",
        "train.loss = \"asymmetric\"\ntrain.gamma_positive = 1\ntrain.asymmetric_margin = 0\ntrain.positive_weight = \"sqrt\"",
        "train.loss = \"asymmetric\"\ntrain.gamma_negative = 0",
    ];

    #[test]
    fn fused_equals_plain_and_finite_differences() {
        let logits = [0.3, -1.2, 2.1, 0.7, 0.1, -0.4];
        for keys in LOSSES {
            let criterion = criterion(keys, &[30, 5, 10]);
            let multi = keys.contains("bce") || keys.contains("asymmetric");
            let labels = if multi { vec![vec![0, 2], vec![]] } else { vec![vec![1], vec![2]] };
            let [fused, plain] = both(&criterion, &logits, &labels);
            assert!((fused.0 - plain.0).abs() < 1e-5 * plain.0.abs().max(1.0), "{keys}: {} {}", fused.0, plain.0);
            for (a, b) in fused.1.iter().zip(&plain.1) {
                assert!((a - b).abs() < 1e-5, "{keys}: {:?} {:?}", fused.1, plain.1);
            }
            for index in 0..logits.len() {
                let at = |delta: f32| {
                    let mut moved = logits;
                    moved[index] += delta;
                    Fused { criterion: criterion.clone(), labels: labels.clone() }.evaluate(&moved).0
                };
                let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
                let gradient = f64::from(fused.1[index]);
                assert!((slope - gradient).abs() < 1e-3, "{keys} [{index}]: slope {slope}, gradient {gradient}");
            }
        }
    }

    #[test]
    fn stable_where_others_overflow() {
        let bce = criterion("train.loss = \"bce\"", &[5, 5]);
        let [(loss, gradient), _] = both(&bce, &[100.0, -100.0], &[vec![0]]);
        assert!(loss.abs() < 1e-30 && gradient.iter().all(|x| x.abs() < 1e-30), "{loss} {gradient:?}");
        assert_eq!(both(&bce, &[100.0, -100.0], &[vec![1]])[0], (200.0, vec![1.0, -1.0]));
        for keys in LOSSES {
            let criterion = criterion(keys, &[5, 5, 5]);
            for logits in [[200.0, 0.0, -200.0], [-200.0, 0.0, 200.0], [0.0; 3]] {
                let [(loss, gradient), _] = both(&criterion, &logits, &[vec![0]]);
                assert!(loss.is_finite() && gradient.iter().all(|x| x.is_finite()), "{keys}: {loss} {gradient:?}");
            }
        }
    }

    #[test]
    fn rare_classes_count_more() {
        let weights = |keys: &str| criterion(keys, &[90, 10]).weights;
        assert_eq!(weights(""), [1.0, 1.0]);
        let inverse = weights("train.class_weights = \"inverse\"");
        assert!((inverse[0] - 0.555_555).abs() < 1e-4 && (inverse[1] - 5.0).abs() < 1e-4, "{inverse:?}");
        for balance in ["sqrt", "effective"] {
            let found = weights(&format!("train.class_weights = \"{balance}\""));
            assert!((found[0] * 90.0 + found[1] * 10.0 - 100.0).abs() < 1e-3 && found[1] > found[0], "{found:?}");
        }
        let positive = weights("train.loss = \"bce\"\ntrain.positive_weight = \"inverse\"");
        assert!((positive[1] - 9.0).abs() < 1e-5, "{positive:?}");
        // the weights of the classes are what the whole is divided by
        let labels: [&[u32]; 2] = [&[0], &[1]];
        let whole = criterion("train.class_weights = \"inverse\"", &[90, 10]).normaliser(labels.into_iter());
        assert!((whole - 5.555_555).abs() < 1e-4, "{whole}");
    }
}
