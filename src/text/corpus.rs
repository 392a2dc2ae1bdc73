//! Tokenised documents in one file that every worker maps: made once, shared by all runs.
//!
//! Layout: magic, length of the header (u64), header (JSON), offsets of the documents (u64 each, one more than there
//! are documents), token ids (u32 each); all little-endian.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::files::write_atomically;
use super::load::{DataError, DocumentLabels, Documents, load};
use super::tokenize::{Special, Tokenizer, TokenizerError};
use super::windows::windows;
use crate::spec::{Config, Encoder, Model};

const MAGIC: &[u8; 8] = b"SWEEPTK1";

/// A mapped file of tokenised documents.
#[derive(Debug)]
pub struct Corpus {
    map: Mmap,
    header: Header,
    offsets: usize,
    tokens: usize,
}

/// All but the tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    ids: Vec<String>,
    classes: Vec<String>,
    /// Label ids of each document; exactly one each unless `multi_label`.
    labels: Vec<Vec<u32>>,
    multi_label: bool,
    groups: Option<Vec<u32>>,
    special: Special,
    vocabulary: usize,
    characters: u64,
    unknown: u64,
    data_sha256: String,
}

#[derive(Debug, Error)]
pub enum CorpusError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error("cannot write the tokenised documents {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read the tokenised documents {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {what}; delete it, it will be made again", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("document {id:?} has no token left after tokenisation: it would be classified by nothing")]
    NoTokens { id: String },
}

/// Makes the file of a configuration's tokenised documents in `cache`, unless it is there, and says where. Paths of the
/// configuration are relative to `project`; a pretrained encoder is the directory that it was found in.
pub fn prepare(project: &Path, cache: &Path, config: &Config) -> Result<PathBuf, CorpusError> {
    let key = key(project, config)?;
    let path = cache.join(format!("{}.tokens", &key[..24]));
    if Corpus::open(&path).is_ok() {
        return Ok(path);
    }
    let documents = load(project, &config.data, &config.text)?;
    let tokenizer = match &config.model.encoder {
        Encoder::Scratch(scratch) => Tokenizer::scratch(&documents.texts, scratch)?,
        Encoder::Pretrained(at) => Tokenizer::folder(&project.join(&at.name))?,
    };
    let tokens = tokenizer.encode(&documents.texts)?;
    if let Some(index) = tokens.iter().position(Vec::is_empty) {
        return Err(CorpusError::NoTokens { id: documents.ids[index].clone() });
    }
    let written = |source| CorpusError::Write { path: path.clone(), source };
    fs::create_dir_all(cache).map_err(written)?;
    let json = tokenizer.to_json()?;
    write_atomically(&path.with_extension("tokenizer.json"), |file| file.write_all(json.as_bytes()))
        .map_err(written)?;
    let header = Header::new(documents, &tokens, &tokenizer, file_hash(&project.join(&config.data.path))?);
    write_atomically(&path, |file| write(file, &header, &tokens)).map_err(written)?;
    Ok(path)
}

/// Everything that the tokens depend on.
fn key(project: &Path, config: &Config) -> Result<String, CorpusError> {
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    hasher.update(file_hash(&project.join(&config.data.path))?);
    hasher.update(serde_json::to_vec(&(&config.data, &config.text)).unwrap_or_default());
    match &config.model.encoder {
        Encoder::Scratch(scratch) => hasher.update(format!("{:?} {}", scratch.tokenizer, scratch.vocabulary)),
        Encoder::Pretrained(at) => {
            for name in ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"] {
                let path = project.join(&at.name).join(name);
                hasher.update(if path.exists() { file_hash(&path)? } else { "-".to_owned() });
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

fn file_hash(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // a string takes all that is written
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write(file: &mut dyn Write, header: &Header, tokens: &[Vec<u32>]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    file.write_all(MAGIC)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    let mut offset = 0u64;
    file.write_all(&offset.to_le_bytes())?;
    for document in tokens {
        offset += document.len() as u64;
        file.write_all(&offset.to_le_bytes())?;
    }
    for token in tokens.iter().flatten() {
        file.write_all(&token.to_le_bytes())?;
    }
    Ok(())
}

impl Header {
    fn new(documents: Documents, tokens: &[Vec<u32>], tokenizer: &Tokenizer, data_sha256: String) -> Self {
        let unknown = tokens.iter().flatten().filter(|token| **token == tokenizer.special.unknown).count();
        let (labels, multi_label) = match documents.labels {
            DocumentLabels::Single(of) => (of.into_iter().map(|label| vec![label]).collect(), false),
            DocumentLabels::Multi(of) => (of, true),
        };
        Self {
            characters: documents.texts.iter().map(|text| text.chars().count() as u64).sum(),
            ids: documents.ids,
            classes: documents.classes,
            labels,
            multi_label,
            groups: documents.groups,
            special: tokenizer.special,
            vocabulary: tokenizer.vocabulary(),
            unknown: unknown as u64,
            data_sha256,
        }
    }
}

impl Corpus {
    /// Maps a file that [`prepare`] made.
    pub fn open(path: &Path) -> Result<Self, CorpusError> {
        let read = |source| CorpusError::Read { path: path.to_owned(), source };
        let damaged = |what| CorpusError::Damaged { path: path.to_owned(), what };
        let file = File::open(path).map_err(read)?;
        // SAFETY: the file is written beside its name and renamed into place, and never changed afterwards.
        #[allow(unsafe_code, reason = "mapping a file is unsafe because others could change it; nobody does")]
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        let bytes = map.get(..16).ok_or(damaged("it is too short"))?;
        if &bytes[..8] != MAGIC {
            return Err(damaged("it is not a file of tokens"));
        }
        let length = u64_at(&map, 8) as usize;
        let end = length.checked_add(16).filter(|end| *end <= map.len()).ok_or(damaged("its header is cut off"))?;
        let header: Header = serde_json::from_slice(&map[16..end]).map_err(|_| damaged("its header is garbled"))?;
        let tokens = end + 8 * (header.ids.len() + 1);
        if tokens > map.len() || map.len() != tokens + 4 * u64_at(&map, tokens - 8) as usize {
            return Err(damaged("it is cut off"));
        }
        Ok(Self { map, header, offsets: end, tokens })
    }

    pub fn documents(&self) -> usize {
        self.header.ids.len()
    }

    pub fn id(&self, document: usize) -> &str {
        &self.header.ids[document]
    }

    pub fn classes(&self) -> &[String] {
        &self.header.classes
    }

    pub fn is_multi_label(&self) -> bool {
        self.header.multi_label
    }

    /// Sorted label ids.
    pub fn labels(&self, document: usize) -> &[u32] {
        &self.header.labels[document]
    }

    /// The group of each document.
    pub fn groups(&self) -> Option<&[u32]> {
        self.header.groups.as_deref()
    }

    pub fn special(&self) -> Special {
        self.header.special
    }

    /// Entries of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.header.vocabulary
    }

    /// Hash of the file that the documents came from.
    pub fn data_sha256(&self) -> &str {
        &self.header.data_sha256
    }

    pub fn token_count(&self, document: usize) -> usize {
        let (start, end) = self.range(document);
        end - start
    }

    /// Content tokens of a document, without special ones.
    pub fn tokens(&self, document: usize) -> Vec<u32> {
        let (start, end) = self.range(document);
        let bytes = &self.map[self.tokens + 4 * start..self.tokens + 4 * end];
        bytes.chunks_exact(4).map(|token| u32::from_le_bytes([token[0], token[1], token[2], token[3]])).collect()
    }

    /// The windows of a document, as ranges of its tokens.
    pub fn windows(&self, document: usize, model: &Model) -> Vec<Range<usize>> {
        windows(self.token_count(document), model)
    }

    fn range(&self, document: usize) -> (usize, usize) {
        let at = |index: usize| u64_at(&self.map, self.offsets + 8 * index) as usize;
        (at(document), at(document + 1))
    }

    /// What a model with these windows sees of the documents.
    pub fn statistics(&self, model: &Model) -> Statistics {
        let counts: Vec<usize> = (0..self.documents()).map(|document| self.token_count(document)).collect();
        let total: usize = counts.iter().sum();
        let mut seen = 0;
        let mut segments = 0;
        let mut truncated = 0;
        for (document, count) in counts.iter().enumerate() {
            let windows = self.windows(document, model);
            let mut end = 0;
            let mut covered = 0;
            for window in &windows {
                covered += window.end - window.start.max(end).min(window.end);
                end = window.end;
            }
            seen += covered;
            segments += windows.len();
            truncated += usize::from(covered < *count);
        }
        let mut sorted = counts;
        sorted.sort_unstable();
        let quantile = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
        let mut per_class = vec![0; self.classes().len()];
        for label in self.header.labels.iter().flatten() {
            per_class[*label as usize] += 1;
        }
        Statistics {
            documents: self.documents(),
            classes: self.classes().iter().cloned().zip(per_class).collect(),
            multi_label: self.is_multi_label(),
            groups: self.groups().map(|groups| groups.iter().max().map_or(0, |last| *last as usize + 1)),
            characters: self.header.characters,
            tokens: total,
            vocabulary: self.vocabulary(),
            tokens_min: quantile(0.0),
            tokens_median: quantile(0.5),
            tokens_p90: quantile(0.9),
            tokens_max: quantile(1.0),
            segments,
            truncated_documents: truncated,
            truncated_share: 1.0 - seen as f64 / total.max(1) as f64,
            unknown_share: self.header.unknown as f64 / total.max(1) as f64,
        }
    }
}

/// What the documents are like; lengths in tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    pub documents: usize,
    /// Documents of each class.
    pub classes: Vec<(String, usize)>,
    pub multi_label: bool,
    pub groups: Option<usize>,
    pub characters: u64,
    pub tokens: usize,
    pub vocabulary: usize,
    pub tokens_min: usize,
    pub tokens_median: usize,
    pub tokens_p90: usize,
    pub tokens_max: usize,
    /// Windows of all documents.
    pub segments: usize,
    pub truncated_documents: usize,
    /// Share of all tokens that no window holds.
    pub truncated_share: f64,
    /// Share of all tokens that are unknown.
    pub unknown_share: f64,
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    fn config(keys: &str) -> Config {
        Spec::parse("x", &format!("data.path = \"a.jsonl\"\n{keys}"), &[]).expect("a good file").config
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (project, cache) = (directory.path(), directory.path().join("cache"));
        let rows = ["{\"text\":\"甲乙甲乙\",\"label\":\"a\"}", "{\"text\":\"乙乙乙丙\",\"label\":\"b\"}"].join("\n");
        fs::write(project.join("a.jsonl"), rows).expect("written");
        let small = config("model.segment_len = 4\nmodel.stride = 2\nmodel.max_segments = 1\nmodel.keep = \"tail\"");
        let prepared = prepare(project, &cache, &small).expect("prepared");
        let corpus = Corpus::open(&prepared).expect("a corpus");
        // the vocabulary: five special tokens, then 乙 (5 times) and 甲 (twice); 丙 occurs once
        assert_eq!((corpus.tokens(0), corpus.tokens(1)), (vec![6, 5, 6, 5], vec![5, 5, 5, 1]));
        assert_eq!((corpus.labels(1), corpus.id(1), corpus.vocabulary()), (&[1][..], "2", 7));
        let statistics = corpus.statistics(&small.model);
        assert_eq!((statistics.truncated_share, statistics.unknown_share, statistics.segments), (0.5, 0.125, 2));
        assert_eq!(prepare(project, &cache, &small).expect("prepared"), prepared);
        assert_ne!(prepare(project, &cache, &config("model.vocabulary = 10")).expect("prepared"), prepared);

        let whole = fs::read(&prepared).expect("read");
        for length in [0, 7, 15, 40, whole.len() - 1] {
            fs::write(&prepared, &whole[..length]).expect("written");
            assert!(Corpus::open(&prepared).is_err(), "{length}");
        }
        // a damaged file is made again
        prepare(project, &cache, &small).expect("prepared");
        assert_eq!(fs::read(&prepared).expect("read"), whole);
    }

    #[test]
    fn a_document_without_tokens_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = "{\"text\":\"x\",\"label\":\"a\"}\n{\"text\":\"\\u0001\",\"label\":\"b\"}";
        fs::write(directory.path().join("a.jsonl"), rows).expect("written");
        let wordpiece = config("model.tokenizer = \"wordpiece\"\ntext.normalize = []");
        let result = prepare(directory.path(), &directory.path().join("cache"), &wordpiece);
        assert!(matches!(result, Ok(_) | Err(CorpusError::NoTokens { .. })), "{result:?}");
    }
}
