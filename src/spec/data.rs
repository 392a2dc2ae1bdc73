//! `[data]` and `[text]`: where the documents are and how their text is normalised.

use serde::{Deserialize, Serialize};

use super::reader::Reader;

/// `[data]`: one file of documents, and the names of its columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// `.jsonl`, `.csv` or `.tsv`; relative to the working directory.
    pub path: String,
    /// Column of the text.
    pub text: String,
    pub labels: LabelColumn,
    /// Column whose equal values never straddle folds.
    pub group: Option<String>,
    /// Column that names a document in the predictions; its number in the file otherwise.
    pub id: Option<String>,
}

/// The label column decides the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelColumn {
    /// Exactly one label a document.
    Single { column: String },
    /// Any number of labels: a list in JSONL, joined by `separator` in CSV and TSV.
    Multi { column: String, separator: String },
}

impl Data {
    pub fn is_multi_label(&self) -> bool {
        matches!(self.labels, LabelColumn::Multi { .. })
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let path = reader.text("path");
        if path.is_none() && !reader.has("path") {
            reader.problem("path", "missing: the file of documents (.jsonl, .csv or .tsv)");
        }
        let path = path.unwrap_or_default();
        if !path.is_empty() && Format::of(&path).is_none() {
            reader.problem("path", format!("cannot tell the format of {path:?}: use .jsonl, .csv or .tsv"));
        }
        let text = reader.text("text").unwrap_or_else(|| "text".to_owned());
        let label = reader.text("label");
        let labels = reader.text("labels");
        let separator = reader.text("separator");
        let labels = match (label, labels) {
            (Some(_), Some(_)) => {
                reader.problem("labels", "give `label` (one a document) or `labels` (several), not both");
                LabelColumn::Single { column: String::new() }
            }
            (None, Some(column)) => {
                LabelColumn::Multi { column, separator: separator.unwrap_or_else(|| ";".to_owned()) }
            }
            (label, None) => {
                if separator.is_some() {
                    reader.problem("separator", "only `labels` (several a document) are separated");
                }
                LabelColumn::Single { column: label.unwrap_or_else(|| "label".to_owned()) }
            }
        };
        Self { path, text, labels, group: reader.text("group"), id: reader.text("id") }
    }
}

/// File formats of documents, told by the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Jsonl,
    Csv,
    Tsv,
}

impl Format {
    pub fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            _ => None,
        }
    }
}

/// `[text]`: recorded with every sweep, because a served model must see what it was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Applied in this order.
    pub normalize: Vec<Normalization>,
    /// A token of its own between paragraphs.
    pub paragraph_marker: bool,
}

/// A step of `normalize`; docs/sweep-file.md says exactly what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// Unicode NFKC: full-width letters and digits become half-width, ligatures come apart.
    Nfkc,
    /// Full-width ASCII and the ideographic space become half-width: of NFKC this much and no more.
    Fullwidth,
    /// Drops control, zero-width and replacement characters.
    Control,
    /// Runs of white space become one space, line ends stay line ends.
    Whitespace,
    Lowercase,
    /// A repeated mark becomes one, all ellipses become `…`.
    Punctuation,
    /// Traditional Chinese becomes simplified, phrases before characters.
    Simplified,
    /// Drops web addresses.
    Urls,
}

impl Text {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let default = vec![Normalization::Nfkc, Normalization::Control, Normalization::Whitespace];
        Self {
            normalize: reader.choices("normalize", default),
            paragraph_marker: reader.flag("paragraph_marker", false),
        }
    }
}
