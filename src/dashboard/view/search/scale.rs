//! One parameter along an axis: numbers on their scale, names in columns.

use serde_json::Value;

use crate::dashboard::chart::Axis;
use crate::dashboard::format;
use crate::dashboard::ledger::Setting;
use crate::search::space::Domain;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scale {
    Number(Axis),
    /// The values of a list, as texts.
    Names(Vec<String>),
}

impl Scale {
    pub(super) fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Values(values) => Self::Names(values.iter().map(name).collect()),
            Domain::Float { low, high, log } => Self::range(*low, *high, *log),
            Domain::Integer { low, high, log, .. } => match Self::range(*low as f64, *high as f64, *log) {
                Self::Number(axis) => Self::Number(axis.whole()),
                names @ Self::Names(_) => names,
            },
        }
    }

    fn range(low: f64, high: f64, is_log: bool) -> Self {
        // a range of one value is as wide as any
        let high = if high > low { high } else { low + 1.0 };
        Self::Number(Axis { low, high, is_log: is_log && low > 0.0, is_whole: false })
    }

    /// Of what the trials are set to, where the domain is not known.
    pub(super) fn around<'s>(settings: impl Iterator<Item = &'s Setting>) -> Self {
        let settings: Vec<&Setting> = settings.filter(|setting| **setting != Setting::Absent).collect();
        let numbers = settings.iter().map(|setting| match setting {
            Setting::Number(number) => Some(*number),
            _ => None,
        });
        if let Some(numbers) = numbers.collect::<Option<Vec<f64>>>().filter(|numbers| !numbers.is_empty()) {
            let [low, high] = [f64::min, f64::max].map(|of| numbers.iter().copied().fold(numbers[0], of));
            return Self::range(low, high, low > 0.0 && high / low > 100.0);
        }
        let mut names: Vec<String> = settings.into_iter().map(format::setting).collect();
        names.sort();
        names.dedup();
        Self::Names(names)
    }

    /// From 0 to 1; none where the parameter has no value, or one that is not of the scale.
    pub(super) fn part(&self, setting: &Setting) -> Option<f64> {
        match self {
            Self::Number(axis) => Some(axis.part(setting.number()?)).filter(|part| part.is_finite()),
            Self::Names(_) if *setting == Setting::Absent => None,
            Self::Names(names) => part_of_name(names, &format::setting(setting)),
        }
    }

    pub(super) fn part_of(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Number(axis) => Some(axis.part(value.as_f64()?)).filter(|part| part.is_finite()),
            Self::Names(names) => part_of_name(names, &name(value)),
        }
    }

    /// Where something is written beside it, and what: at most so many.
    pub(super) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        match self {
            Self::Number(axis) => {
                let mut ticks = axis.ticks(most);
                // layers are not halved
                if !axis.is_log && axis.low.fract() == 0.0 && axis.high.fract() == 0.0 && axis.high - axis.low >= 2.0 {
                    ticks.retain(|tick| tick.fract() == 0.0);
                }
                let ticks = if ticks.len() < 2 { vec![axis.low, axis.high] } else { ticks };
                ticks.into_iter().map(|tick| (axis.part(tick), format::number(tick))).collect()
            }
            Self::Names(names) => {
                let every = names.len().div_ceil(most.max(1)).max(1);
                let part = |place: usize| (place as f64 + 0.5) / names.len() as f64;
                names.iter().enumerate().step_by(every).map(|(place, name)| (part(place), name.clone())).collect()
            }
        }
    }

    /// What stands at a part of it.
    pub(super) fn text_at(&self, part: f64) -> String {
        match self {
            Self::Number(axis) => format::number(axis.at(part)),
            Self::Names(names) => {
                let place = ((part * names.len() as f64) as usize).min(names.len().saturating_sub(1));
                names.get(place).cloned().unwrap_or_default()
            }
        }
    }
}

fn part_of_name(names: &[String], name: &str) -> Option<f64> {
    let place = names.iter().position(|known| known == name)?;
    Some((place as f64 + 0.5) / names.len() as f64)
}

/// As a ledger's setting would be written.
fn name(value: &Value) -> String {
    match value {
        Value::Number(number) => number.as_f64().map(format::number).unwrap_or_default(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_lie_on_their_scale_and_names_in_columns() {
        let rate = Scale::of(&Domain::Float { low: 1e-4, high: 1e-2, log: true });
        let at = |scale: &Scale, setting: Setting| scale.part(&setting).map(|part| format!("{part:.2}"));
        assert_eq!(at(&rate, Setting::Number(1e-3)).as_deref(), Some("0.50"));
        assert_eq!(at(&rate, Setting::Number(0.0)), None);
        assert_eq!(at(&rate, Setting::Absent), None);
        assert_eq!(rate.text_at(0.5), "0.001");
        let kinds = Scale::of(&Domain::Values(vec![json!("mean"), json!(64), json!(true), json!("最大")]));
        assert_eq!(at(&kinds, Setting::Number(64.0)).as_deref(), Some("0.38"));
        assert_eq!(at(&kinds, Setting::Truth(true)).as_deref(), Some("0.62"));
        assert_eq!(kinds.part_of(&json!("最大")), Some(0.875));
        assert_eq!(kinds.part_of(&json!("none")), None);
        assert_eq!(kinds.ticks(2).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["mean", "true"]);
        assert_eq!(kinds.text_at(1.0), "最大");
    }

    #[test]
    fn what_has_no_domain_is_measured_by_its_settings() {
        let numbers = [Setting::Number(1.0), Setting::Absent, Setting::Number(1000.0)];
        assert_eq!(
            Scale::around(numbers.iter()),
            Scale::Number(Axis { low: 1.0, high: 1000.0, is_log: true, is_whole: false })
        );
        let mixed = [Setting::Text("b".into()), Setting::Number(2.0), Setting::Text("b".into())];
        assert_eq!(Scale::around(mixed.iter()), Scale::Names(vec!["2".to_owned(), "b".to_owned()]));
        assert_eq!(Scale::around([Setting::Absent].iter()), Scale::Names(Vec::new()));
    }
}
