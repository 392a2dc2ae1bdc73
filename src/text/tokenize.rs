//! Tokenizers: those of Hugging Face folders, and vocabularies made from the corpus.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ahash::AHashMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::encode::Marker;
use super::wordpiece;
use crate::spec::{Scratch, TokenizerKind};

/// Text to token ids, without special tokens.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub(super) inner: tokenizers::Tokenizer,
    pub special: Special,
    /// What stands between paragraphs; see `mark_paragraphs`.
    pub(super) marker: Option<Marker>,
}

/// Ids of the special tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Special {
    pub cls: u32,
    pub sep: u32,
    pub pad: u32,
    pub unknown: u32,
}

#[derive(Debug, Error)]
pub enum TokenizerError {
    #[error("{}: neither tokenizer.json nor vocab.txt in it{}", folder.display(), how_to_convert(*other))]
    Missing { folder: PathBuf, other: Option<&'static str> },
    #[error("cannot read the tokenizer {}: {why}", path.display())]
    Read { path: PathBuf, why: String },
    #[error("the tokenizer has no {role} token (looked for {looked_for})")]
    NoSpecial { role: &'static str, looked_for: String },
    #[error("cannot tokenise document {document}: {why}")]
    Encode { document: usize, why: String },
    #[error("cannot make a vocabulary: {0}")]
    Train(String),
}

fn how_to_convert(other: Option<&str>) -> String {
    let Some(other) = other else { return String::new() };
    format!(
        ", only {other}, which cannot be read here; in Python, \
         AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR) writes a tokenizer.json"
    )
}

/// Files of a folder in the Hugging Face layout that its tokenizer is made of, as far as they are there.
pub const TOKENIZER_FILES: [&str; 4] =
    ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"];

const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
const CLS: &str = "[CLS]";
const SEP: &str = "[SEP]";
const MASK: &str = "[MASK]";
const SPECIAL: [&str; 5] = [PAD, UNKNOWN, CLS, SEP, MASK];

impl Tokenizer {
    /// The tokenizer of a folder in the Hugging Face layout: of `tokenizer.json`, else of BERT's `vocab.txt`.
    pub fn folder(folder: &Path) -> Result<Self, TokenizerError> {
        let settings = FolderSettings::read(folder);
        let json = folder.join("tokenizer.json");
        if json.exists() {
            let read = tokenizers::Tokenizer::from_file(&json);
            let inner = read.map_err(|error| TokenizerError::Read { path: json, why: error.to_string() })?;
            return Self::new(inner, &settings);
        }
        let vocabulary = folder.join("vocab.txt");
        if !vocabulary.exists() {
            let other = OTHER_FILES.into_iter().find(|name| folder.join(name).exists());
            return Err(TokenizerError::Missing { folder: folder.to_owned(), other });
        }
        let read = |why: String| TokenizerError::Read { path: vocabulary.clone(), why };
        let text = std::fs::read_to_string(&vocabulary).map_err(|error| read(error.to_string()))?;
        let words: AHashMap<String, u32> = text.lines().map(str::to_owned).zip(0..).collect();
        // what is no entry of the vocabulary would become one, without an embedding
        let special: Vec<AddedToken> = SPECIAL
            .iter()
            .filter(|name| words.contains_key(**name))
            .map(|name| AddedToken::from(*name, true))
            .collect();
        let model = WordPiece::builder()
            .vocab(words)
            .unk_token(UNKNOWN.to_owned())
            .build()
            .map_err(|error| read(error.to_string()))?;
        let mut inner = tokenizers::Tokenizer::new(model);
        let normalizer = BertNormalizer::new(
            true,
            settings.flag("tokenize_chinese_chars").unwrap_or(true),
            settings.flag("strip_accents"),
            settings.flag("do_lower_case").unwrap_or(true),
        );
        inner.with_normalizer(Some(normalizer)).map_err(failed)?.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.add_special_tokens(special).map_err(failed)?;
        Self::new(inner, &settings)
    }

    /// A vocabulary made from these texts (labels are not seen), most frequent entries first.
    pub fn scratch(texts: &[impl AsRef<str>], scratch: &Scratch) -> Result<Self, TokenizerError> {
        match scratch.tokenizer {
            TokenizerKind::Char => characters(texts, scratch.vocabulary),
            TokenizerKind::Wordpiece => pieces(texts, scratch.vocabulary),
        }
    }

    pub(super) fn new(mut inner: tokenizers::Tokenizer, settings: &FolderSettings) -> Result<Self, TokenizerError> {
        // windows cut and pad, not the tokenizer
        inner.with_truncation(None).map_err(failed)?.with_padding(None);
        let id = |key: &str, role, usual: [&str; 2]| {
            let own = settings.token(key);
            let names: Vec<&str> = own.as_deref().into_iter().chain(usual).collect();
            let looked_for = || TokenizerError::NoSpecial { role, looked_for: names.join(", ") };
            names.iter().find_map(|name| inner.token_to_id(name)).ok_or_else(looked_for)
        };
        let special = Special {
            cls: id("cls_token", "start", [CLS, "<s>"])?,
            sep: id("sep_token", "end", [SEP, "</s>"])?,
            pad: id("pad_token", "padding", [PAD, "<pad>"])?,
            unknown: id("unk_token", "unknown", [UNKNOWN, "<unk>"])?,
        };
        Ok(Self { inner, special, marker: None })
    }

    /// Rows that an embedding of the vocabulary needs: ids may have gaps.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |last| last as usize + 1)
    }

    /// As the `tokenizer.json` of Hugging Face.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(false).map_err(failed)
    }
}

/// Files of tokenizers that only Python reads.
const OTHER_FILES: [&str; 4] = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "vocab.json"];

/// `tokenizer_config.json` and `special_tokens_map.json` of a folder, as far as they are there.
#[derive(Default)]
pub(super) struct FolderSettings([serde_json::Value; 2]);

impl FolderSettings {
    fn read(folder: &Path) -> Self {
        Self(["tokenizer_config.json", "special_tokens_map.json"].map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            serde_json::from_str(&text).unwrap_or_default()
        }))
    }

    fn flag(&self, key: &str) -> Option<bool> {
        self.0.iter().find_map(|file| file[key].as_bool())
    }

    /// The name of a special token: plain, or with how it is matched.
    fn token(&self, key: &str) -> Option<String> {
        let name = |file: &serde_json::Value| file[key].as_str().or(file[key]["content"].as_str()).map(str::to_owned);
        self.0.iter().find_map(name)
    }
}

fn characters(texts: &[impl AsRef<str>], most: usize) -> Result<Tokenizer, TokenizerError> {
    let mut counts = BTreeMap::<char, u64>::new();
    for character in texts.iter().flat_map(|text| text.as_ref().chars()).filter(|c| !c.is_whitespace()) {
        *counts.entry(character).or_default() += 1;
    }
    // what occurs once teaches nothing but [UNK], which would never be trained otherwise
    let mut frequent: Vec<(u64, char)> = counts.into_iter().map(|(c, count)| (count, c)).filter(|c| c.0 > 1).collect();
    frequent.sort_by_key(|(count, character)| (std::cmp::Reverse(*count), *character));
    let single = Split::new(SplitPattern::Regex("(?s).".to_owned()), SplitDelimiterBehavior::Isolated, false);
    let names = frequent.into_iter().map(|(_, character)| character.to_string());
    let mut inner = word_piece(names.take(most.saturating_sub(SPECIAL.len())))?;
    inner.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
        PreTokenizerWrapper::Split(single.map_err(failed)?),
    ])));
    Tokenizer::new(inner, &FolderSettings::default())
}

fn pieces(texts: &[impl AsRef<str>], most: usize) -> Result<Tokenizer, TokenizerError> {
    let normalizer = BertNormalizer::new(true, true, Some(false), false);
    let learned = wordpiece::learn(texts, &normalizer, &BertPreTokenizer, most.saturating_sub(SPECIAL.len()));
    let mut inner = word_piece(learned.map_err(failed)?.into_iter())?;
    inner.with_normalizer(Some(normalizer)).map_err(failed)?.with_pre_tokenizer(Some(BertPreTokenizer));
    Tokenizer::new(inner, &FolderSettings::default())
}

/// A WordPiece tokenizer of the special tokens and these pieces.
fn word_piece(pieces: impl Iterator<Item = String>) -> Result<tokenizers::Tokenizer, TokenizerError> {
    let vocabulary: AHashMap<String, u32> = SPECIAL.map(str::to_owned).into_iter().chain(pieces).zip(0..).collect();
    let model = WordPiece::builder().vocab(vocabulary).unk_token(UNKNOWN.to_owned()).build().map_err(failed)?;
    let mut inner = tokenizers::Tokenizer::new(model);
    inner.add_special_tokens(SPECIAL.iter().map(|name| AddedToken::from(*name, true))).map_err(failed)?;
    Ok(inner)
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` passes the error")]
fn failed(error: tokenizers::Error) -> TokenizerError {
    TokenizerError::Train(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<String> {
        ["low lower lowest 低 低 低", "newest widest new low", "低价 新 新"].map(str::to_owned).to_vec()
    }

    fn scratch(tokenizer: TokenizerKind, vocabulary: usize) -> Tokenizer {
        let scratch = Scratch { tokenizer, vocabulary, hidden: 8, layers: 1, heads: 1, intermediate: 8 };
        Tokenizer::scratch(&texts(), &scratch).expect("a vocabulary")
    }

    fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        let ids = tokenizer.encode(&[text.to_owned()]).expect("encoded").remove(0).ids;
        ids.iter().map(|id| tokenizer.inner.id_to_token(*id).expect("a known id")).collect()
    }

    #[test]
    fn one_token_a_character_and_rare_ones_unknown() {
        let tokenizer = scratch(TokenizerKind::Char, 100);
        assert_eq!(tokens(&tokenizer, "low 低价x\n新"), ["l", "o", "w", "低", "[UNK]", "[UNK]", "新"]);
        assert_eq!(tokenizer.special, Special { pad: 0, unknown: 1, cls: 2, sep: 3 });
        assert_eq!(scratch(TokenizerKind::Char, 8).vocabulary(), 8);
    }

    #[test]
    fn frequent_pieces_are_merged_and_chinese_stays_apart() {
        let tokenizer = scratch(TokenizerKind::Wordpiece, 100);
        assert_eq!(tokens(&tokenizer, "lowest 低新"), ["low", "##est", "低", "新"]);
        assert_eq!(tokenizer.to_json().ok(), scratch(TokenizerKind::Wordpiece, 100).to_json().ok());
    }

    #[test]
    fn folders_with_vocab_txt_or_json_read_alike() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let missing = Tokenizer::folder(folder.path()).expect_err("nothing there");
        assert!(missing.to_string().contains("neither tokenizer.json nor vocab.txt"), "{missing}");
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n低\nlow\n##er\n";
        std::fs::write(folder.path().join("vocab.txt"), words).expect("written");
        let from_txt = Tokenizer::folder(folder.path()).expect("a tokenizer");
        assert_eq!(tokens(&from_txt, "LOWER低"), ["low", "##er", "低"]);
        std::fs::write(folder.path().join("tokenizer.json"), from_txt.to_json().expect("json")).expect("written");
        let from_json = Tokenizer::folder(folder.path()).expect("a tokenizer");
        assert_eq!(tokens(&from_json, "LOWER低"), ["low", "##er", "低"]);
        std::fs::write(folder.path().join("tokenizer.json"), "{").expect("written");
        assert!(Tokenizer::folder(folder.path()).is_err());
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/encoders").join(name)
    }

    #[test]
    fn special_tokens_go_by_their_own_names() {
        let roberta = Tokenizer::folder(&fixture("xlm-roberta")).expect("a tokenizer");
        assert_eq!(roberta.special, Special { pad: 1, unknown: 3, cls: 0, sep: 2 });
        assert_eq!(roberta.vocabulary(), 21);
        assert_eq!(tokens(&roberta, "红水 龙"), ["▁", "红", "水", "▁", "<unk>"]);
        let bert = Tokenizer::folder(&fixture("bert")).expect("a tokenizer");
        assert_eq!((bert.special.cls, bert.vocabulary()), (2, 20));

        let folder = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("vocab.txt", "<blank>\n[UNK]\n<begin>\n<end>\n低\nLow\n");
        let error = Tokenizer::folder(folder.path()).expect_err("no start").to_string();
        assert_eq!(error, "the tokenizer has no start token (looked for [CLS], <s>)");
        write(
            "tokenizer_config.json",
            r#"{"do_lower_case":false,"cls_token":"<begin>","sep_token":{"content":"<end>"}}"#,
        );
        write("special_tokens_map.json", r#"{"pad_token":"<blank>","unk_token":"[UNK]"}"#);
        let own = Tokenizer::folder(folder.path()).expect("a tokenizer");
        assert_eq!(own.special, Special { pad: 0, unknown: 1, cls: 2, sep: 3 });
        assert_eq!(tokens(&own, "Low low低"), ["Low", "[UNK]", "低"]);
    }

    #[test]
    fn ids_may_have_gaps() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let json = std::fs::read_to_string(fixture("xlm-roberta").join("tokenizer.json")).expect("read");
        let mut json: serde_json::Value = serde_json::from_str(&json).expect("json");
        let mut token = json["added_tokens"][4].clone();
        (token["id"], token["content"]) = (21.into(), "<extra>".into());
        json["added_tokens"].as_array_mut().expect("tokens").push(token);
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).expect("written");
        assert_eq!(Tokenizer::folder(folder.path()).expect("a tokenizer").vocabulary(), 22);
    }

    #[test]
    fn what_only_python_reads_is_refused_with_a_way_out() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("sentencepiece.bpe.model"), b"x").expect("written");
        let error = Tokenizer::folder(folder.path()).expect_err("not readable").to_string();
        assert!(error.contains("only sentencepiece.bpe.model") && error.contains("writes a tokenizer.json"), "{error}");
    }
}
