//! `[resources]`: what the runs of a sweep may use.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::{Reader, describe};

/// `[resources]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub devices: Devices,
    /// Runs at once on one device; none: one on a GPU, one per core on the CPU.
    pub slots_per_device: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Devices {
    /// Every GPU that is found, else the CPU.
    Auto,
    Cpu,
    /// GPUs by their number.
    Cuda(Vec<u32>),
}

impl Resources {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let devices = match reader.ask("devices").map(read_devices) {
            None => Devices::Auto,
            Some(Ok(devices)) => devices,
            Some(Err(what)) => {
                reader.problem("devices", what);
                Devices::Auto
            }
        };
        Self { devices, slots_per_device: reader.optional_integer("slots_per_device", 1..=10_000) }
    }
}

fn read_devices(value: &Value) -> Result<Devices, String> {
    const FORM: &str = "expected \"auto\", \"cpu\", \"cuda:0\" or a list of GPU numbers";
    match value {
        Value::String(name) if name == "auto" => Ok(Devices::Auto),
        Value::String(name) if name == "cpu" => Ok(Devices::Cpu),
        Value::String(name) => {
            let number = name.strip_prefix("cuda:").and_then(|number| number.parse().ok());
            number.map(|number| Devices::Cuda(vec![number])).ok_or_else(|| format!("{FORM}, found {name:?}"))
        }
        Value::Array(items) if !items.is_empty() => {
            let numbers: Option<Vec<u32>> =
                items.iter().map(|item| item.as_u64().and_then(|number| u32::try_from(number).ok())).collect();
            numbers.map(Devices::Cuda).ok_or_else(|| FORM.to_owned())
        }
        other => Err(format!("{FORM}, found {}", describe(other))),
    }
}
