//! The learning rate over the steps of a run.

use crate::spec::{Schedule, Train, Warmup};

/// The factor of the learning rate at `step` (from 0) of `total`.
pub(super) fn factor(train: &Train, step: u64, total: u64) -> f64 {
    let warmup = match train.warmup {
        Warmup::Steps(steps) => steps as u64,
        Warmup::Ratio(ratio) => (ratio * total as f64).round() as u64,
    };
    if step < warmup {
        // Hugging Face's form begins with a step that changes nothing
        let done = if train.warmup_from_zero { step } else { step + 1 };
        return done as f64 / warmup as f64;
    }
    let left = total.saturating_sub(step) as f64 / total.saturating_sub(warmup).max(1) as f64;
    match train.schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => left,
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * (1.0 - left)).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Config;

    fn factors(keys: &str) -> Vec<f64> {
        let text = format!("data.path = \"a.csv\"\n{keys}");
        let train = Config::parse(&text).expect("a good file").train;
        (0..8).map(|step| (factor(&train, step, 8) * 1000.0).round() / 1000.0).collect()
    }

    #[test]
    fn the_schedules_are_what_they_are_called() {
        let linear = [0.5, 1.0, 1.0, 0.833, 0.667, 0.5, 0.333, 0.167];
        assert_eq!(factors("train.warmup_steps = 2"), linear);
        assert_eq!(factors("train.warmup_ratio = 0.25"), linear);
        let from_zero = factors("train.warmup_steps = 2\ntrain.warmup_from_zero = true");
        assert_eq!(from_zero[..3], [0.0, 0.5, 1.0]);
        let constant = factors("train.warmup_steps = 1\ntrain.schedule = \"constant\"");
        assert_eq!(constant, [1.0; 8]);
        let cosine = factors("train.warmup_steps = 0\ntrain.schedule = \"cosine\"");
        assert_eq!(cosine, [1.0, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]);
    }
}
