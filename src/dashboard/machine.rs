//! What was seen of a machine while a sweep ran on it.

use std::collections::BTreeMap;

use crate::store::{Gauge, Millis};
use crate::sweep::RunId;

/// By device, folded from what the coordinator has noted every two seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// Processors and cards, by name.
    pub devices: BTreeMap<Box<str>, Device>,
    /// The newest of each run, by its name.
    runs: BTreeMap<Box<str>, Usage>,
    last: Option<Millis>,
}

/// In the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// From 0 to 1.
    pub utilisation: Vec<(Millis, f64)>,
    /// In megabytes.
    pub memory: Vec<(Millis, f64)>,
    /// In megabytes.
    pub memory_total: Option<f64>,
    /// In watts.
    pub power: Option<f64>,
}

/// What a run takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    at: Millis,
    /// Processors that it keeps busy.
    pub cores: Option<f64>,
    /// In megabytes.
    pub memory: Option<f64>,
}

/// What is older is forgotten by the store, too.
const DAY: i64 = 86_400_000;

impl Machine {
    pub(super) fn take(&mut self, gauges: Vec<Gauge>) {
        for Gauge { at, device, name, value } in gauges {
            self.last = Some(at);
            if device.starts_with("run ") {
                let usage = self.runs.entry(device).or_insert(Usage { at, cores: None, memory: None });
                usage.at = at;
                match &*name {
                    "cores" => usage.cores = Some(value),
                    "memory_used_mb" => usage.memory = Some(value),
                    _ => {}
                }
                continue;
            }
            let device = self.devices.entry(device).or_default();
            match &*name {
                "utilisation" => device.utilisation.push((at, value)),
                "memory_used_mb" => device.memory.push((at, value)),
                "memory_total_mb" => device.memory_total = Some(value),
                "power_w" => device.power = Some(value),
                _ => {}
            }
        }
        let Some(last) = self.last else { return };
        self.runs.retain(|_, usage| usage.at == last);
        for device in self.devices.values_mut() {
            for series in [&mut device.utilisation, &mut device.memory] {
                let old = series.partition_point(|(at, _)| at.0 < last.0 - DAY);
                series.drain(..old);
            }
        }
    }

    /// When it was looked at last.
    pub(super) fn last(&self) -> Option<Millis> {
        self.last
    }

    /// None of a run that was not there when the machine was last looked at.
    pub fn usage(&self, run: RunId) -> Option<Usage> {
        self.runs.get(format!("run {run}").as_str()).copied()
    }

    /// When it was first and last looked at.
    pub fn span(&self) -> Option<(Millis, Millis)> {
        let firsts = self.devices.values().filter_map(|device| device.memory.first().or(device.utilisation.first()));
        Some((firsts.map(|(at, _)| *at).min()?, self.last?))
    }
}

/// Means of a series over equal parts of a span of time; NaN where nothing was seen.
pub fn means(series: &[(Millis, f64)], (from, to): (Millis, Millis), parts: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0_u32); parts];
    let width = ((to.0 - from.0).max(1)) as f64;
    let first = series.partition_point(|(at, _)| *at < from);
    for (at, value) in series[first..].iter().take_while(|(at, _)| *at <= to) {
        let part = ((at.0 - from.0) as f64 / width * parts as f64) as usize;
        if let Some((sum, count)) = sums.get_mut(part.min(parts.saturating_sub(1))) {
            *sum += value;
            *count += 1;
        }
    }
    sums.into_iter().map(|(sum, count)| if count == 0 { f64::NAN } else { sum / f64::from(count) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::{FoldId, TrialId};

    #[test]
    fn gauges_are_sorted_by_what_they_are_of() {
        let gauge = |at, device: &str, name: &str, value| Gauge {
            at: Millis(at),
            device: device.into(),
            name: name.into(),
            value,
        };
        let mut machine = Machine::default();
        machine.take(vec![
            gauge(0, "cpu", "memory_used_mb", 100.0),
            gauge(0, "cpu", "utilisation", 0.5),
            gauge(0, "run 3/1", "cores", 1.0),
        ]);
        machine.take(vec![gauge(2000, "cpu", "utilisation", 0.7), gauge(2000, "run 3/2", "memory_used_mb", 64.0)]);
        let run = |fold| RunId { trial: TrialId(3), fold: FoldId { repeat: 0, fold }, attempt: 1 };
        assert_eq!(machine.usage(run(1)), None, "it is not there any more");
        assert_eq!(machine.usage(run(2)).and_then(|usage| usage.memory), Some(64.0));
        assert_eq!(machine.span(), Some((Millis(0), Millis(2000))));
        assert_eq!(machine.devices["cpu"].utilisation, [(Millis(0), 0.5), (Millis(2000), 0.7)]);
    }

    #[test]
    fn a_part_in_which_nothing_was_seen_has_no_mean() {
        let series = [(0, 0.2), (10, 0.4), (90, 1.0), (100, 0.0)].map(|(at, value)| (Millis(at), value));
        let parts = means(&series, (Millis(0), Millis(100)), 4);
        assert!(
            (parts[0] - 0.3).abs() < 1e-9 && parts[1].is_nan() && parts[2].is_nan() && parts[3] == 0.5,
            "{parts:?}"
        );
        assert_eq!(means(&series, (Millis(50), Millis(100)), 1), [0.5]);
    }
}
