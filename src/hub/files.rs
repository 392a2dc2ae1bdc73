//! Which files of a model are needed.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::HubError;
use super::hash::Hash;
use super::remote::Listing;

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) hash: Hash,
}

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    /// None where the listing does not tell them.
    pub(super) told: Option<(u64, Hash)>,
}

/// The files that are needed of a model, and those that the hub has besides.
#[derive(Debug)]
pub(super) struct Files {
    wanted: Vec<Listed>,
    others: Vec<Listed>,
}

const CONFIG: &str = "config.json";
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// In the order in which they are looked for.
const WEIGHTS: [&str; 3] = ["model.safetensors", INDEX, "pytorch_model.bin"];
const VOCABULARIES: [&str; 2] = ["tokenizer.json", "vocab.txt"];
/// Taken along where there are any.
const SETTINGS: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

impl Files {
    /// What is needed of what the hub lists, which must have all of it.
    pub(super) fn choose(id: &str, listing: &Listing) -> Result<Self, HubError> {
        let has = |name: &str| listing.files.iter().any(|file| file.name == name);
        let first = |names: &[&'static str], what: &str| {
            names.iter().copied().find(|name| has(name)).ok_or_else(|| HubError::Unusable {
                id: id.to_owned(),
                why: format!("{what} ({} is looked for; it has {})", names.join(" or "), listing.names()),
            })
        };
        let mut names = vec![
            CONFIG,
            first(&WEIGHTS, "it has no weights that can be read")?,
            first(&VOCABULARIES, "it has no tokenizer that can be read")?,
        ];
        names.extend(SETTINGS.into_iter().filter(|name| has(name)));
        let is_wanted = |file: &Listed| names.contains(&file.name.as_str());
        let (wanted, others) = listing.files.iter().cloned().partition(is_wanted);
        Ok(Self { wanted, others })
    }

    /// What says whether the rest is wanted at all.
    pub(super) fn config<'l>(id: &str, listing: &'l Listing) -> Result<&'l Listed, HubError> {
        let found = listing.files.iter().find(|file| file.name == CONFIG);
        found.ok_or_else(|| HubError::Unusable {
            id: id.to_owned(),
            why: format!("it has no {CONFIG}, it has {}", listing.names()),
        })
    }

    pub(super) fn wanted(&self) -> &[Listed] {
        &self.wanted
    }

    /// Files that would have been taken along.
    pub(super) fn absent(&self) -> impl Iterator<Item = &'static str> {
        SETTINGS.into_iter().filter(|name| !self.wanted.iter().any(|file| file.name == *name))
    }

    /// The files that an index of shards names.
    pub(super) fn shards(&self, id: &str, index: &Path) -> Result<Vec<Listed>, HubError> {
        let names = shard_names(index)
            .ok_or_else(|| HubError::Unusable { id: id.to_owned(), why: format!("{INDEX} is no index of shards") })?;
        let find = |name: &String| {
            let why = if name.contains('/') {
                // it would become a path of this machine
                format!("{INDEX} names {name:?}, which does not lie beside it")
            } else if let Some(file) = self.others.iter().find(|file| file.name == *name) {
                return Ok(file.clone());
            } else {
                format!("{name} is missing")
            };
            Err(HubError::Unusable { id: id.to_owned(), why })
        };
        names.iter().map(find).collect()
    }
}

/// Whether a folder holds all that is needed of a model. `absent` says of a file that would be taken along that the
/// model has none.
pub(super) fn is_whole(folder: &Path, absent: &dyn Fn(&str) -> bool) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let weights = || match WEIGHTS.into_iter().find(|name| has(name)) {
        Some(INDEX) => shard_names(&folder.join(INDEX)).is_some_and(|names| names.iter().all(|name| has(name))),
        found => found.is_some(),
    };
    has(CONFIG)
        && weights()
        && VOCABULARIES.into_iter().any(has)
        && SETTINGS.into_iter().all(|name| has(name) || absent(name))
}

fn shard_names(index: &Path) -> Option<BTreeSet<String>> {
    let index: Value = serde_json::from_slice(&std::fs::read(index).ok()?).ok()?;
    index["weight_map"].as_object()?.values().map(|name| name.as_str().map(str::to_owned)).collect()
}
