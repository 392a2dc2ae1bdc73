//! Weight files: their headers say what is in them, tensors are read one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::pretrained::PretrainedError;

/// The tensors of a folder, by the names that its files give them.
pub(super) struct Weights {
    /// The file that stands for all of them in messages.
    pub(super) path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

/// Where a tensor is.
enum Stored {
    Safetensors { file: Arc<PathBuf>, data: u64, info: TensorInfo },
    Pickle(Arc<PthTensors>),
}

const ONE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PICKLE: &str = "pytorch_model.bin";

/// Longest header that is believed, as in the safetensors library.
const LONGEST_HEADER: u64 = 100_000_000;

impl Weights {
    /// Reads the headers of a folder's weight files: safetensors, in one file or in shards, or PyTorch's own format.
    pub(super) fn open(folder: &Path) -> Result<Self, PretrainedError> {
        let [one, index, pickle] = [ONE, INDEX, PICKLE].map(|name| folder.join(name));
        if one.exists() {
            let mut tensors = BTreeMap::new();
            add_safetensors(&one, &mut tensors)?;
            return Ok(Self { path: one, tensors });
        }
        if index.exists() {
            let mut tensors = BTreeMap::new();
            for shard in shards(&index)? {
                add_safetensors(&folder.join(shard), &mut tensors)?;
            }
            return Ok(Self { path: index, tensors });
        }
        if pickle.exists() {
            let opened = PthTensors::new(&pickle, None).map_err(|error| pickle_error(&pickle, &error))?;
            let opened = Arc::new(opened);
            let names = opened.tensor_infos().keys().cloned();
            let tensors = names.map(|name| (name, Stored::Pickle(opened.clone()))).collect();
            return Ok(Self { path: pickle, tensors });
        }
        Err(PretrainedError::NoWeights(folder.to_owned()))
    }

    /// The files that tensors are in, each once.
    pub(super) fn files(&self) -> BTreeSet<&Path> {
        let files = self.tensors.values().map(|stored| match stored {
            Stored::Safetensors { file, .. } => file.as_path(),
            Stored::Pickle(_) => self.path.as_path(),
        });
        files.collect()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor, and whether its numbers are of a kind that f32 stands for.
    pub(super) fn shape(&self, name: &str) -> Option<(Vec<usize>, bool)> {
        let (shape, dtype) = match self.tensors.get(name)? {
            Stored::Safetensors { info, .. } => (info.shape.clone(), DType::try_from(info.dtype).ok()),
            Stored::Pickle(file) => {
                let info = file.tensor_infos().get(name)?;
                (info.layout.dims().to_vec(), Some(info.dtype))
            }
        };
        Some((shape, matches!(dtype, Some(DType::F16 | DType::BF16 | DType::F32 | DType::F64))))
    }

    /// Reads a tensor, widened to f32.
    pub(super) fn read(&self, name: &str) -> Result<Tensor, PretrainedError> {
        let (path, read) = match self.tensors.get(name) {
            Some(Stored::Safetensors { file, data, info }) => {
                let bytes = read_bytes(file, data + info.data_offsets.0 as u64, info);
                let bytes = bytes.map_err(|error| unreadable(file, error.to_string()))?;
                let dtype = DType::try_from(info.dtype).map_err(|error| tensor_error(file, &error))?;
                (file.as_path(), Tensor::from_raw_buffer(&bytes, dtype, &info.shape, &Device::Cpu).map(Some))
            }
            Some(Stored::Pickle(file)) => (self.path.as_path(), file.get(name)),
            None => (self.path.as_path(), Ok(None)),
        };
        let tensor = read.and_then(|tensor| tensor.map(|tensor| tensor.to_dtype(DType::F32)).transpose());
        let tensor = tensor.map_err(|error| tensor_error(path, &error))?;
        tensor.ok_or_else(|| unreadable(path, format!("{name} is not in it")))
    }
}

/// File names of an index of shards.
fn shards(index: &Path) -> Result<Vec<String>, PretrainedError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let read = std::fs::read(index).map_err(|error| unreadable(index, error.to_string()))?;
    let Index { weight_map } = serde_json::from_slice(&read).map_err(|error| unreadable(index, error.to_string()))?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn add_safetensors(path: &Path, tensors: &mut BTreeMap<String, Stored>) -> Result<(), PretrainedError> {
    let (data, header) = read_header(path).map_err(|error| unreadable(path, error.to_string()))?;
    let file = Arc::new(path.to_owned());
    for (name, info) in header.tensors() {
        tensors.insert(name, Stored::Safetensors { file: file.clone(), data, info: info.clone() });
    }
    Ok(())
}

/// Where the data of a safetensors file begin, and what they are.
fn read_header(path: &Path) -> io::Result<(u64, Metadata)> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut word = [0; 8];
    file.read_exact(&mut word).map_err(|_| invalid("it is no safetensors file: too short".to_owned()))?;
    let header = u64::from_le_bytes(word);
    if header > LONGEST_HEADER || header > length.saturating_sub(8) {
        return Err(invalid("it is cut off, or no safetensors file: its header is longer than it is".to_owned()));
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes)?;
    let metadata: Metadata =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("its header is garbled: {error}")))?;
    let (expected, found) = (8 + header + metadata.data_len() as u64, length);
    if expected != found {
        return Err(invalid(format!("it is cut off or damaged: {found} bytes, its header says {expected}")));
    }
    Ok((8 + header, metadata))
}

fn read_bytes(path: &Path, start: u64, info: &TensorInfo) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, why: String) -> PretrainedError {
    PretrainedError::Read { path: path.to_owned(), why }
}

fn tensor_error(path: &Path, error: &candle_core::Error) -> PretrainedError {
    // the message without the backtrace that candle appends
    unreadable(path, error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// PyTorch wrote no zip archive before 1.6.
fn pickle_error(path: &Path, error: &candle_core::Error) -> PretrainedError {
    let text = error.to_string();
    if text.contains("EOCD") {
        let mut first = [0];
        let is_pickle = File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == [0x80];
        let what = if is_pickle {
            "it is older than PyTorch 1.6: load it with PyTorch and save it anew as safetensors"
        } else {
            "it is cut off, or no PyTorch file: no zip archive"
        };
        return unreadable(path, what.to_owned());
    }
    tensor_error(path, error)
}
