//! Segment vectors of an encoder that does not change: computed once per data set and encoder, shared by all runs
//! through files.
//!
//! The files of one encoder and data set lie in a folder of their own, some documents in each. Whoever finds a file
//! missing takes its lock and makes it; several workers at once make different ones and wait for each other's. Folders
//! that nobody uses go, the oldest first, when there are too many bytes of them.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candle_core::{Device, Result, Tensor, bail};
use sha2::{Digest, Sha256};

use crate::model::{Classifier, Precision};
use crate::protocol::Job;
use crate::spec;
use crate::text::{hex, write_atomically};

/// Segment vectors by document.
#[derive(Debug)]
pub(super) struct Vectors {
    /// Opened when they are read: there may be more of them than a process may hold open.
    files: Vec<PathBuf>,
    /// The file of each document, and where its vectors lie in it.
    places: HashMap<u32, Place>,
    width: usize,
    device: Device,
    /// Holds the folder as long as it is used.
    _in_use: File,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    offset: u64,
    segments: usize,
}

/// Documents in one file.
const SHARD: usize = 32;
const MAGIC: &[u8; 8] = b"SWEEPVC1";
/// Locked by whoever uses a folder; its time is that of the newest use.
const IN_USE: &str = "in-use";

/// How a document's segment vectors [segments, hidden] are made.
pub(super) type Encode<'e> = dyn FnMut(u32) -> Result<Tensor> + 'e;

impl Vectors {
    /// The vectors of documents `0..count`, made by `encode` where no file has them.
    pub(super) fn open(
        folder: &Path,
        count: usize,
        device: &Device,
        encode: &mut Encode<'_>,
    ) -> std::result::Result<Self, VectorsError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| VectorsError::File { path, source }
        };
        let in_use = hold(folder).map_err(at(folder))?;
        let shards: Vec<Vec<u32>> = (0..count as u32).collect::<Vec<_>>().chunks(SHARD).map(<[u32]>::to_vec).collect();
        let mut later = Vec::new();
        for (index, documents) in shards.iter().enumerate() {
            let path = folder.join(format!("{index}.vectors"));
            if read_header(&path, documents).is_some() {
                continue;
            }
            let lock = File::create(folder.join(format!("{index}.lock"))).map_err(at(&path))?;
            match lock.try_lock() {
                Ok(()) => make(&path, documents, encode)?,
                Err(TryLockError::WouldBlock) => later.push((index, lock)),
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            }
        }
        for (index, lock) in later {
            let path = folder.join(format!("{index}.vectors"));
            lock.lock().map_err(at(&path))?;
            make(&path, &shards[index], encode)?;
        }
        let mut vectors =
            Self { files: Vec::new(), places: HashMap::new(), width: 0, device: device.clone(), _in_use: in_use };
        for (index, documents) in shards.iter().enumerate() {
            let path = folder.join(format!("{index}.vectors"));
            vectors.add(&path, documents).map_err(at(&path))?;
        }
        Ok(vectors)
    }

    fn add(&mut self, path: &Path, documents: &[u32]) -> io::Result<()> {
        let header = read_header(path, documents).ok_or(io::ErrorKind::InvalidData)?;
        self.width = header.width;
        let mut offset = header.start;
        for (document, segments) in documents.iter().zip(header.segments) {
            self.places.insert(*document, Place { file: self.files.len(), offset, segments });
            offset += (segments * self.width * 4) as u64;
        }
        self.files.push(path.to_owned());
        Ok(())
    }

    /// The vectors of some segments of a document, [segments, hidden].
    pub(super) fn of(&self, document: u32, segments: &[u32]) -> Result<Tensor> {
        let Some(place) = self.places.get(&document) else { bail!("no vectors of document {document}") };
        let file = File::open(&self.files[place.file])?;
        let mut numbers = Vec::with_capacity(segments.len() * self.width);
        let mut row = vec![0; self.width * 4];
        for segment in segments.iter().map(|segment| *segment as usize) {
            if segment >= place.segments {
                bail!("document {document} has {} segments, not {segment}", place.segments);
            }
            file.read_exact_at(&mut row, place.offset + (segment * self.width * 4) as u64)?;
            numbers.extend(row.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])));
        }
        Tensor::from_vec(numbers, (segments.len(), self.width), &self.device)
    }
}

/// Makes a folder and keeps it from being deleted as long as the file lives.
fn hold(folder: &Path) -> io::Result<File> {
    let path = folder.join(IN_USE);
    loop {
        fs::create_dir_all(folder)?;
        let file = match File::create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        file.lock_shared()?;
        // whoever deletes unused folders may have held the lock, and what it locks is gone
        if is_at(&file, &path) {
            // the newest use is the file's time: what is not used goes first
            file.set_modified(SystemTime::now())?;
            return Ok(file);
        }
    }
}

/// Whether a file is still what lies at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    fs::metadata(path).is_ok_and(|found| file.metadata().is_ok_and(|held| place(held) == place(found)))
}

#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    #[error("cannot keep segment vectors in {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The folder of a job's vectors: its name is a hash of everything that they depend on.
pub(super) fn folder(job: &Job, model: &Classifier, precision: Precision) -> Result<PathBuf> {
    let documents = Path::new(&job.documents);
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    hasher.update(env!("CARGO_PKG_VERSION"));
    hasher.update(format!("{precision:?} {:?}", documents.file_name()));
    hasher.update(serde_json::to_vec(&encoder_keys(&job.config.model)).unwrap_or_default());
    for param in model.params().iter().filter(|param| param.name().starts_with("bert.")) {
        hasher.update(param.name());
        for number in param.value().flatten_all()?.to_vec1::<f32>()? {
            hasher.update(number.to_le_bytes());
        }
    }
    let name = hex(&hasher.finalize());
    Ok(documents.parent().unwrap_or(Path::new(".")).join(format!("{}.vectors", &name[..24])))
}

/// The keys of `[model]` without those that only what stands above the encoder has.
fn encoder_keys(model: &spec::Model) -> serde_json::Value {
    let mut keys = serde_json::to_value(model).unwrap_or_default();
    if let Some(keys) = keys.as_object_mut() {
        for head in [
            "aggregator",
            "segment_positions",
            "dropout",
            "attention_dropout",
            "head_dropout",
            "label_attention",
            "label_embeddings",
            "label_scale",
            "label_projection",
            "label_norm",
            "preset",
            // its weights are hashed themselves
            "encoder",
        ] {
            keys.shift_remove(head);
        }
    }
    keys
}

struct Header {
    /// Of each document.
    segments: Vec<usize>,
    width: usize,
    /// Where the numbers begin.
    start: u64,
}

/// The header of a whole file with these documents.
fn read_header(path: &Path, documents: &[u32]) -> Option<Header> {
    let file = File::open(path).ok()?;
    let mut fixed = [0; 16];
    file.read_exact_at(&mut fixed, 0).ok()?;
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    if &fixed[..8] != MAGIC || number(&fixed[12..]) != documents.len() {
        return None;
    }
    let width = number(&fixed[8..]);
    let mut counts = vec![0; 4 * documents.len()];
    file.read_exact_at(&mut counts, 16).ok()?;
    let segments: Vec<usize> = counts.chunks_exact(4).map(number).collect();
    let start = 16 + counts.len() as u64;
    // what a damaged header says may be beyond any file
    let whole = u128::from(start) + 4 * width as u128 * segments.iter().sum::<usize>() as u128;
    (u128::from(file.metadata().ok()?.len()) == whole).then_some(Header { segments, width, start })
}

/// Makes the file of some documents, unless another worker has made it meanwhile.
fn make(path: &Path, documents: &[u32], encode: &mut Encode<'_>) -> std::result::Result<(), VectorsError> {
    if read_header(path, documents).is_some() {
        return Ok(());
    }
    let mut counts = Vec::new();
    let mut numbers = Vec::new();
    let mut width = 0;
    for document in documents {
        let vectors = encode(*document)?;
        let (segments, hidden) = vectors.dims2()?;
        counts.push(segments as u32);
        width = hidden as u32;
        numbers.extend(vectors.flatten_all()?.to_vec1::<f32>()?);
    }
    let written = write_atomically(path, |file| {
        file.write_all(MAGIC)?;
        for number in [width, documents.len() as u32].iter().chain(&counts) {
            file.write_all(&number.to_le_bytes())?;
        }
        numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
    });
    written.map_err(|source| VectorsError::File { path: path.to_owned(), source })
}

/// Deletes folders of vectors that nobody uses, the longest unused first, until at most `most` bytes are left.
pub fn prune_vectors(cache: &Path, most: u64) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    let mut folders: Vec<(SystemTime, PathBuf, u64)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let used = fs::metadata(path.join(IN_USE)).ok()?.modified().ok()?;
            let bytes = fs::read_dir(&path).ok()?.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum();
            path.extension().is_some_and(|extension| extension == "vectors").then_some((used, path, bytes))
        })
        .collect();
    folders.sort();
    let mut whole: u64 = folders.iter().map(|(_, _, bytes)| bytes).sum();
    for (_, path, bytes) in folders {
        if whole <= most {
            return;
        }
        let in_use = path.join(IN_USE);
        let Ok(lock) = File::options().write(true).open(&in_use) else { continue };
        if lock.try_lock().is_err() || !is_at(&lock, &in_use) {
            continue;
        }
        // away at once: whoever takes the folder meanwhile makes another
        let unused = path.with_extension("unused");
        let _ = fs::remove_dir_all(&unused);
        if fs::rename(&path, &unused).is_ok() && fs::remove_dir_all(&unused).is_ok() {
            tracing::info!("deleted the segment vectors in {}", path.display());
            whole -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(document: u32) -> Result<Tensor> {
        let rows = 1 + document as usize % 3;
        Tensor::full(document as f32, (rows, 4), &Device::Cpu)
    }

    fn open(folder: &Path, encode: &mut Encode<'_>) -> Vectors {
        Vectors::open(folder, 100, &Device::Cpu, encode).expect("vectors")
    }

    #[test]
    fn made_once_and_again_where_damaged() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("a.vectors");
        let mut made = 0;
        let mut count = |document| {
            made += 1;
            numbers(document)
        };
        let vectors = open(&folder, &mut count);
        let row = vectors.of(5, &[2, 0]).and_then(|x| x.to_vec2::<f32>()).expect("rows");
        assert_eq!(row, [[5.0; 4]; 2]);
        assert!(vectors.of(5, &[3]).is_err() && vectors.of(100, &[0]).is_err());
        open(&folder, &mut count);
        let damaged = folder.join("1.vectors");
        let whole = fs::read(&damaged).expect("read");
        fs::write(&damaged, &whole[..whole.len() - 4]).expect("written");
        open(&folder, &mut count);
        assert_eq!(made, 100 + SHARD);
        assert_eq!(fs::read(&damaged).expect("read"), whole);
    }

    #[test]
    fn a_header_that_promises_too_much_is_damaged() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("0.vectors");
        let header = [&MAGIC[..], &u32::MAX.to_le_bytes(), &2u32.to_le_bytes(), &[0xff; 8]].concat();
        fs::write(&path, header).expect("written");
        assert!(read_header(&path, &[0, 1]).is_none());
    }

    #[test]
    fn no_more_files_stay_open_than_one() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = fs::canonicalize(directory.path()).expect("a path").join("a.vectors");
        let vectors = open(&folder, &mut numbers);
        assert!((0..100).all(|document| vectors.of(document, &[0]).is_ok()));
        // where there is no such list there is nothing to see
        let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return };
        let ours = |entry: io::Result<fs::DirEntry>| fs::read_link(entry.ok()?.path()).ok();
        let open: Vec<PathBuf> = descriptors.filter_map(ours).filter(|path| path.starts_with(&folder)).collect();
        assert_eq!(open, [folder.join(IN_USE)]);
    }

    #[test]
    fn a_folder_that_is_deleted_while_it_is_taken_is_made_anew() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("a.vectors");
        for _ in 0..20 {
            drop(open(&folder, &mut numbers));
            std::thread::scope(|scope| {
                let deletes = scope.spawn(|| prune_vectors(directory.path(), 0));
                let vectors = open(&folder, &mut numbers);
                deletes.join().expect("deleted");
                assert!((0..100).all(|document| vectors.of(document, &[0]).is_ok()));
            });
        }
    }

    #[test]
    fn several_workers_share_the_work() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("a.vectors");
        let made: usize = std::thread::scope(|scope| {
            let worker = || {
                let mut made = 0;
                let mut encode = |document| {
                    made += 1;
                    numbers(document)
                };
                let vectors = open(&folder, &mut encode);
                assert!((0..100).all(|document| vectors.of(document, &[0]).is_ok()));
                made
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|worker| worker.join().expect("a worker")).sum()
        });
        assert_eq!(made, 100);
    }

    #[test]
    fn unused_folders_go_and_used_ones_stay() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let of = |name: &str| directory.path().join(name);
        let used = open(&of("a.vectors"), &mut numbers);
        drop(open(&of("b.vectors"), &mut numbers));
        fs::write(of("x.tokens"), "other files stay").expect("written");
        prune_vectors(directory.path(), u64::MAX);
        assert!(of("a.vectors").exists() && of("b.vectors").exists());
        prune_vectors(directory.path(), 0);
        assert!(of("a.vectors").exists() && !of("b.vectors").exists() && of("x.tokens").exists());
        drop(used);
        prune_vectors(directory.path(), 0);
        assert!(!of("a.vectors").exists());
    }
}
