//! Texts to tokens, with the places where sentences and paragraphs begin.

use rayon::prelude::*;
use tokenizers::AddedToken;

use super::breaks::{Break, breaks, in_tokens};
use super::tokenize::{Tokenizer, TokenizerError};

/// A document's content tokens, without special ones but for the paragraph marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub ids: Vec<u32>,
    /// Where sentences and paragraphs begin, but for the first.
    pub breaks: Vec<Break>,
    /// Bytes of the text that became unknown tokens, a range a token.
    pub unknown: Vec<(usize, usize)>,
}

/// The token between paragraphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub name: String,
    pub id: u32,
}

/// The marker of our own vocabularies.
const PARAGRAPH: &str = "[PAR]";

impl Tokenizer {
    /// Puts a marker between paragraphs from now on: `[PAR]` where the vocabulary has it or is our own, else the first
    /// `[unusedN]`, else the separator. The vocabulary alone decides, so a saved tokenizer marks as it did; a program
    /// that knows no paragraphs gets the same tokens from the text with the marker's name in place of its line ends.
    pub fn mark_paragraphs(&mut self, own: bool) -> Result<&Marker, TokenizerError> {
        let known = |name: &String| self.inner.token_to_id(name).is_some();
        let unused = || (0..MOST_UNUSED).map(|n| format!("[unused{n}]")).find(known);
        let separator = || self.inner.id_to_token(self.special.sep).unwrap_or_default();
        let own = Some(PARAGRAPH.to_owned()).filter(|name| own || known(name));
        let name = own.or_else(unused).unwrap_or_else(separator);
        let added = self.inner.add_special_tokens([AddedToken::from(name.as_str(), true)]);
        added.map_err(|error| TokenizerError::Train(error.to_string()))?;
        let looked_for = || TokenizerError::NoSpecial { role: "paragraph", looked_for: name.clone() };
        let id = self.inner.token_to_id(&name).ok_or_else(looked_for)?;
        Ok(self.marker.insert(Marker { name, id }))
    }

    pub fn marker(&self) -> Option<&Marker> {
        self.marker.as_ref()
    }

    /// Tokens of each text.
    pub fn encode(&self, texts: &[String]) -> Result<Vec<Tokens>, TokenizerError> {
        let tokens = texts.par_iter().enumerate().map(|(document, text)| {
            let failed = |error: tokenizers::Error| TokenizerError::Encode { document, why: error.to_string() };
            match &self.marker {
                None => self.piece(text, 0, &breaks(text)).map_err(failed),
                Some(marker) => self.marked(text, marker.id).map_err(failed),
            }
        });
        tokens.collect()
    }

    /// Paragraph by paragraph, the marker at the end of each but the last.
    fn marked(&self, text: &str, marker: u32) -> tokenizers::Result<Tokens> {
        let mut all = Tokens::default();
        let mut from = 0;
        let of_text = breaks(text);
        let ends = of_text.iter().filter(|found| found.paragraph).map(|found| found.at).chain([text.len()]);
        for end in ends {
            let place = |at: usize| of_text.partition_point(|found| found.at < at);
            let inside = &of_text[place(from + 1)..place(end)];
            let paragraph = self.piece(&text[from..end], from, inside)?;
            from = end;
            if paragraph.ids.is_empty() {
                continue;
            }
            if !all.ids.is_empty() {
                all.ids.push(marker);
                all.breaks.push(Break { at: all.ids.len(), paragraph: true });
            }
            let before = all.ids.len();
            all.breaks.extend(paragraph.breaks.iter().map(|found| Break { at: found.at + before, ..*found }));
            all.ids.extend(paragraph.ids);
            all.unknown.extend(paragraph.unknown);
        }
        Ok(all)
    }

    /// Tokens of a part of a text that begins at a byte of it; breaks count from the text's own beginning.
    fn piece(&self, part: &str, from: usize, breaks: &[Break]) -> tokenizers::Result<Tokens> {
        let encoding = self.inner.encode(part, false)?;
        let offsets = || encoding.get_offsets().iter().map(|(start, end)| (start + from, end + from));
        let unknown = encoding.get_ids().iter().zip(offsets()).filter(|(id, _)| **id == self.special.unknown);
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            breaks: in_tokens(breaks, offsets().map(|(start, _)| start)),
            unknown: unknown.map(|(_, bytes)| bytes).collect(),
        })
    }
}

/// BERT vocabularies have a thousand at most.
const MOST_UNUSED: usize = 1_000;

#[cfg(test)]
mod tests {
    use ahash::AHashMap;
    use proptest::prelude::*;
    use tokenizers::models::unigram::Unigram;
    use tokenizers::models::wordpiece::WordPiece;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

    use super::*;
    use crate::spec::{Scratch, TokenizerKind};
    use crate::text::tokenize::FolderSettings;

    const TEXT: &str = "低价好。low lower! 低low。\n新的一天 low。好\n";

    fn scratch(tokenizer: TokenizerKind) -> Tokenizer {
        let scratch = Scratch { tokenizer, vocabulary: 100, hidden: 8, layers: 1, heads: 1, intermediate: 8 };
        Tokenizer::scratch(&[TEXT.repeat(2)], &scratch).expect("a vocabulary")
    }

    /// As a Hugging Face folder would bring it, lower-casing.
    fn word_piece(words: &str) -> Tokenizer {
        let vocabulary: AHashMap<String, u32> = words.split(' ').map(str::to_owned).zip(0..).collect();
        let model = WordPiece::builder().vocab(vocabulary).unk_token("[UNK]".to_owned()).build().expect("a model");
        let mut inner = tokenizers::Tokenizer::new(model);
        let normalizer = BertNormalizer::new(true, true, None, true);
        inner.with_normalizer(Some(normalizer)).expect("set").with_pre_tokenizer(Some(BertPreTokenizer));
        Tokenizer::new(inner, &FolderSettings::default()).expect("special tokens")
    }

    /// As of XLM-RoBERTa: pieces with `▁` for spaces, in front of the text too.
    fn unigram() -> Tokenizer {
        let words = [
            "<s>",
            "<pad>",
            "</s>",
            "<unk>",
            "▁",
            "▁low",
            "低价",
            "低",
            "好",
            "。",
            "好。",
            "▁新的",
            "l",
            "o",
            "w",
            "!",
        ];
        let vocabulary = words.into_iter().map(|word| (word.to_owned(), -(word.len() as f64))).collect();
        let mut inner = tokenizers::Tokenizer::new(Unigram::from(vocabulary, Some(3), false).expect("a model"));
        inner.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::Always, true)));
        Tokenizer::new(inner, &FolderSettings::default()).expect("special tokens")
    }

    /// Tokens with `|` before a sentence and `‖` before a paragraph.
    fn shown(tokenizer: &Tokenizer, text: &str) -> String {
        let tokens = tokenizer.encode(&[text.to_owned()]).expect("encoded").remove(0);
        let name = |(index, id): (usize, &u32)| {
            let mark =
                tokens.breaks.iter().find(|found| found.at == index).map(|b| if b.paragraph { "‖ " } else { "| " });
            format!("{}{}", mark.unwrap_or(""), tokenizer.inner.id_to_token(*id).expect("a known id"))
        };
        tokens.ids.iter().enumerate().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn breaks_are_right_for_characters_pieces_and_unigrams() {
        let folder = word_piece("[PAD] [UNK] [CLS] [SEP] low ##er 低 价 好 。 !");
        let picture = [
            shown(&scratch(TokenizerKind::Char), TEXT),
            shown(&scratch(TokenizerKind::Wordpiece), TEXT),
            shown(&folder, TEXT),
            shown(&unigram(), "低价好。 low low!\n新的好。好"),
        ];
        insta::assert_snapshot!(picture.join("\n"));
    }

    #[test]
    fn paragraphs_are_marked_by_what_the_vocabulary_has() {
        let mut own = scratch(TokenizerKind::Char);
        let before = own.vocabulary();
        assert_eq!(own.mark_paragraphs(true).expect("a marker"), &Marker { name: "[PAR]".into(), id: before as u32 });
        assert_eq!(own.vocabulary(), before + 1);
        let mut picture = vec![shown(&own, "好。低\n\n 好\n新\n")];
        let mut folder = word_piece("[PAD] [UNK] [CLS] [SEP] low [unused7] [unused3] 低 好 。");
        assert_eq!(folder.mark_paragraphs(false).expect("a marker"), &Marker { name: "[unused3]".into(), id: 6 });
        picture.push(shown(&folder, "好。低\nLow\r\n好"));
        let mut plain = word_piece("[PAD] [UNK] [CLS] [SEP] low 低 好 。");
        assert_eq!(plain.mark_paragraphs(false).expect("a marker").name, "[SEP]");
        let mut unigram = unigram();
        assert_eq!(unigram.mark_paragraphs(false).expect("a marker").name, "</s>");
        picture.push(shown(&unigram, "低价\n新的"));
        insta::assert_snapshot!(picture.join("\n"));
    }

    #[test]
    fn a_saved_tokenizer_marks_as_it_did() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let texts = [TEXT.to_owned(), "好\n\n\n低".to_owned(), "[PAR]好".to_owned()];
        for mut tokenizer in [scratch(TokenizerKind::Char), word_piece("[PAD] [UNK] [CLS] [SEP] [unused1] low 好 。")]
        {
            let name = tokenizer
                .mark_paragraphs(tokenizer.inner.token_to_id("[unused1]").is_none())
                .expect("a marker")
                .name
                .clone();
            let expected = tokenizer.encode(&texts).expect("encoded");
            std::fs::write(directory.path().join("tokenizer.json"), tokenizer.to_json().expect("json"))
                .expect("written");
            let mut saved = Tokenizer::folder(directory.path()).expect("read");
            assert_eq!(saved.mark_paragraphs(false).expect("a marker").name, name);
            assert_eq!(saved.encode(&texts).expect("encoded"), expected);
            // and so does the plain tokenizer, told where
            let told = TEXT.trim_end().replace('\n', &name);
            assert_eq!(saved.inner.encode(told, false).expect("encoded").get_ids(), expected[0].ids);
        }
    }

    #[test]
    fn what_is_unknown_can_be_found_in_the_text() {
        let text = "低价éa\n丙 low".to_owned();
        let mut tokenizer = word_piece("[PAD] [UNK] [CLS] [SEP] low 低");
        for _ in 0..2 {
            let tokens = tokenizer.encode(std::slice::from_ref(&text)).expect("encoded").remove(0);
            let unknown: Vec<&str> = tokens.unknown.iter().map(|(start, end)| &text[*start..*end]).collect();
            assert_eq!(unknown, ["价", "éa", "丙"]);
            tokenizer.mark_paragraphs(false).expect("a marker");
        }
    }

    proptest! {
        #[test]
        fn markers_add_tokens_and_change_none(text in "[低价好low。! \n]{0,60}") {
            let plain = scratch(TokenizerKind::Wordpiece);
            let mut marking = plain.clone();
            let marker = marking.mark_paragraphs(true).expect("a marker").id;
            let texts = [text];
            let plain = plain.encode(&texts).expect("encoded").remove(0);
            let marked = marking.encode(&texts).expect("encoded").remove(0);
            let without: Vec<u32> = marked.ids.iter().copied().filter(|id| *id != marker).collect();
            prop_assert_eq!(&without, &plain.ids);
            prop_assert_eq!(&marked.unknown, &plain.unknown);
            prop_assert_eq!(marked.breaks.len(), plain.breaks.len());
            for found in marked.breaks.iter().filter(|found| found.paragraph) {
                prop_assert_eq!(marked.ids[found.at - 1], marker);
            }
        }
    }
}
