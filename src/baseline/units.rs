//! What n-grams are made of.

/// The units of a text in their order: words where a script spaces them, else single characters. White space is none.
///
/// So n-grams are of characters in Chinese and Japanese, of words in English. Measured with a linear model: on Chinese
/// novels 3-grams add nothing to 1- and 2-grams of characters (macro F1 0.579 and 0.578); on 1,300 English manual pages
/// 1- and 2-grams of words reach 0.696, those of characters 0.663, character 2- to 5-grams within words 0.690 with four
/// times the entries.
pub(super) fn units(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end =
            if is_of_a_word(first) { rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (unit, after) = rest.split_at(end);
        rest = after;
        Some(unit)
    })
}

fn is_of_a_word(c: char) -> bool {
    let is_unspaced = matches!(c,
        '\u{e00}'..='\u{fff}' // Thai, Lao, Tibetan
        | '\u{1000}'..='\u{109f}' // Burmese
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{2e80}'.. // Chinese, Japanese; Korean syllables are words of a kind
    );
    let is_accent = matches!(c, '\u{300}'..='\u{36f}');
    (c.is_alphanumeric() || is_accent || c == '_') && !is_unspaced
}

#[cfg(test)]
mod tests {
    use super::units;

    #[test]
    fn words_where_they_are_spaced_and_characters_elsewhere() {
        let cases = [
            ("the old man's 3 cats", "the|old|man|'|s|3|cats"),
            ("第12条 本法\n自2010年起", "第|12|条|本|法|自|2010|年|起"),
            ("snake_case e\u{301}te\u{301} Ёж", "snake_case|e\u{301}te\u{301}|Ёж"),
            ("カタカナ 서울", "カ|タ|カ|ナ|서|울"),
            ("สวัสดี", "ส|ว|\u{e31}|ส|ด|\u{e35}"),
            ("，。", "，|。"),
            (" \n\t", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(units(text).collect::<Vec<_>>().join("|"), expected);
        }
    }
}
