//! From numbers to places, and the numbers to write beside an axis.

use crate::dashboard::format;

/// A range of numbers along one side of a chart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub is_log: bool,
    /// Of whole numbers: there is nothing to write between them.
    pub is_whole: bool,
}

impl Axis {
    /// Around all these numbers, with a little room; numbers that a logarithm does not have are left out.
    pub fn around(numbers: impl Iterator<Item = f64>, is_log: bool, room: f64) -> Option<Self> {
        let numbers = numbers.filter(|number| number.is_finite() && (!is_log || *number > 0.0));
        let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
        if low > high {
            return None;
        }
        let axis = Self { low, high, is_log, is_whole: false };
        let (a, b) = (axis.scaled(low), axis.scaled(high));
        let span = if b > a { (b - a) * room } else { (a.abs() * 0.1).max(0.5) };
        Some(Self { low: axis.unscaled(a - span), high: axis.unscaled(b + span), ..axis })
    }

    /// From 0 at its low end to 1 at its high one, and beyond.
    pub fn part(&self, number: f64) -> f64 {
        let (low, high) = (self.scaled(self.low), self.scaled(self.high));
        (self.scaled(number) - low) / (high - low)
    }

    /// The number at a part of it.
    pub fn at(&self, part: f64) -> f64 {
        let (low, high) = (self.scaled(self.low), self.scaled(self.high));
        self.unscaled(low + (high - low) * part)
    }

    /// A part of it, such as 0.25 to 0.75.
    #[must_use]
    pub fn zoomed(&self, from: f64, to: f64) -> Self {
        Self { low: self.at(from), high: self.at(to), ..*self }
    }

    /// The same one, of whole numbers.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { is_whole: true, ..self }
    }

    /// Round numbers on it, at most so many.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        if self.is_log && self.high / self.low >= 10.0 { self.decades(most) } else { self.rounds(most) }
    }

    fn decades(&self, most: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
        let every = ((last - first + 1) as usize).div_ceil(most.max(1)).max(1);
        let ticks: Vec<f64> = (first..=last).step_by(every).map(|power| 10f64.powi(power)).collect();
        if ticks.len() < 2 { self.rounds(most) } else { ticks }
    }

    fn rounds(&self, most: usize) -> Vec<f64> {
        let span = self.high - self.low;
        if span <= 0.0 || most == 0 {
            return Vec::new();
        }
        let rough = span / most as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let step = if self.is_whole { step.max(1.0) } else { step };
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        // a step that is a power of ten below one is not exact: its inverse is
        (first..=last).map(|n| if step < 1.0 { n as f64 / (1.0 / step).round() } else { n as f64 * step }).collect()
    }

    fn scaled(&self, number: f64) -> f64 {
        if self.is_log { number.log10() } else { number }
    }

    fn unscaled(&self, number: f64) -> f64 {
        if self.is_log { 10f64.powf(number) } else { number }
    }
}

/// Ticks as text, all with the same decimals.
pub(super) fn labels(ticks: &[f64]) -> Vec<String> {
    let smallest = ticks.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(f64::INFINITY, f64::min);
    let largest = ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
    let is_even = ticks.windows(3).all(|three| ((three[2] - three[1]) / (three[1] - three[0]) - 1.0).abs() < 1e-6);
    if !is_even || !smallest.is_finite() || largest >= 1e5 || smallest < 1e-5 {
        return ticks.iter().map(|tick| format::number(*tick)).collect();
    }
    let decimals = (-smallest.log10().floor()).max(0.0) as usize;
    ticks.iter().map(|tick| format!("{tick:.decimals$}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(low: f64, high: f64, is_log: bool, expect: &str) {
        assert_eq!(labels(&Axis { low, high, is_log, is_whole: false }.ticks(6)).join(" "), expect);
    }

    #[test]
    fn ticks_are_round() {
        check(0.0, 1.0, false, "0.0 0.2 0.4 0.6 0.8 1.0");
        check(0.713, 0.768, false, "0.72 0.73 0.74 0.75 0.76");
        check(1.0, 20.0, false, "5 10 15 20");
        check(-3.0, 3.0, false, "-3 -2 -1 0 1 2 3");
        check(1e-5, 1e-1, true, "1e-5 1e-4 0.001 0.01 0.1");
        check(0.2, 0.9, true, "0.2 0.4 0.6 0.8");
        check(5.0, 5.0, false, "");
        let epochs = Axis { low: 1.0, high: 3.0, is_log: false, is_whole: false };
        assert_eq!(labels(&epochs.ticks(6)).join(" "), "1.0 1.5 2.0 2.5 3.0");
        assert_eq!(labels(&epochs.whole().ticks(6)).join(" "), "1 2 3");
    }

    #[test]
    fn places_and_numbers_are_inverse() {
        for is_log in [false, true] {
            let axis = Axis::around([0.01, f64::NAN, 3.0].into_iter(), is_log, 0.05).expect("two numbers");
            assert!((axis.at(axis.part(0.5)) - 0.5).abs() < 1e-12);
            assert!(axis.part(0.01) > 0.0 && axis.part(3.0) < 1.0);
        }
        assert_eq!(Axis::around([f64::NAN, -1.0].into_iter(), true, 0.0), None);
    }
}
