//! The filter of the trials: `lr<1e-3 & state=finished`, and words that are looked for.
//!
//! ```text
//! either = both { '|' both }
//! both   = one { [ '&' ] one }
//! one    = '!' one | '(' either ')' | name op value | word
//! op     = '<' | '<=' | '>' | '>=' | '=' | '!=' | '~'
//! ```
//! A name is a column or a parameter: its dotted key, the end of it, or the first letters of the words there (`lr` is
//! `train.learning_rate`). A name alone, at the end, is a comparison that is still being written. `~` asks whether a text has another in it. Times take `s`, `m`, `h`.

use std::ops::Range;

use thiserror::Error;

/// Something that a trial can be asked for, shown as a column, or sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Trial,
    State,
    Score,
    Error,
    /// Of the trials that finished: best, tied with it, or behind.
    Standing,
    Folds,
    Time,
    /// By its place in the ledger.
    Parameter(usize),
    Why,
    /// Whether it is excluded, its tags, its note.
    Remarks,
}

impl Field {
    /// Those that are there in every sweep, by the names that a filter knows.
    const NAMED: [(&'static str, Self); 10] = [
        ("trial", Self::Trial),
        ("state", Self::State),
        ("score", Self::Score),
        ("se", Self::Error),
        ("standing", Self::Standing),
        ("folds", Self::Folds),
        ("time", Self::Time),
        ("seconds", Self::Time),
        ("why", Self::Why),
        ("remarks", Self::Remarks),
    ];
}

/// Those that the race gave up are pruned, too, as they are in the database.
const STATES: [&str; 7] = ["waiting", "running", "finished", "pruned", "raced", "failed", "cancelled"];
const STANDINGS: [&str; 3] = ["best", "tied", "behind"];

/// What a trial says of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Nothing,
    Number(f64),
    Text(String),
    /// Any of these says it.
    Words(&'static [&'static str]),
}

/// A trial, asked.
pub trait Subject {
    fn value(&self, field: Field) -> Value;

    /// Whether a word is found in it.
    fn has_word(&self, word: &str) -> bool;
}

#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Word(String),
    Compare { field: Field, op: Op, value: Operand },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Less,
    AtMost,
    More,
    AtLeast,
    Is,
    IsNot,
    Has,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Number(f64),
    Text(String),
}

/// What is wrong with a filter, and where: bytes of its text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct FilterError {
    pub what: String,
    pub at: Range<usize>,
}

impl Filter {
    /// Reads a filter of trials with these parameters. An empty one lets all pass.
    pub fn parse(text: &str, parameters: &[String]) -> Result<Self, FilterError> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, next: 0, end: text.len(), parameters };
        if tokens.is_empty() {
            return Ok(Self::All(Vec::new()));
        }
        let filter = parser.either()?;
        match parser.tokens.get(parser.next) {
            Some(token) => Err(FilterError { what: format!("{} has no beginning", token.kind), at: token.at.clone() }),
            None => Ok(filter),
        }
    }

    /// As much of it as can be understood, and what cannot be: what is wrong hides nothing.
    pub fn as_understood(text: &str, parameters: &[String]) -> (Self, Option<FilterError>) {
        let error = match Self::parse(text, parameters) {
            Ok(filter) => return (filter, None),
            Err(error) => error,
        };
        let mut end = error.at.start;
        loop {
            let before = &text[..end];
            let last = tokens(before).ok().and_then(|mut all| all.pop());
            // what leads over to it leads to what accepts all: a column that is not compared yet
            let leads_over = matches!(&last, Some(Token { kind: Kind::And | Kind::Or | Kind::Not | Kind::Open, .. }));
            let filter = Self::parse(&format!("{before}{}", if leads_over { " trial" } else { "" }), parameters);
            match filter {
                Ok(filter) => return (filter, Some(error)),
                Err(_) => end = last.map_or(0, |token| token.at.start),
            }
        }
    }

    pub fn accepts(&self, subject: &impl Subject) -> bool {
        match self {
            Self::All(all) => all.iter().all(|filter| filter.accepts(subject)),
            Self::Any(any) => any.iter().any(|filter| filter.accepts(subject)),
            Self::Not(filter) => !filter.accepts(subject),
            Self::Word(word) => subject.has_word(word),
            Self::Compare { field, op, value } => op.holds(&subject.value(*field), value),
        }
    }
}

impl Op {
    /// What has no value is not less, more or equal; only different.
    fn holds(self, own: &Value, other: &Operand) -> bool {
        match (own, other) {
            (Value::Nothing, _) => self == Self::IsNot,
            (Value::Number(own), Operand::Number(other)) => match self {
                Self::Less => own < other,
                Self::AtMost => own <= other,
                Self::More => own > other,
                Self::AtLeast => own >= other,
                Self::Is | Self::Has => is_near(*own, *other),
                Self::IsNot => !is_near(*own, *other),
            },
            (Value::Text(own), other) => self.holds_text(own, other),
            (Value::Words(words), other) if self == Self::IsNot => {
                words.iter().all(|word| self.holds_text(word, other))
            }
            (Value::Words(words), other) => words.iter().any(|word| self.holds_text(word, other)),
            (Value::Number(own), other) => self.holds_text(&own.to_string(), other),
        }
    }

    fn holds_text(self, own: &str, other: &Operand) -> bool {
        let own = own.to_lowercase();
        let other = match other {
            Operand::Number(number) => number.to_string(),
            Operand::Text(text) => text.to_lowercase(),
        };
        match self {
            Self::Less => own < other,
            Self::AtMost => own <= other,
            Self::More => own > other,
            Self::AtLeast => own >= other,
            Self::Is => own == other,
            Self::IsNot => own != other,
            Self::Has => own.contains(&other),
        }
    }
}

/// What is written with few digits is meant, not its last bit.
fn is_near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    kind: Kind,
    at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Word(String),
    Op(Op, &'static str),
    And,
    Or,
    Not,
    Open,
    Close,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Op(_, text) => text,
            Self::And => "&",
            Self::Or => "|",
            Self::Not => "!",
            Self::Open => "(",
            Self::Close => ")",
        })
    }
}

/// The longer ones first.
const SIGNS: [(&str, Kind); 13] = [
    ("<=", Kind::Op(Op::AtMost, "<=")),
    (">=", Kind::Op(Op::AtLeast, ">=")),
    ("!=", Kind::Op(Op::IsNot, "!=")),
    ("==", Kind::Op(Op::Is, "==")),
    ("<", Kind::Op(Op::Less, "<")),
    (">", Kind::Op(Op::More, ">")),
    ("=", Kind::Op(Op::Is, "=")),
    ("~", Kind::Op(Op::Has, "~")),
    ("&", Kind::And),
    ("|", Kind::Or),
    ("!", Kind::Not),
    ("(", Kind::Open),
    (")", Kind::Close),
];

fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        if letter.is_whitespace() {
            at += letter.len_utf8();
        } else if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            tokens.push(Token { kind: kind.clone(), at: at..at + sign.len() });
            at += sign.len();
        } else if letter == '"' {
            let Some(length) = rest[1..].find('"') else {
                return Err(FilterError { what: "the quotation has no end".to_owned(), at: at..text.len() });
            };
            tokens.push(Token { kind: Kind::Word(rest[1..=length].to_owned()), at: at..at + length + 2 });
            at += length + 2;
        } else {
            let ends = |letter: char| letter.is_whitespace() || "<>=!~&|()\"".contains(letter);
            let length = rest.find(ends).unwrap_or(rest.len());
            tokens.push(Token { kind: Kind::Word(rest[..length].to_owned()), at: at..at + length });
            at += length;
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    next: usize,
    end: usize,
    parameters: &'a [String],
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Filter, FilterError> {
        let mut any = vec![self.both()?];
        while self.takes(&Kind::Or) {
            any.push(self.both()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Any(any) })
    }

    fn both(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.one()?];
        while self.takes(&Kind::And) || matches!(self.kind(), Some(Kind::Word(_) | Kind::Not | Kind::Open)) {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::All(all) })
    }

    fn one(&mut self) -> Result<Filter, FilterError> {
        let Some(token) = self.tokens.get(self.next) else {
            return Err(self.missing("something is to follow"));
        };
        self.next += 1;
        match &token.kind {
            Kind::Not => Ok(match self.one()? {
                // what is still being written hides nothing, and its opposite nothing either
                Filter::All(all) if all.is_empty() => Filter::All(all),
                filter => Filter::Not(Box::new(filter)),
            }),
            Kind::Open => {
                let filter = self.either()?;
                if self.takes(&Kind::Close) { Ok(filter) } else { Err(self.missing("a ) is missing")) }
            }
            Kind::Word(word) => match self.kind() {
                Some(Kind::Op(op, _)) => {
                    let op = *op;
                    self.next += 1;
                    let field = self.field(word, &token.at)?;
                    self.comparison(field, op)
                }
                // a comparison that is still being written hides nothing
                None if self.field(word, &token.at).is_ok() => Ok(Filter::All(Vec::new())),
                _ => Ok(Filter::Word(word.clone())),
            },
            other => Err(FilterError { what: format!("a name is missing before {other}"), at: token.at.clone() }),
        }
    }

    fn comparison(&mut self, field: Field, op: Op) -> Result<Filter, FilterError> {
        let Some(Token { kind: Kind::Word(word), at }) = self.tokens.get(self.next) else {
            return Err(self.missing("a value is to follow"));
        };
        self.next += 1;
        let wrong = |what: String| FilterError { what, at: at.clone() };
        let one_of = |words: &[&str]| {
            let is_known = op == Op::Has || words.contains(&word.to_lowercase().as_str());
            if is_known {
                Ok(Operand::Text(word.clone()))
            } else {
                Err(wrong(format!("{word:?} is none of {}", words.join(", "))))
            }
        };
        let value = match field {
            Field::State => one_of(&STATES)?,
            Field::Standing => one_of(&STANDINGS)?,
            Field::Time => {
                Operand::Number(seconds(word).ok_or_else(|| wrong(format!("{word:?} is no time: 90, 90s, 5m or 2h")))?)
            }
            Field::Trial | Field::Score | Field::Error | Field::Folds => {
                Operand::Number(word.parse().map_err(|_| wrong(format!("{word:?} is no number")))?)
            }
            Field::Parameter(_) | Field::Why | Field::Remarks => match word.as_str() {
                "true" => Operand::Number(1.0),
                "false" => Operand::Number(0.0),
                _ => word.parse().map_or_else(|_| Operand::Text(word.clone()), Operand::Number),
            },
        };
        Ok(Filter::Compare { field, op, value })
    }

    fn field(&self, name: &str, at: &Range<usize>) -> Result<Field, FilterError> {
        let wrong = |what: String| FilterError { what, at: at.clone() };
        if let Some((_, field)) = Field::NAMED.iter().find(|(known, _)| *known == name) {
            return Ok(*field);
        }
        // whoever says more is understood first
        let ways: [&dyn Fn(&str) -> bool; 4] =
            [&|key| key == name, &|key| end_of(key) == name, &|key| initials(end_of(key)) == name, &|key| {
                end_of(key).starts_with(name) || key.starts_with(name)
            }];
        for is_meant in ways {
            let meant: Vec<usize> =
                (0..self.parameters.len()).filter(|index| is_meant(&self.parameters[*index])).collect();
            match meant.as_slice() {
                [] => {}
                [one] => return Ok(Field::Parameter(*one)),
                several => {
                    let names: Vec<&str> = several.iter().map(|index| self.parameters[*index].as_str()).collect();
                    return Err(wrong(format!("{name:?} could be {}", names.join(", "))));
                }
            }
        }
        let known = Field::NAMED.iter().map(|(name, _)| *name).chain(self.parameters.iter().map(|key| end_of(key)));
        let nearest = known.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        Err(wrong(format!("no column {name:?}; do you mean {}?", nearest.unwrap_or("score"))))
    }

    fn kind(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn takes(&mut self, kind: &Kind) -> bool {
        let is_there = self.kind() == Some(kind);
        self.next += usize::from(is_there);
        is_there
    }

    /// At what stands there instead, or at the end.
    fn missing(&self, what: &str) -> FilterError {
        let at = self.tokens.get(self.next).map_or(self.end..self.end, |token| token.at.clone());
        FilterError { what: what.to_owned(), at }
    }
}

/// What stands behind the last dot.
pub(super) fn end_of(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn initials(name: &str) -> String {
    name.split('_').filter_map(|word| word.chars().next()).collect()
}

fn seconds(text: &str) -> Option<f64> {
    let (number, unit) = match text.chars().last()? {
        's' => (&text[..text.len() - 1], 1.0),
        'm' => (&text[..text.len() - 1], 60.0),
        'h' => (&text[..text.len() - 1], 3600.0),
        _ => (text, 1.0),
    };
    Some(number.parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Row;

    impl Subject for Row {
        fn value(&self, field: Field) -> Value {
            match field {
                Field::Trial => Value::Number(7.0),
                Field::State => Value::Words(&["finished"]),
                Field::Score => Value::Number(0.91),
                Field::Time => Value::Number(240.0),
                Field::Parameter(0) => Value::Number(3e-4),
                Field::Parameter(2) => Value::Text("doc".to_owned()),
                _ => Value::Nothing,
            }
        }

        fn has_word(&self, word: &str) -> bool {
            word == "doc"
        }
    }

    /// `yes` or `no` of a trial with learning rate 3e-4 and attention `doc`, or what is wrong, and where.
    fn check(text: &str, expect: &str) {
        let keys = ["train.learning_rate", "model.aggregator.layers", "model.label_attention", "model.layers"];
        let keys = keys.map(str::to_owned);
        let found = match Filter::parse(text, &keys) {
            Ok(filter) => if filter.accepts(&Row) { "yes" } else { "no" }.to_owned(),
            Err(error) => format!("{}: {}", &text[error.at.clone()], error.what),
        };
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn trials_are_compared() {
        check("", "yes");
        check("lr<1e-3 & state=finished", "yes");
        check("lr<1e-4", "no");
        check("learning_rate=0.0003", "yes");
        check("train.learning_rate >= 3e-4", "yes");
        check("label=doc", "yes");
        check("label_attention!=doc", "no");
        check("la~o", "yes");
        check("time<5m time>3m", "yes");
        check("trial=7", "yes");
        check("se>0", "no");
    }

    #[test]
    fn words_and_connections() {
        check("doc", "yes");
        check("lr", "yes");
        check("doc & token", "no");
        check("doc | token", "yes");
        check("!token doc", "yes");
        check("!(doc | token)", "no");
        check("(token | score>0.9) trial<10", "yes");
        check("\"doc\"", "yes");
    }

    #[test]
    fn what_is_wrong_hides_nothing() {
        let keys = ["train.learning_rate".to_owned()];
        for (text, accepts) in [
            ("zzz=3", true),
            ("state=finished & zzz=3", true),
            ("state=failed & zzz=3", false),
            ("state=failed & lr<", false),
            ("state=failed | (", true),
            ("state=failed | zzz=3", true),
            ("state=failed | score<x", true),
            ("(state=failed | zzz=3", true),
            ("!state=finshed", true),
            ("!lr<", true),
            ("why=\"no end", true),
            ("(", true),
        ] {
            let (filter, error) = Filter::as_understood(text, &keys);
            assert_eq!((filter.accepts(&Row), error.is_some()), (accepts, true), "{text}");
        }
        assert_eq!(Filter::as_understood("state=failed", &keys).1, None);
    }

    #[test]
    fn mistakes_are_said_with_their_place() {
        check("lr<", ": a value is to follow");
        check("scor<1", "scor: no column \"scor\"; do you mean score?");
        check("layers=2", "layers: \"layers\" could be model.aggregator.layers, model.layers");
        check(
            "state=finshed",
            "finshed: \"finshed\" is none of waiting, running, finished, pruned, raced, failed, cancelled",
        );
        check("score>high", "high: \"high\" is no number");
        check("time<soon", "soon: \"soon\" is no time: 90, 90s, 5m or 2h");
        check("(doc", ": a ) is missing");
        check("doc)", "): ) has no beginning");
        check("& doc", "&: a name is missing before &");
        check("why=\"no end", "\"no end: the quotation has no end");
        check("doc |", ": something is to follow");
    }
}
