//! What all validation metrics of a trial came to, over its finished folds.

use super::{FeedError, study};
use crate::crossval::standard_error;
use crate::store::{Measured, Reader, SweepKey};
use crate::sweep::TrialId;

/// A metric at the best epoch of each finished fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    pub name: String,
    /// NaN where it is undefined in a fold.
    pub mean: f64,
    /// Corrected for the overlap of the folds; none for a single one.
    pub se: Option<f64>,
}

/// In the order of their names.
pub(super) async fn read(reader: &Reader, sweep: SweepKey, trial: TrialId) -> Result<Vec<Final>, FeedError> {
    let measured = reader.finals(sweep, trial).await?;
    let k = study::k_of(reader, sweep).await?;
    Ok(of(&measured, k.unwrap_or_else(|| study::seen_k(measured.iter().map(|it| it.fold)))))
}

/// From values in the order of their names, in repeats of `k` folds.
fn of(measured: &[Measured], k: u32) -> Vec<Final> {
    let by_name = measured.chunk_by(|a, b| a.name == b.name);
    by_name
        .map(|of_name| {
            let values: Vec<f64> = of_name.iter().map(|it| it.value).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            Final { name: of_name[0].name.clone(), mean, se: standard_error(&values, k) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::FoldId;

    #[test]
    fn means_over_the_folds() {
        let measured =
            |name: &str, fold, value| Measured { fold: FoldId { repeat: 0, fold }, name: name.to_owned(), value };
        let all = [measured("accuracy", 0, 0.5), measured("accuracy", 1, 0.7), measured("loss", 1, f64::NAN)];
        let [accuracy, loss] = &of(&all, 2)[..] else { panic!("two metrics") };
        assert_eq!((accuracy.name.as_str(), accuracy.mean), ("accuracy", 0.6));
        // two folds: the variance 0.02 of a score, times 1/2 + 1
        assert!((accuracy.se.expect("of two folds") - 0.03_f64.sqrt()).abs() < 1e-12);
        assert!(loss.mean.is_nan() && loss.se.is_none());
    }
}
