//! The normalisations of `[text]`.

use unicode_normalization::UnicodeNormalization;

use crate::spec::Normalization;

/// Applies the steps in their order.
pub fn normalize(text: &str, steps: &[Normalization]) -> String {
    steps.iter().fold(text.to_owned(), |text, step| apply(*step, &text))
}

/// Applies one step.
pub(super) fn apply(step: Normalization, text: &str) -> String {
    match step {
        Normalization::Nfkc => text.nfkc().collect(),
        Normalization::Fullwidth => text.chars().map(half_width).collect(),
        Normalization::Control => text.chars().filter(|c| !is_noise(*c)).collect(),
        Normalization::Whitespace => whitespace(text),
        Normalization::Lowercase => text.to_lowercase(),
        Normalization::Punctuation => punctuation(text),
        Normalization::Simplified => hanconv::t2s(text),
        Normalization::Urls => without_urls(text),
    }
}

/// How many characters `simplified` would change.
pub(super) fn traditional(text: &str) -> usize {
    // conversions keep the length but for a few phrases; from there on to the end the count is too high, which a share
    // of a corpus does not feel
    hanconv::t2s(text).chars().zip(text.chars()).filter(|(simplified, written)| simplified != written).count()
}

fn half_width(c: char) -> char {
    match c {
        '\u{3000}' => ' ',
        // ASCII stands there in its own order
        '！'..='～' => char::from_u32(c as u32 - '！' as u32 + u32::from(b'!')).unwrap_or(c),
        other => other,
    }
}

/// Control and format characters that carry no text; line ends and tabs are white space.
fn is_noise(c: char) -> bool {
    let format = matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fffd}');
    format || (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
}

fn whitespace(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

const ELLIPSIS: char = '…';

/// What a run of one character becomes.
fn punctuation(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(mark) = characters.next() {
        let mut run = 1;
        while characters.next_if_eq(&mark).is_some() {
            run += 1;
        }
        match mark {
            // NFKC spells an ellipsis with full stops, people in a hurry with their own
            '.' | '。' | '·' if run >= 3 => ellipsis(&mut out),
            ELLIPSIS => ellipsis(&mut out),
            '！' | '？' | '。' | '，' | '、' | '；' | '：' | '～' | '!' | '?' | ',' | ';' | ':' | '~' => {
                out.push(mark);
            }
            // the Chinese dash is two of them
            '—' if run >= 2 => out.push_str("——"),
            '-' | '=' | '_' | '*' | '#' | '─' | '━' if run >= 3 => out.push(mark),
            other => out.extend(std::iter::repeat_n(other, run)),
        }
    }
    out
}

/// One ellipsis, however many ways of writing it follow each other.
fn ellipsis(out: &mut String) {
    if !out.ends_with(ELLIPSIS) {
        out.push(ELLIPSIS);
    }
}

/// Drops `http://…`, `https://…`, `ftp://…` and `www.…`; a mark at the end belongs to the sentence.
fn without_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let length = if before.is_some_and(|c: char| c.is_ascii_alphanumeric()) { 0 } else { url_length(rest) };
        if length == 0 {
            out.push(first);
            before = Some(first);
            rest = &rest[first.len_utf8()..];
        } else {
            rest = &rest[length..];
        }
    }
    out
}

/// Bytes of the address that `text` begins with; 0: it begins with none.
fn url_length(text: &str) -> usize {
    let begins = |scheme: &&str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let Some(scheme) = ["http://", "https://", "ftp://", "www."].into_iter().find(begins) else { return 0 };
    let allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}[]".contains(byte);
    let length = text.bytes().take_while(|byte| allowed(byte)).count();
    let marks = ['.', ',', ';', ':', '!', '?', '\''];
    let mut url = text[..length].trim_end_matches(marks);
    // a bracket that the address did not open closes what it stands in
    while url.ends_with(')') && url.matches('(').count() < url.matches(')').count() {
        url = url[..url.len() - 1].trim_end_matches(marks);
    }
    if url.len() > scheme.len() { url.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Normalization::{Control, Fullwidth, Lowercase, Nfkc, Punctuation, Simplified, Urls, Whitespace};

    #[test]
    fn each_step_does_what_it_says() {
        let cases = [
            (vec![Nfkc], "ＡＢＣ１２３，ﬁ ㈱", "ABC123,fi (株)"),
            (vec![Fullwidth], "ＡＢＣ　１２３，～ﬁ ㈱。……ｱ￥", "ABC 123,~ﬁ ㈱。……ｱ￥"),
            (vec![Control], "a\u{200b}b\u{0}c\u{feff}\td\n", "abc\td\n"),
            (vec![Whitespace], "  a \t b\u{3000}c \n\n\n d  ", "a b c\nd"),
            (vec![Lowercase], "BERT 模型", "bert 模型"),
            (vec![Nfkc, Lowercase], "ＢＥＲＴ", "bert"),
            (vec![], " same ", " same "),
        ];
        for (steps, text, expected) in cases {
            assert_eq!(normalize(text, &steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn repeated_marks_become_one_and_what_has_a_meaning_stays() {
        let cases = [
            ("太好了！！！！真的？？", "太好了！真的？"),
            ("什么？！？！", "什么？！？！"),
            ("他说……然后…… ……走了", "他说…然后… …走了"),
            ("等等。。。好。。", "等等…好。"),
            ("wait.... what..", "wait… what.."),
            ("。。。...…···", "…"),
            ("第一——第二————第三—", "第一——第二——第三—"),
            ("-----\n== a -- b ===\n***", "-\n== a -- b =\n*"),
            ("((a))「「b」」 C++ http://x 1.5 10,000", "((a))「「b」」 C++ http://x 1.5 10,000"),
            ("、、，，；；：：～～~~,,", "、，；：～~,"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text, &[Punctuation]), expected);
        }
        // as a sentence ends, so does it after NFKC, which takes the ellipsis apart
        assert_eq!(normalize("他说……走了！！", &[Nfkc, Punctuation]), "他说…走了!");
    }

    #[test]
    fn traditional_becomes_simplified_by_phrases_first() {
        let cases = [
            ("臺灣的計程車司機喜歡軟體工程", "台湾的计程车司机喜欢软体工程"),
            ("頭髮長了，發財出發；皇后在後面", "头发长了，发财出发；皇后在后面"),
            ("乾隆把酒喝乾，扭轉乾坤，乾淨", "乾隆把酒喝干，扭转乾坤，干净"),
            ("瞭解一下，藉口憑藉，瀋陽沉默", "了解一下，借口凭借，沈阳沉默"),
            ("象徵與宮商角徵羽，作家著作等身", "象征与宫商角徵羽，作家著作等身"),
            // what is simplified already stays, other scripts too
            ("破坏生态环境，砖坯；重庆干部后来的里程", "破坏生态环境，砖坯；重庆干部后来的里程"),
            ("BERT モデル 한국어", "BERT モデル 한국어"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text, &[Simplified]), expected);
        }
        assert_eq!((traditional("頭髮 abc 头发"), traditional("头发")), (2, 0));
    }

    #[test]
    fn addresses_are_dropped_and_the_sentence_stays() {
        let cases = [
            ("见http://a.cn/b?c=1。下一句", "见。下一句"),
            ("See https://x.org/a_(b). Or www.x.org!", "See . Or !"),
            ("(HTTP://A.B), ftp://c", "(), "),
            ("http:// www. wwww.x ahttp://x", "http:// www. wwww.x ahttp://x"),
            ("网址：www.例.cn", "网址：www.例.cn"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text, &[Urls]), expected, "{text}");
        }
    }

    /// Texts with what the steps look for in them.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[！？。，…·.—=_#*!?,;:~～、-]{1,6}",
            "(http|https|www|ftp|:|/|\\.|[a-c(). ]){1,9}",
            "[臺灣乾坤頭髮發徵著於後裡坯坏 \n]{1,8}",
            "[Ａ-ｚ　ﬁé\u{301}\u{200b}İΣ]{1,4}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_step_done_twice_is_a_step_done_once(text in texts()) {
            for step in [Nfkc, Fullwidth, Control, Whitespace, Lowercase, Punctuation, Urls] {
                let once = apply(step, &text);
                prop_assert_eq!(apply(step, &once), once, "{:?}", step);
            }
        }
    }

    #[test]
    fn simplified_text_stays_as_it_is() {
        // tables that take a simplified character for a traditional one would show here
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/articles.jsonl");
        let text = std::fs::read_to_string(path).expect("the example corpus");
        assert!(apply(Simplified, &text) == text);
    }
}
