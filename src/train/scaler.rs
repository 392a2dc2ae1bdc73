//! Dynamic loss scaling (Micikevicius 2018): gradients in f16 below 6e-8 would vanish, above 65,504 overflow.

use serde::{Deserialize, Serialize};

/// The factor of the loss, and how long it has done well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scaler {
    pub(super) scale: f64,
    good_steps: u32,
}

const START: f64 = 65_536.0;
/// Steps without overflow before a larger factor is tried.
const PATIENCE: u32 = 2_000;

impl Default for Scaler {
    fn default() -> Self {
        Self { scale: START, good_steps: 0 }
    }
}

impl Scaler {
    /// The gradients of a step did not overflow.
    pub(super) fn good(&mut self) {
        self.good_steps += 1;
        if self.good_steps == PATIENCE {
            *self = Self { scale: self.scale * 2.0, good_steps: 0 };
        }
    }

    /// They did: the step is skipped.
    pub(super) fn overflowed(&mut self) {
        *self = Self { scale: (self.scale / 2.0).max(1.0), good_steps: 0 };
    }

    /// No smaller factor is left: it is not the factor that makes gradients infinite.
    pub(super) fn is_least(self) -> bool {
        self.scale <= 1.0
    }
}
