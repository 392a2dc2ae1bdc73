//! Checkpoints: safetensors with the state of the run in the metadata, either whole or not there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::text::hex;

#[derive(Debug, Error)]
pub enum CheckpointError {
    #[error("cannot write the checkpoint {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the checkpoint {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the checkpoint {} is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// What a file came to.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// Tensors by name, and the state.
pub(super) type Contents<S> = (HashMap<String, Tensor>, S);

/// The key of the state in the metadata.
const STATE: &str = "sweep";
/// The key of the hash of the numbers: a file may be whole and yet not what was written.
const HASH: &str = "sha256";

/// Writes tensors and a state beside `path`, makes them durable and renames them into place.
pub(super) fn save<S: Serialize>(
    path: &Path,
    tensors: &HashMap<String, Tensor>,
    state: &S,
) -> Result<Written, CheckpointError> {
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort();
    let mut numbers = Vec::with_capacity(names.len());
    for name in names {
        let tensor = &tensors[name];
        let flat = tensor.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = flat.iter().flat_map(|x| x.to_le_bytes()).collect();
        numbers.push((name, tensor.dims().to_vec(), bytes));
    }
    let written = |source| CheckpointError::Write { path: path.to_owned(), source };
    let other = |error: &dyn std::fmt::Display| written(io::Error::other(error.to_string()));
    let mut views = Vec::with_capacity(numbers.len());
    for (name, dims, bytes) in &numbers {
        views.push((name, TensorView::new(Dtype::F32, dims.clone(), bytes).map_err(|error| other(&error))?));
    }
    let state = serde_json::to_string(state).map_err(|error| other(&error))?;
    let hash = hash(numbers.iter().map(|(name, _, bytes)| (name.as_str(), bytes.as_slice())), &state);
    let metadata = Some(HashMap::from([(STATE.to_owned(), state), (HASH.to_owned(), hash)]));
    let partial = path.with_extension("partial");
    let result = safetensors::serialize_to_file(views, metadata, &partial)
        .map_err(|error| match error {
            safetensors::SafeTensorError::IoError(error) => error,
            error => io::Error::other(error.to_string()),
        })
        .and_then(|()| File::open(&partial)?.sync_all())
        .and_then(|()| describe(&partial))
        .and_then(|description| fs::rename(&partial, path).map(|()| description));
    if result.is_err() {
        // the error that matters is the first one
        let _ = fs::remove_file(&partial);
    }
    result.map_err(written)
}

/// Of tensors in the order of their names, and of the state.
fn hash<'t>(tensors: impl Iterator<Item = (&'t str, &'t [u8])>, state: &str) -> String {
    let mut hasher = Sha256::new();
    for (name, bytes) in tensors {
        hasher.update(name);
        hasher.update(bytes);
    }
    hasher.update(state);
    hex(&hasher.finalize())
}

fn describe(path: &Path) -> io::Result<Written> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(Written { bytes, sha256: hex(&hasher.finalize()) });
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Reads the tensors and the state of a file; none if there is no such file.
pub(super) fn load<S: DeserializeOwned>(path: &Path) -> Result<Option<Contents<S>>, CheckpointError> {
    let damaged =
        |why: &dyn std::fmt::Display| CheckpointError::Damaged { path: path.to_owned(), why: why.to_string() };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(CheckpointError::Read { path: path.to_owned(), source });
        }
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(&error))?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| damaged(&error))?;
    let entry = |key: &str| metadata.metadata().as_ref().and_then(|map| map.get(key));
    let state = entry(STATE).ok_or_else(|| damaged(&"no state in it"))?;
    let mut views = file.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    if entry(HASH) != Some(&hash(views.iter().map(|(name, view)| (name.as_str(), view.data())), state)) {
        return Err(damaged(&"its numbers are not those that were written"));
    }
    let state = serde_json::from_str(state).map_err(|error| damaged(&error))?;
    let mut tensors = HashMap::new();
    for (name, view) in views {
        let numbers: Vec<f32> =
            view.data().chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
        tensors.insert(name, Tensor::from_vec(numbers, view.shape(), &Device::Cpu)?);
    }
    Ok(Some((tensors, state)))
}

/// The weights of a checkpoint, by name.
pub fn load_weights(path: &Path) -> Result<HashMap<String, Tensor>, CheckpointError> {
    let missing = || CheckpointError::Read { path: path.to_owned(), source: io::ErrorKind::NotFound.into() };
    let (tensors, _) = load::<serde_json::Value>(path)?.ok_or_else(missing)?;
    Ok(tensors)
}
