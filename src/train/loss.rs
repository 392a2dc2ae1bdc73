//! Losses, as sums: divided by the normaliser of the whole batch, micro-batches add up exactly.

use candle_core::{Result, Tensor};

use crate::model::log_softmax;
use crate::spec::Loss;

/// The sum of the losses of documents with logits [B, classes]; `labels` has the label ids of each.
pub(super) fn loss_sum(loss: Loss, logits: &Tensor, labels: &[&[u32]]) -> Result<Tensor> {
    let (documents, classes) = logits.dims2()?;
    let targets = |on: f32, off: f32| -> Result<Tensor> {
        let mut cells = vec![off; documents * classes];
        for (row, labels) in cells.chunks_exact_mut(classes).zip(labels) {
            for label in *labels {
                row[*label as usize] = on;
            }
        }
        Tensor::from_vec(cells, (documents, classes), logits.device())?.to_dtype(logits.dtype())
    };
    match loss {
        Loss::CrossEntropy { label_smoothing } => {
            let spread = label_smoothing / classes as f64;
            let targets = targets((1.0 - label_smoothing + spread) as f32, spread as f32)?;
            log_softmax(logits)?.mul(&targets)?.sum_all()?.neg()
        }
        Loss::Focal { gamma } => {
            // Lin 2017. The slope of a power at 0 is infinite for an exponent below 1
            let log_p = log_softmax(logits)?.mul(&targets(1.0, 0.0)?)?.sum(1)?;
            let miss = log_p.exp()?.affine(-1.0, 1.0)?.clamp(1e-7, 1.0)?;
            miss.powf(gamma)?.mul(&log_p)?.sum_all()?.neg()
        }
        Loss::Bce => {
            // a softmax over (logit, 0) is stable for any logit; candle's own loss is NaN from 17 on
            let zeros = logits.zeros_like()?;
            let pair = log_softmax(&Tensor::stack(&[logits, &zeros], 2)?)?;
            let targets = Tensor::stack(&[targets(1.0, 0.0)?, targets(0.0, 1.0)?], 2)?;
            pair.mul(&targets)?.sum_all()?.neg()
        }
    }
}

/// What the sum of a whole batch is divided by.
pub(super) fn normaliser(loss: Loss, documents: usize, classes: usize) -> f64 {
    match loss {
        Loss::CrossEntropy { .. } | Loss::Focal { .. } => documents as f64,
        Loss::Bce => (documents * classes) as f64,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Loss and gradient at huge logits.
    fn at(loss: Loss, logits: &[f32], labels: &[u32]) -> (f32, Vec<f32>) {
        let x = Var::new(logits, &Device::Cpu).expect("logits");
        let sum = loss_sum(loss, &x.unsqueeze(0).expect("a row"), &[labels]).expect("a loss");
        let gradients = sum.backward().expect("gradients");
        (sum.to_scalar().expect("a number"), gradients.get(&x).expect("a gradient").to_vec1().expect("numbers"))
    }

    #[test]
    fn stable_where_others_overflow() {
        let (loss, gradient) = at(Loss::Bce, &[100.0, -100.0], &[0]);
        assert!(loss.abs() < 1e-30 && gradient.iter().all(|x| x.abs() < 1e-30), "{loss} {gradient:?}");
        assert_eq!(at(Loss::Bce, &[100.0, -100.0], &[1]), (200.0, vec![1.0, -1.0]));
        assert_eq!(at(Loss::Bce, &[0.0], &[0]).1, [-0.5]);
        let (loss, gradient) = at(Loss::CrossEntropy { label_smoothing: 0.0 }, &[200.0, 0.0], &[1]);
        assert_eq!((loss, gradient), (200.0, vec![1.0, -1.0]));
        let (loss, gradient) = at(Loss::Focal { gamma: 0.5 }, &[200.0, 0.0], &[0]);
        assert!(loss == 0.0 && gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
    }
}
