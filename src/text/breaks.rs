//! Where sentences and paragraphs end.

use serde::{Deserialize, Serialize};

/// Where a unit of text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// Byte in a text, or token in a document; never the first.
    pub at: usize,
    /// A paragraph begins, not only a sentence.
    pub paragraph: bool,
}

/// Breaks of a text, in bytes and ascending. A break stands directly behind what ends there: white space that follows
/// belongs to the next sentence, and a line end to the next paragraph.
pub(super) fn breaks(text: &str) -> Vec<Break> {
    let mut breaks: Vec<Break> = Vec::new();
    let mut add = |at: usize, paragraph: bool| match breaks.last_mut() {
        Some(last) if last.at == at => last.paragraph |= paragraph,
        _ if at > 0 => breaks.push(Break { at, paragraph }),
        _ => {}
    };
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        if is_line_end(character) {
            add(at, true);
            continue;
        }
        if character != '.' && !is_end(character) {
            continue;
        }
        let mut stops = usize::from(character == '.');
        let mut ends = is_end(character);
        let mut end = at + character.len_utf8();
        while let Some((next, follower)) = rest.next_if(|(_, next)| *next == '.' || is_end(*next) || is_closing(*next))
        {
            stops += usize::from(follower == '.');
            ends |= is_end(follower);
            end = next + follower.len_utf8();
        }
        // "3.5", "www.x.cn" and "e.g." are no ends; three full stops are an ellipsis
        let last = rest.peek().is_none_or(|(_, next)| next.is_whitespace());
        if ends || stops >= 3 || last {
            add(end, false);
        }
    }
    breaks.retain(|found| found.at < text.len());
    breaks
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Marks that end a sentence, whatever follows.
fn is_end(c: char) -> bool {
    matches!(c, '。' | '｡' | '．' | '！' | '？' | '；' | '…' | '!' | '?' | ';')
}

/// Quotation marks and brackets that belong to the sentence that ends before them.
fn is_closing(c: char) -> bool {
    matches!(
        c,
        '”' | '’'
            | '»'
            | '」'
            | '』'
            | '】'
            | '》'
            | '〉'
            | '）'
            | '］'
            | '｝'
            | '〕'
            | '〗'
            | '"'
            | '\''
            | ')'
            | ']'
            | '}'
    )
}

/// The breaks in tokens, of tokens that begin at these bytes: a token that lies across a break belongs to what ends.
pub(super) fn in_tokens(breaks: &[Break], starts: impl Iterator<Item = usize>) -> Vec<Break> {
    let mut of_tokens: Vec<Break> = Vec::new();
    let mut breaks = breaks.iter().peekable();
    for (token, start) in starts.enumerate() {
        while let Some(passed) = breaks.next_if(|next| next.at <= start) {
            match of_tokens.last_mut() {
                Some(last) if last.at == token => last.paragraph |= passed.paragraph,
                _ if token > 0 => of_tokens.push(Break { at: token, ..*passed }),
                _ => {}
            }
        }
    }
    of_tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text with `|` at sentence breaks and `‖` at paragraph breaks.
    fn shown(text: &str) -> String {
        let mut shown = String::new();
        let mut from = 0;
        for found in breaks(text) {
            shown.push_str(&text[from..found.at]);
            shown.push(if found.paragraph { '‖' } else { '|' });
            from = found.at;
        }
        shown + &text[from..]
    }

    #[test]
    fn sentences_end_where_a_reader_says() {
        let cases = [
            ("甲说。乙问？丙喊！丁；戊", "甲说。|乙问？|丙喊！|丁；|戊"),
            ("“真的吗？！”他问。「好！」（是。）走", "“真的吗？！”|他问。|「好！」|（是。）|走"),
            ("他说……然后...走了", "他说……|然后...|走了"),
            ("Pi is 3.5 at www.x.cn. Next one.\" End.", "Pi is 3.5 at www.x.cn.| Next one.\"| End."),
            ("第一段。\n第二段\n\n第三段。", "第一段。‖\n第二段‖\n‖\n第三段。"),
            ("a!b?c", "a!|b?|c"),
            ("\n\n甲\r\n乙", "\n‖\n甲‖\r‖\n乙"),
            ("。", "。"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn tokens_that_lie_across_a_break_belong_to_what_ends() {
        let at = |at, paragraph| Break { at, paragraph };
        let breaks = [at(3, false), at(6, true), at(7, false), at(20, true)];
        assert_eq!(in_tokens(&breaks, [0, 2, 5, 9, 12].into_iter()), [at(2, false), at(3, true)]);
        assert_eq!(in_tokens(&breaks, [4, 5, 6].into_iter()), [at(2, true)]);
    }

    proptest! {
        #[test]
        fn breaks_ascend_inside_the_text(text in "[a甲。！….\n ”\")]{0,40}") {
            let found = breaks(&text);
            prop_assert!(found.iter().all(|b| b.at > 0 && b.at < text.len() && text.is_char_boundary(b.at)));
            prop_assert!(found.windows(2).all(|pair| pair[0].at < pair[1].at));
        }
    }
}
