//! Tokenised documents in one file that every worker maps: made once, shared by all runs.
//!
//! Layout: magic, length of the header (u64), header (JSON), offsets of the documents' tokens and of their breaks (u64
//! each, one more than there are documents), breaks (u32 each: the token, the highest bit set where a paragraph begins),
//! token ids (u32 each); all little-endian.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::encode::Tokens;
use super::files::write_atomically;
use super::folds::{HoldoutError, Labels, holdout};
use super::load::{DataError, DocumentLabels, Documents, documents, read};
use super::normalize::normalize;
use super::profile::Profile;
use super::tokenize::{Special, TOKENIZER_FILES, Tokenizer, TokenizerError};
use super::windows::{unit_windows, windows};
use crate::spec::{Config, Encoder, Holdout, Model, Scratch, Segmentation};

/// To be changed with the layout, and with all that makes other tokens, breaks or statistics of the same file: files that
/// were made before are then made again.
const MAGIC: &[u8; 8] = b"SWEEPTK2";

/// A break where a paragraph begins.
const PARAGRAPH: u32 = 1 << 31;

/// A mapped file of tokenised documents.
#[derive(Debug)]
pub struct Corpus {
    map: Mmap,
    header: Header,
    /// Where the parts of the file begin.
    offsets: usize,
    break_offsets: usize,
    breaks: usize,
    tokens: usize,
}

/// All but tokens and breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    ids: Vec<String>,
    classes: Vec<String>,
    /// Tokens of the classes' names.
    class_tokens: Vec<Vec<u32>>,
    /// Label ids of each document; exactly one each unless `multi_label`.
    labels: Vec<Vec<u32>>,
    multi_label: bool,
    groups: Option<Vec<u32>>,
    /// Ascending.
    #[serde(default)]
    holdout: Vec<u32>,
    special: Special,
    vocabulary: usize,
    profile: Profile,
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
    #[error("folds.holdout: {}", explain(reason, classes))]
    Holdout { reason: HoldoutError, classes: Vec<String> },
}

fn explain(error: &HoldoutError, classes: &[String]) -> String {
    let name = |class: u32| classes.get(class as usize).map_or("?", String::as_str);
    match error {
        HoldoutError::TooFewOfClass { class, documents, share } => format!(
            "{share} of the {documents} documents of class {:?} is fewer than one; raise it, add documents, or set \
             folds.stratify = false",
            name(*class)
        ),
        HoldoutError::UnseenClass { class } => format!(
            "class {:?} lies in too few groups to be both held out and trained on; raise it, or set folds.stratify = \
             false",
            name(*class)
        ),
        other => other.to_string(),
    }
}

/// Makes the file of a configuration's tokenised documents in `cache`, unless it is there, and says where. Paths of the
/// configuration are relative to `project`; a pretrained encoder is the directory that it was found in. A vocabulary of
/// our own is learned from the documents that are not held out.
pub fn prepare(
    project: &Path,
    cache: &Path,
    config: &Config,
    held_out: Option<Holdout>,
) -> Result<PathBuf, CorpusError> {
    // read once: what is tokenised is what has this hash, whoever writes the file meanwhile
    let source = project.join(&config.data.path);
    let bytes = read(&source)?;
    let data_sha256 = hash(&bytes);
    let key = key(project, config, held_out, &data_sha256)?;
    let path = cache.join(format!("{}.tokens", &key[..24]));
    if Corpus::open(&path).is_ok() {
        return Ok(path);
    }
    let documents = documents(&source, &bytes, &config.data, &config.text)?;
    drop(bytes);
    let held_out = held_out.map_or(Ok(Vec::new()), |plan| hold_out(&documents, plan))?;
    let is_held = |document: usize| held_out.binary_search(&(document as u32)).is_ok();
    let rest: Vec<&str> =
        (0..).zip(&documents.texts).filter(|(at, _)| !is_held(*at)).map(|(_, text)| &**text).collect();
    let tokenizer = tokenizer(project, config, &rest)?;
    let tokens = tokenizer.encode(&documents.texts)?;
    if let Some(index) = tokens.iter().position(|tokens| tokens.ids.is_empty()) {
        return Err(CorpusError::NoTokens { id: documents.ids[index].clone() });
    }
    let header = Header::new(documents, held_out, &tokens, &tokenizer, config, data_sha256)?;
    let written = |source| CorpusError::Write { path: path.clone(), source };
    fs::create_dir_all(cache).map_err(written)?;
    let json = tokenizer.to_json()?;
    write_atomically(&path.with_extension("tokenizer.json"), |file| file.write_all(json.as_bytes()))
        .map_err(written)?;
    write_atomically(&path, |file| write(file, &header, &tokens)).map_err(written)?;
    Ok(path)
}

/// The encoder's own tokenizer, or one made from these texts.
fn tokenizer(project: &Path, config: &Config, texts: &[&str]) -> Result<Tokenizer, TokenizerError> {
    let marked = config.text.paragraph_marker;
    let mut tokenizer = match &config.model.encoder {
        Encoder::Scratch(scratch) => {
            // the marker is an entry too
            let vocabulary = scratch.vocabulary - usize::from(marked);
            Tokenizer::scratch(texts, &Scratch { vocabulary, ..scratch.clone() })?
        }
        Encoder::Pretrained(at) => Tokenizer::folder(&project.join(&at.name))?,
    };
    if marked {
        tokenizer.mark_paragraphs(matches!(config.model.encoder, Encoder::Scratch(_)))?;
    }
    Ok(tokenizer)
}

/// The documents that no fold sees.
fn hold_out(documents: &Documents, plan: Holdout) -> Result<Vec<u32>, CorpusError> {
    let classes = documents.classes.len();
    let labels = match &documents.labels {
        DocumentLabels::Single(of) => Labels::Single { of, classes },
        DocumentLabels::Multi(of) => Labels::Multi { of, classes },
    };
    holdout(labels, documents.groups.as_deref(), plan)
        .map_err(|reason| CorpusError::Holdout { reason, classes: documents.classes.clone() })
}

/// Everything that tokens, breaks and statistics depend on.
fn key(project: &Path, config: &Config, held_out: Option<Holdout>, data_sha256: &str) -> Result<String, CorpusError> {
    let mut hasher = Sha256::new();
    hasher.update(MAGIC);
    hasher.update(data_sha256);
    hasher.update(serde_json::to_vec(&(&config.data, &config.text)).unwrap_or_default());
    if let Some(held_out) = held_out {
        hasher.update(serde_json::to_vec(&held_out).unwrap_or_default());
    }
    match &config.model.encoder {
        Encoder::Scratch(scratch) => hasher.update(format!("{:?} {}", scratch.tokenizer, scratch.vocabulary)),
        Encoder::Pretrained(at) => {
            for name in TOKENIZER_FILES {
                let path = project.join(&at.name).join(name);
                hasher.update(if path.exists() { hash(&read(&path)?) } else { "-".to_owned() });
            }
        }
    }
    Ok(hex(&hasher.finalize()))
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
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

fn write(file: &mut dyn Write, header: &Header, tokens: &[Tokens]) -> io::Result<()> {
    let header = serde_json::to_vec(header)?;
    file.write_all(MAGIC)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    write_offsets(file, tokens.iter().map(|document| document.ids.len()))?;
    write_offsets(file, tokens.iter().map(|document| document.breaks.len()))?;
    for found in tokens.iter().flat_map(|document| &document.breaks) {
        let flag = if found.paragraph { PARAGRAPH } else { 0 };
        file.write_all(&(found.at as u32 | flag).to_le_bytes())?;
    }
    for token in tokens.iter().flat_map(|document| &document.ids) {
        file.write_all(&token.to_le_bytes())?;
    }
    Ok(())
}

fn write_offsets(file: &mut dyn Write, lengths: impl Iterator<Item = usize>) -> io::Result<()> {
    let mut offset = 0u64;
    file.write_all(&offset.to_le_bytes())?;
    for length in lengths {
        offset += length as u64;
        file.write_all(&offset.to_le_bytes())?;
    }
    Ok(())
}

impl Header {
    fn new(
        documents: Documents,
        holdout: Vec<u32>,
        tokens: &[Tokens],
        tokenizer: &Tokenizer,
        config: &Config,
        data_sha256: String,
    ) -> Result<Self, TokenizerError> {
        let steps = &config.text.normalize;
        let names: Vec<String> = documents.classes.iter().map(|name| normalize(name, steps)).collect();
        let class_tokens = tokenizer.encode(&names)?.into_iter().map(|tokens| tokens.ids).collect();
        let marker = tokenizer.marker().map(|marker| marker.name.clone());
        let profile = Profile::new(&documents, &holdout, tokens, steps, marker);
        let (labels, multi_label) = match documents.labels {
            DocumentLabels::Single(of) => (of.into_iter().map(|label| vec![label]).collect(), false),
            DocumentLabels::Multi(of) => (of, true),
        };
        Ok(Self {
            ids: documents.ids,
            classes: documents.classes,
            class_tokens,
            labels,
            multi_label,
            groups: documents.groups,
            holdout,
            special: tokenizer.special,
            vocabulary: tokenizer.vocabulary(),
            profile,
            data_sha256,
        })
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
        let table = 8 * (header.ids.len() + 1);
        let (break_offsets, breaks) = (end + table, end + 2 * table);
        if breaks > map.len() {
            return Err(damaged("it is cut off"));
        }
        let bytes = |table_end: usize| u64_at(&map, table_end - 8).checked_mul(4);
        let length =
            |from: usize, more: Option<u64>| more.and_then(|more| usize::try_from(more).ok()?.checked_add(from));
        let tokens = length(breaks, bytes(breaks));
        let Some(tokens) = tokens.filter(|tokens| length(*tokens, bytes(break_offsets)) == Some(map.len())) else {
            return Err(damaged("it is cut off"));
        };
        Ok(Self { map, header, offsets: end, break_offsets, breaks, tokens })
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

    /// Content tokens of a class's name, normalised and tokenised as the documents are.
    pub fn class_tokens(&self, class: usize) -> &[u32] {
        &self.header.class_tokens[class]
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

    /// The documents that no fold sees, ascending.
    pub fn holdout(&self) -> &[u32] {
        &self.header.holdout
    }

    /// All other documents, ascending.
    pub fn rest(&self) -> Vec<u32> {
        let is_held = |document: &u32| self.holdout().binary_search(document).is_ok();
        (0..self.documents() as u32).filter(|document| !is_held(document)).collect()
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

    /// What the texts are like.
    pub fn profile(&self) -> &Profile {
        &self.header.profile
    }

    pub fn token_count(&self, document: usize) -> usize {
        self.range(self.offsets, document).len()
    }

    /// Content tokens of a document, without special ones but for the paragraph marker.
    pub fn tokens(&self, document: usize) -> Vec<u32> {
        self.words(self.tokens, self.range(self.offsets, document)).collect()
    }

    /// The tokens at which the units of a segmentation begin, but for the first; sliding windows have none.
    pub fn breaks(&self, document: usize, segmentation: Segmentation) -> Vec<usize> {
        let wanted = |found: &u32| match segmentation {
            Segmentation::Window => false,
            Segmentation::Sentence => true,
            Segmentation::Paragraph => found & PARAGRAPH != 0,
        };
        let breaks = self.words(self.breaks, self.range(self.break_offsets, document));
        breaks.filter(wanted).map(|found| (found & !PARAGRAPH) as usize).collect()
    }

    /// The windows of a document, as ranges of its tokens.
    pub fn windows(&self, document: usize, model: &Model) -> Vec<Range<usize>> {
        let tokens = self.token_count(document);
        match model.segmentation {
            Segmentation::Window => windows(tokens, model),
            units => unit_windows(tokens, &self.breaks(document, units), model),
        }
    }

    /// The entries of a document, of a table of offsets.
    fn range(&self, offsets: usize, document: usize) -> Range<usize> {
        let at = |index: usize| u64_at(&self.map, offsets + 8 * index) as usize;
        at(document)..at(document + 1)
    }

    fn words(&self, from: usize, range: Range<usize>) -> impl Iterator<Item = u32> {
        let bytes = &self.map[from + 4 * range.start..from + 4 * range.end];
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(keys: &str) -> Config {
        Config::parse(&format!("data.path = \"a.jsonl\"\n{keys}")).expect("a good file")
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_seen() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (project, cache) = (directory.path(), directory.path().join("cache"));
        let rows = ["{\"text\":\"甲乙甲乙\",\"label\":\"a\"}", "{\"text\":\"乙乙乙丙\",\"label\":\"b\"}"].join("\n");
        fs::write(project.join("a.jsonl"), rows).expect("written");
        let small = config("model.segment_len = 4\nmodel.stride = 2\nmodel.max_segments = 1\nmodel.keep = \"tail\"");
        let prepared = prepare(project, &cache, &small, None).expect("prepared");
        let corpus = Corpus::open(&prepared).expect("a corpus");
        // the vocabulary: five special tokens, then 乙 (5 times) and 甲 (twice); 丙 occurs once
        assert_eq!((corpus.tokens(0), corpus.tokens(1)), (vec![6, 5, 6, 5], vec![5, 5, 5, 1]));
        assert_eq!((corpus.labels(1), corpus.id(1), corpus.vocabulary()), (&[1][..], "2", 7));
        let statistics = corpus.statistics(&small.model);
        assert_eq!((statistics.truncated_share, statistics.unknown_share, statistics.segments), (0.5, 0.125, 2));
        assert_eq!(prepare(project, &cache, &small, None).expect("prepared"), prepared);
        assert_ne!(prepare(project, &cache, &config("model.vocabulary = 10"), None).expect("prepared"), prepared);

        let whole = fs::read(&prepared).expect("read");
        for length in [0, 7, 15, 40, whole.len() - 1] {
            fs::write(&prepared, &whole[..length]).expect("written");
            assert!(Corpus::open(&prepared).is_err(), "{length}");
        }
        // a damaged file is made again
        prepare(project, &cache, &small, None).expect("prepared");
        assert_eq!(fs::read(&prepared).expect("read"), whole);
    }

    /// Its documents have tokens of their own only where others have the same, and no number is counted on them.
    #[test]
    fn the_holdout_makes_no_vocabulary_and_no_statistics() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (project, cache) = (directory.path(), directory.path().join("cache"));
        // a character of its own for each document, often enough to be an entry
        let row = |number: u32| {
            let own = char::from_u32(0x4e00 + number).expect("a character");
            serde_json::json!({ "text": format!("{own}{own}\u{3000}{own}永"), "label": number % 2 }).to_string()
        };
        fs::write(project.join("a.jsonl"), (0..20).map(row).collect::<Vec<_>>().join("\n")).expect("written");
        let held_out = Holdout { share: 0.2, seed: 1, stratify: true };
        for kind in ["char", "wordpiece"] {
            let config = config(&format!("model.tokenizer = {kind:?}"));
            let open = |held_out| {
                let path = prepare(project, &cache, &config, held_out).expect("prepared");
                (Corpus::open(&path).expect("a corpus"), path)
            };
            let (corpus, path) = open(Some(held_out));
            let (all, other) = open(None);
            assert_ne!(path, other);
            assert_eq!((corpus.holdout().len(), corpus.rest().len(), all.rest().len()), (4, 16, 20));
            assert_eq!(all.vocabulary(), corpus.vocabulary() + 4, "{kind}");
            let own = |document: &u32| corpus.tokens(*document as usize)[0];
            assert!(corpus.holdout().iter().all(|document| own(document) == corpus.special().unknown), "{kind}");
            assert!(corpus.rest().iter().all(|document| own(document) != corpus.special().unknown), "{kind}");
            let statistics = corpus.statistics(&config.model);
            assert_eq!((statistics.documents, statistics.held_out, statistics.unknown_share), (16, 4, 0.0), "{kind}");
            assert_eq!(statistics.classes, [("0".to_owned(), 8), ("1".to_owned(), 8)]);
            let profile = &statistics.profile;
            assert_eq!((profile.characters, profile.normalized[0].1), (16 * 5, 16), "{kind}");
            assert_eq!(all.statistics(&config.model).documents, 20);
        }
        let few = Holdout { share: 0.05, ..held_out };
        let error = prepare(project, &cache, &config(""), Some(few)).expect_err("half a document").to_string();
        let expected = "folds.holdout: 0.05 of the 10 documents of class \"0\" is fewer than one; raise it, add documents, \
                        or set folds.stratify = false";
        assert_eq!(error, expected);
    }

    #[test]
    fn breaks_marker_and_names_of_classes_come_with_the_tokens() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (project, cache) = (directory.path(), directory.path().join("cache"));
        let rows =
            ["{\"text\":\"甲乙。甲乙\\n乙甲！甲\",\"label\":\"乙甲\"}", "{\"text\":\"甲。！\",\"label\":\"Ｚ乙\"}"];
        fs::write(project.join("a.jsonl"), rows.join("\n")).expect("written");
        let open = |keys: &str| {
            let config = config(keys);
            let path = prepare(project, &cache, &config, None).expect("prepared");
            (Corpus::open(&path).expect("a corpus"), config.model, path)
        };
        let (corpus, model, path) = open("model.segment_len = 7");
        assert_eq!(corpus.breaks(0, Segmentation::Sentence), [3, 5, 8]);
        assert_eq!(corpus.breaks(0, Segmentation::Paragraph), [5]);
        assert_eq!(
            (corpus.breaks(0, Segmentation::Window), corpus.breaks(1, Segmentation::Sentence)),
            (vec![], vec![])
        );
        assert_eq!(corpus.windows(0, &model), [0..5, 3..8, 6..9]);
        // sorted: "Z" occurs in no document
        assert_eq!(corpus.classes(), ["乙甲", "Ｚ乙"]);
        let names: Vec<u32> = corpus.tokens(0)[..2].iter().rev().copied().collect();
        assert_eq!((corpus.class_tokens(0), corpus.class_tokens(1)), (&names[..], &[1, names[0]][..]));

        let (units, model, same) = open("model.segment_len = 7\nmodel.segmentation = \"sentence\"");
        assert_eq!((units.windows(0, &model), same), (vec![0..5, 3..8, 8..9], path.clone()));

        let (marked, _, other) = open("text.paragraph_marker = true");
        let marker = marked.vocabulary() as u32 - 1;
        assert_eq!((marked.tokens(0)[5], marked.token_count(0)), (marker, 10));
        assert_eq!(marked.breaks(0, Segmentation::Paragraph), [6]);
        assert_eq!(marked.vocabulary(), corpus.vocabulary() + 1);
        assert_ne!(path, other);
        let most = open("text.paragraph_marker = true\nmodel.vocabulary = 10").0.vocabulary();
        assert!(most <= 10, "{most}");
    }

    #[test]
    fn every_key_of_the_text_makes_other_tokens() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = "{\"text\":\"甲\",\"label\":\"a\"}\n{\"text\":\"乙\",\"label\":\"b\"}";
        fs::write(directory.path().join("a.jsonl"), rows).expect("written");
        let of = |keys: &str| key(directory.path(), &config(keys), None, "").expect("a key");
        let keys = ["", "text.normalize = []", "text.normalize = [\"simplified\"]", "text.paragraph_marker = true"];
        let made: std::collections::BTreeSet<String> = keys.iter().map(|keys| of(keys)).collect();
        assert_eq!(made.len(), keys.len());
        assert_eq!(of(""), of("model.segmentation = \"sentence\"\nmodel.segment_len = 9"));
    }

    #[test]
    fn a_document_without_tokens_is_refused() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = "{\"text\":\"x\",\"label\":\"a\"}\n{\"text\":\"\\u0001\",\"label\":\"b\"}";
        fs::write(directory.path().join("a.jsonl"), rows).expect("written");
        let wordpiece = config("model.tokenizer = \"wordpiece\"\ntext.normalize = []");
        let result = prepare(directory.path(), &directory.path().join("cache"), &wordpiece, None);
        assert!(matches!(result, Ok(_) | Err(CorpusError::NoTokens { .. })), "{result:?}");
    }
}
