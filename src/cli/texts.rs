//! What the documents of a sweep are like, for people, and what about them should be mended first.

use super::render;
use crate::spec::{Config, Encoder, Model, Segmentation, Spec};
use crate::text::{Bin, Profile, Quantiles, SHORT, Statistics};

/// Lengths, a histogram of them, and what the texts are made of.
pub(super) fn describe(statistics: &Statistics, model: &Model) -> String {
    [lengths(statistics), histogram(statistics, model), texts(statistics)].join("\n\n")
}

fn lengths(statistics: &Statistics) -> String {
    let Statistics { tokens_per_document, sentences_per_document, paragraphs_per_document, .. } = statistics;
    let rows = [
        ("characters", &statistics.profile.characters_per_document),
        ("tokens", tokens_per_document),
        ("sentences", sentences_per_document),
        ("paragraphs", paragraphs_per_document),
        ("segments", &statistics.segments_per_document),
    ]
    .map(|(name, Quantiles { min, median, p90, p99, max })| {
        [name.to_owned()].into_iter().chain([min, median, p90, p99, max].map(usize::to_string)).collect()
    });
    render::table(&["per document", "min", "median", "90 %", "99 %", "max"], &rows)
}

/// Cells of the longest bar.
const WIDTH: usize = 36;

fn histogram(statistics: &Statistics, model: &Model) -> String {
    let most = statistics.histogram.iter().map(|bin| bin.documents).max().unwrap_or(0).max(1);
    let last = statistics.histogram.last().map_or(0, |bin| bin.to);
    let wide = last.to_string().len().max("tokens".len());
    let capacity = model.segment_len - 2;
    let read = (model.max_segments - 1) * model.stride + capacity;
    let mut lines = vec![format!("{:>1$}  documents", "tokens", 2 * wide + 3)];
    let mut marked = false;
    let mark = |what: &str| format!("{:>1$}  ── {what}", "", 2 * wide + 3);
    for Bin { from, to, documents } in &statistics.histogram {
        if *from > capacity && !marked {
            marked = true;
            lines.push(mark(&format!("a segment holds {capacity}")));
        }
        let here = model.segmentation == Segmentation::Window && (*from..=*to).contains(&read) && read < last;
        let note = if here { format!("  ── {} segments hold {read}", model.max_segments) } else { String::new() };
        let bar = bar(*documents, most);
        let line =
            format!("{from:>wide$} – {to:>wide$}  {bar}{}{documents}{note}", if bar.is_empty() { "" } else { " " });
        lines.push(line);
    }
    lines.join("\n")
}

/// In eighths of a cell; what is there is seen.
fn bar(count: usize, most: usize) -> String {
    let eighths = (8 * WIDTH * count).div_ceil(most);
    let part = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    "█".repeat(eighths / 8) + part
}

fn texts(statistics: &Statistics) -> String {
    let Profile { characters, han, frequent_unknown, normalized, copies, paragraph_marker, .. } = &statistics.profile;
    let mut lines = vec![format!(
        "characters: {:.1} % Chinese; {:.2} tokens per character",
        percent(*han as f64, *characters as f64),
        statistics.tokens_per_character,
    )];
    if !frequent_unknown.is_empty() {
        let most: Vec<String> =
            frequent_unknown.iter().map(|(text, count)| format!("{} {count}", shown(text))).collect();
        lines.push(format!(
            "unknown: {:.2} % of the tokens; most often {}",
            100.0 * statistics.unknown_share,
            most.join(", ")
        ));
    }
    let steps: Vec<String> =
        normalized.iter().map(|(step, documents)| format!("{} {documents}", name_of(step))).collect();
    if !steps.is_empty() {
        lines.push(format!("documents changed by normalisation: {}", steps.join(", ")));
    }
    if let Some(marker) = paragraph_marker {
        lines.push(format!("between paragraphs: {marker}"));
    }
    if let Some(share) = statistics.cut_share {
        lines.push(format!("longer than a segment and cut: {:.1} % of the units of segmentation", 100.0 * share));
    }
    lines.push(format!("copies of an earlier document: {}", copies.documents));
    lines.join("\n")
}

/// A class of fewer documents is scored by chance.
const FEW: usize = 10;

/// Classes that are named.
const NAMED: usize = 5;

/// What should be mended before a sweep, each with what to do.
pub(super) fn warnings(statistics: &Statistics, config: &Config, spec: &Spec) -> Vec<String> {
    let unread = spec.unread().into_iter().map(|(key, why)| format!("{key} has no effect: {why}"));
    about_documents(statistics, config).into_iter().chain(unread).collect()
}

fn about_documents(statistics: &Statistics, config: &Config) -> Vec<String> {
    let profile = &statistics.profile;
    let mut warnings = Vec::new();
    if let Some((first, second)) = &profile.copies.contradicting_example {
        warnings.push(format!(
            "copies with other labels: {}, such as {first:?} and {second:?}: no model can be right about both; correct or \
             drop them",
            profile.copies.contradicting
        ));
    }
    if let Some((first, second)) = &profile.copies.apart_example {
        warnings.push(format!(
            "copies of an earlier document: {}, such as {first:?} and {second:?}: one among the training documents gives \
             the answer away; drop them, or give copies the same data.group",
            profile.copies.apart
        ));
    }
    if let Some(example) = &statistics.short_example
        && statistics.tokens_per_document.median >= 5 * SHORT
    {
        warnings.push(format!(
            "documents of fewer than {SHORT} tokens: {}, such as {example:?}: look at them, and drop what says nothing",
            statistics.short_documents
        ));
    }
    let few: Vec<&(String, usize)> = statistics.classes.iter().filter(|(_, documents)| *documents < FEW).collect();
    if !few.is_empty() {
        let named: Vec<String> =
            few.iter().take(NAMED).map(|(name, documents)| format!("{name} {documents}")).collect();
        let more = if few.len() > NAMED { format!(" and {} more", few.len() - NAMED) } else { String::new() };
        warnings.push(format!(
            "classes of fewer than {FEW} documents: {}{more}; their scores hang on single documents: add some, or join \
             classes",
            named.join(", ")
        ));
    }
    if statistics.unknown_share > 0.01 {
        let share = 100.0 * statistics.unknown_share;
        warnings.push(match &config.model.encoder {
            Encoder::Scratch(scratch) if statistics.vocabulary >= scratch.vocabulary => {
                format!("{share:.1} % of the tokens are unknown: raise model.vocabulary ({})", scratch.vocabulary)
            }
            Encoder::Scratch(_) => format!(
                "{share:.1} % of the tokens are unknown, since they occur only once: `sweep check` lists the most frequent; see whether \
                 text.normalize can unite variants"
            ),
            Encoder::Pretrained(encoder) => format!(
                "{share:.1} % of the tokens are unknown to {encoder}: `sweep check` lists them; see whether text.normalize can \
                 spell them as it does; else choose another encoder"
            ),
        });
    }
    if profile.traditional * 100 > profile.han {
        warnings.push(format!(
            "{:.1} % of the Chinese characters are traditional: add \"simplified\" to text.normalize, unless the encoder \
             knows them and all documents are written so",
            percent(profile.traditional as f64, profile.han as f64)
        ));
    }
    if config.train.freeze.embeddings && matches!(config.model.encoder, Encoder::Scratch(_)) {
        let what = "train.freeze with model.encoder = \"scratch\": what is frozen stays as random as it starts; leave it \
                    out, or choose a pretrained encoder";
        warnings.push(what.to_owned());
    }
    warnings.extend(about_units(statistics, config));
    warnings
}

/// What contradicts the documents in how they are cut and marked.
fn about_units(statistics: &Statistics, config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let segmentation = config.model.segmentation;
    let one_paragraph = statistics.paragraphs_per_document.max == 1;
    if one_paragraph && config.text.paragraph_marker {
        warnings.push("text.paragraph_marker marks nothing: no document has a line end; leave it out".to_owned());
    }
    if one_paragraph && segmentation == Segmentation::Paragraph {
        let what = "model.segmentation = \"paragraph\": no document has a line end, so each is one paragraph; use \
                    \"sentence\"";
        warnings.push(what.to_owned());
    } else if let Some(share) = statistics.cut_share.filter(|share| *share > 0.05) {
        let (units, other) = if segmentation == Segmentation::Paragraph {
            ("paragraphs", ", or use model.segmentation = \"sentence\"")
        } else {
            ("sentences", "")
        };
        warnings.push(format!(
            "{:.0} % of the {units} are longer than a segment and are cut: raise model.segment_len ({}){other}",
            100.0 * share,
            config.model.segment_len
        ));
    }
    warnings
}

/// As it can stand on a line of a terminal.
fn shown(text: &str) -> String {
    let mut characters = text.chars();
    let control = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let start: String = characters.by_ref().take(LONG).map(control).collect();
    if characters.next().is_some() { start + "…" } else { start }
}

/// Characters of an unknown word that are shown.
const LONG: usize = 20;

fn percent(part: f64, whole: f64) -> f64 {
    100.0 * part / whole.max(1.0)
}

/// A choice as the sweep file spells it.
fn name_of(choice: &impl serde::Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::spec::Trainer;
    use crate::text::{Corpus, prepare};

    /// The description and the warnings of documents (label, text) under these keys.
    fn shown(documents: &[(&str, String)], keys: &str) -> String {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let rows = documents.iter().fold(String::new(), |mut rows, (label, text)| {
            writeln!(rows, "{}", serde_json::json!({ "text": text, "label": label })).expect("a string");
            rows
        });
        std::fs::write(directory.path().join("a.jsonl"), rows).expect("written");
        let spec = Spec::parse("x", &format!("data.path = \"a.jsonl\"\n{keys}"), &[]).expect("a good file");
        let Trainer::BuiltIn(trainer) = &spec.trainer else { panic!("a program") };
        let config = &trainer.config;
        let path = prepare(directory.path(), directory.path(), config, None).expect("prepared");
        let statistics = Corpus::open(&path).expect("a corpus").statistics(&config.model);
        let warnings = warnings(&statistics, config, &spec);
        format!("{}\n\n{}", describe(&statistics, &config.model), warnings.join("\n"))
    }

    #[test]
    fn good_documents_are_described_without_a_warning() {
        let length = |index: usize| 40 + index * index * 3;
        let text = |index: usize| format!("甲乙丙。丁\n{index}").repeat(length(index) / 7);
        let documents: Vec<(&str, String)> =
            (0..24).map(|index| (if index % 2 == 0 { "a" } else { "b" }, text(index))).collect();
        insta::assert_snapshot!(shown(
            &documents,
            "model.segment_len = 102\nmodel.stride = 90\nmodel.max_segments = 10"
        ));
    }

    #[test]
    fn bad_documents_are_warned_of() {
        let long = "一個沒有句號的長句子".repeat(12);
        let mut documents: Vec<(&str, String)> =
            (0..11).map(|index| ("a", format!("{long}{}", "甲".repeat(index)))).collect();
        documents.extend([
            ("a", long.clone()),
            ("b", long.clone()),
            ("b", "甲".to_owned()),
            ("b", "丑寅卯辰巳".to_owned()),
        ]);
        let keys = "text.paragraph_marker = true\nmodel.segment_len = 52\nmodel.segmentation = ";
        insta::assert_snapshot!(shown(&documents, &format!("{keys}\"sentence\"\nmodel.vocabulary = 12")));
        documents.truncate(13);
        insta::assert_snapshot!(shown(&documents, &format!("{keys}\"paragraph\"")));
    }
}
