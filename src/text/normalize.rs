//! The normalisations of `[text]`.

use unicode_normalization::UnicodeNormalization;

use crate::spec::Normalization;

/// Applies the steps in their order.
pub fn normalize(text: &str, steps: &[Normalization]) -> String {
    steps.iter().fold(text.to_owned(), |text, step| match step {
        Normalization::Nfkc => text.nfkc().collect(),
        Normalization::Control => text.chars().filter(|c| !is_noise(*c)).collect(),
        Normalization::Whitespace => whitespace(&text),
        Normalization::Lowercase => text.to_lowercase(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use Normalization::{Control, Lowercase, Nfkc, Whitespace};

    #[test]
    fn each_step_does_what_it_says() {
        let cases = [
            (vec![Nfkc], "ＡＢＣ１２３，ﬁ ㈱", "ABC123,fi (株)"),
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
}
