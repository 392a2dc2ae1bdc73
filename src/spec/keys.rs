//! A resolved configuration under the keys of the sweep file.

use serde_json::{Map, Value};

use super::{Config, Pretrained};

impl Config {
    /// Every key with its value, as a sweep file would give it.
    pub fn keys(&self) -> Vec<(String, Value)> {
        let Ok(Value::Object(mut sections)) = serde_json::to_value(self) else { return Vec::new() };
        for section in sections.values_mut() {
            if let Value::Object(section) = section {
                rename(section);
            }
        }
        let mut keys = Vec::new();
        flatten("", sections, &mut keys);
        keys
    }
}

/// Choices that bring their own keys stand as tables in the resolved form, and beside their keys in the file.
fn rename(section: &mut Map<String, Value>) {
    if let Some(Value::Object(labels)) = section.shift_remove("labels") {
        for (kind, mut column) in labels.into_iter().map(as_table) {
            let name = if kind == "multi" { "labels" } else { "label" };
            section.extend(column.shift_remove("column").map(|column| (name.to_owned(), column)));
            section.extend(column);
        }
    }
    if let Some(Value::Object(encoder)) = section.shift_remove("encoder") {
        for (kind, value) in encoder {
            if let Ok(name) = serde_json::from_value::<Pretrained>(value.clone()) {
                section.insert("encoder".to_owned(), name.to_string().into());
            } else if let Value::Object(sizes) = value {
                section.insert("encoder".to_owned(), kind.into());
                section.extend(sizes);
            }
        }
    }
    if let Some(Value::Object(warmup)) = section.shift_remove("warmup") {
        section.extend(warmup.into_iter().map(|(kind, value)| (format!("warmup_{kind}"), value)));
    }
    if let Some(memory) = section.get_mut("memory")
        && let Some(megabytes) = memory.get("megabytes").cloned()
    {
        *memory = megabytes;
    }
    match section.shift_remove("loss") {
        Some(Value::Object(loss)) => {
            for (kind, options) in loss.into_iter().map(as_table) {
                section.insert("loss".to_owned(), kind.replace('_', "-").into());
                section.extend(options.into_iter().map(|(name, value)| (loss_key(name), value)));
            }
        }
        Some(name) => {
            section.insert("loss".to_owned(), name);
        }
        None => {}
    }
    if let Some(layers) = section.get_mut("freeze").and_then(|freeze| freeze.get_mut("layers"))
        && layers.as_u64() == Some(usize::MAX as u64)
    {
        *layers = "all".into();
    }
}

/// The options of a loss stand beside it in the file.
fn loss_key(name: String) -> String {
    match name.as_str() {
        "gamma" => "focal_gamma".to_owned(),
        "margin" => "asymmetric_margin".to_owned(),
        _ => name,
    }
}

fn as_table((kind, value): (String, Value)) -> (String, Map<String, Value>) {
    let table = if let Value::Object(table) = value { table } else { Map::new() };
    (kind, table)
}

fn flatten(path: &str, table: Map<String, Value>, keys: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            // what is absent has no value in a sweep file
            Value::Null => {}
            Value::Object(table) => flatten(&key, table, keys),
            value => keys.push((key, value)),
        }
    }
}
