//! From text to a tree: recursive descent, as deep as [`DEPTH`] at most.

use serde_json::{Number, Value};
use thiserror::Error;

use super::{Kind, Node, Operation};

/// What is wrong with an expression, and at which character (from 1).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at character {at}: {what}")]
pub struct SyntaxError {
    pub at: usize,
    pub what: String,
}

/// Characters of an expression, and parentheses within parentheses: nobody writes more by hand, and whatever is parsed
/// can be evaluated without running out of stack.
const LENGTH: usize = 2_000;
const DEPTH: usize = 50;

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.chars().count() > LENGTH {
        return Err(SyntaxError { at: LENGTH, what: format!("longer than {LENGTH} characters") });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let root = parser.either()?;
    match parser.peek() {
        Token::End => Ok(root),
        Token::Operation(operation, _) if operation.result() == Kind::Truth => {
            Err(parser.error("comparisons cannot be chained: join two with `and`"))
        }
        other => Err(parser.error(format!("expected an operator or the end, found {}", other.describe()))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Value(Value),
    Name(String),
    /// With the way in which it is written.
    Operation(Operation, &'static str),
    Not,
    Open,
    Close,
    End,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Value(value) => value.to_string(),
            Self::Name(name) => format!("`{name}`"),
            Self::Operation(_, written) => format!("`{written}`"),
            Self::Not => "`not`".to_owned(),
            Self::Open => "`(`".to_owned(),
            Self::Close => "`)`".to_owned(),
            Self::End => "the end".to_owned(),
        }
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if token != Token::End {
            self.next += 1;
        }
        token
    }

    fn error(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError { at: self.tokens[self.next].0, what: what.into() }
    }

    fn either(&mut self) -> Result<Node, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("nested too deep"));
        }
        let node = self.chain(
            |operation| operation == Operation::Or,
            Kind::Truth,
            |parser| parser.chain(|operation| operation == Operation::And, Kind::Truth, Self::not),
        );
        self.depth -= 1;
        node
    }

    fn not(&mut self) -> Result<Node, SyntaxError> {
        let mut negations = 0;
        while *self.peek() == Token::Not {
            self.take();
            negations += 1;
        }
        let at = self.next;
        let node = self.comparison()?;
        if negations == 0 {
            return Ok(node);
        }
        self.check(&node, at, Kind::Truth)?;
        Ok(if negations % 2 == 1 { Node::Not(Box::new(node)) } else { node })
    }

    fn comparison(&mut self) -> Result<Node, SyntaxError> {
        let at = self.next;
        let left = self.sum()?;
        let Token::Operation(operation, _) = *self.peek() else { return Ok(left) };
        if operation.result() != Kind::Truth || matches!(operation, Operation::And | Operation::Or) {
            return Ok(left);
        }
        self.take();
        let right_at = self.next;
        let right = self.sum()?;
        if matches!(operation, Operation::Equal | Operation::Unequal) {
            let (a, b) = (left.kind(), right.kind());
            if a != b && a != Kind::Open && b != Kind::Open {
                let what = format!("{} and {} are never equal", a.describe(), b.describe());
                return Err(SyntaxError { at: self.tokens[right_at].0, what });
            }
        } else {
            self.check(&left, at, Kind::Number)?;
            self.check(&right, right_at, Kind::Number)?;
        }
        Ok(Node::Binary(operation, Box::new(left), Box::new(right)))
    }

    fn sum(&mut self) -> Result<Node, SyntaxError> {
        let sum = |operation| matches!(operation, Operation::Add | Operation::Subtract);
        let product = |operation| matches!(operation, Operation::Multiply | Operation::Divide | Operation::Remainder);
        self.chain(sum, Kind::Number, |parser| parser.chain(product, Kind::Number, Self::sign))
    }

    /// Operands of one kind, joined from the left.
    fn chain(
        &mut self,
        joins: impl Fn(Operation) -> bool,
        kind: Kind,
        mut operand: impl FnMut(&mut Self) -> Result<Node, SyntaxError>,
    ) -> Result<Node, SyntaxError> {
        let mut at = self.next;
        let mut node = operand(self)?;
        while let Token::Operation(operation, _) = *self.peek()
            && joins(operation)
        {
            self.check(&node, at, kind)?;
            self.take();
            at = self.next;
            let right = operand(self)?;
            self.check(&right, at, kind)?;
            node = Node::Binary(operation, Box::new(node), Box::new(right));
        }
        Ok(node)
    }

    fn sign(&mut self) -> Result<Node, SyntaxError> {
        let mut negations = 0;
        while let Token::Operation(operation @ (Operation::Subtract | Operation::Add), _) = *self.peek() {
            self.take();
            negations += usize::from(operation == Operation::Subtract);
        }
        let at = self.next;
        let node = self.operand()?;
        if negations > 0 {
            self.check(&node, at, Kind::Number)?;
        }
        Ok(if negations % 2 == 1 { Node::Negative(Box::new(node)) } else { node })
    }

    fn operand(&mut self) -> Result<Node, SyntaxError> {
        match self.peek() {
            Token::Value(_) | Token::Name(_) => Ok(match self.take() {
                Token::Value(value) => Node::Value(value),
                Token::Name(name) => Node::Name(name),
                _ => unreachable!("was seen to be one of these"),
            }),
            Token::Open => {
                self.take();
                let node = self.either()?;
                if *self.peek() != Token::Close {
                    return Err(self.error(format!("expected `)`, found {}", self.peek().describe())));
                }
                self.take();
                Ok(node)
            }
            Token::Not => Err(self.error("`not` must stand in parentheses here")),
            other => Err(self.error(format!("expected a number, a name or `(`, found {}", other.describe()))),
        }
    }

    fn check(&self, node: &Node, at: usize, wanted: Kind) -> Result<(), SyntaxError> {
        let found = node.kind();
        if found == wanted || found == Kind::Open {
            return Ok(());
        }
        let what = format!("expected {}, found {}", wanted.describe(), found.describe());
        Err(SyntaxError { at: self.tokens[at].0, what })
    }
}

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Truth => "a comparison",
            Self::Text => "a text",
            Self::Open => "a name",
        }
    }
}

/// The tokens with their places, and an end.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, SyntaxError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut place = 0;
    while place < characters.len() {
        let (rest, at) = (&characters[place..], place + 1);
        let error = |what: String| SyntaxError { at, what };
        let (length, token) = match rest[0] {
            c if c.is_whitespace() => {
                place += 1;
                continue;
            }
            quote @ ('\'' | '"' | '`') => {
                let Some(length) = rest[1..].iter().position(|c| *c == quote) else {
                    return Err(error(format!("{quote} has no end")));
                };
                let inside: String = rest[1..=length].iter().collect();
                (length + 2, if quote == '`' { Token::Name(inside) } else { Token::Value(inside.into()) })
            }
            c if c.is_ascii_digit() || c == '.' => number(rest).map_err(error)?,
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.iter().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.')).count();
                (length, word(rest[..length].iter().collect()))
            }
            _ => symbol(rest).map_err(error)?,
        };
        tokens.push((at, token));
        place += length;
    }
    tokens.push((characters.len() + 1, Token::End));
    Ok(tokens)
}

fn number(rest: &[char]) -> Result<(usize, Token), String> {
    let mut length = 0;
    while length < rest.len() {
        let c = rest[length];
        let sign = matches!(c, '+' | '-') && length > 0 && matches!(rest[length - 1], 'e' | 'E');
        if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || sign) {
            break;
        }
        length += 1;
    }
    let written: String = rest[..length].iter().filter(|c| **c != '_').collect();
    let value = match written.parse::<i64>() {
        Ok(integer) => Some(Number::from(integer)),
        Err(_) => written.parse().ok().and_then(Number::from_f64),
    };
    value.map(|number| (length, Token::Value(Value::Number(number)))).ok_or_else(|| format!("`{written}` is no number"))
}

fn word(word: String) -> Token {
    match word.as_str() {
        "and" => Token::Operation(Operation::And, "and"),
        "or" => Token::Operation(Operation::Or, "or"),
        "not" => Token::Not,
        "true" => Token::Value(true.into()),
        "false" => Token::Value(false.into()),
        _ => Token::Name(word),
    }
}

fn symbol(rest: &[char]) -> Result<(usize, Token), String> {
    const TWO: [(&str, Operation); 4] =
        [("==", Operation::Equal), ("!=", Operation::Unequal), ("<=", Operation::AtMost), (">=", Operation::AtLeast)];
    const ONE: [(&str, Operation); 7] = [
        ("<", Operation::Less),
        (">", Operation::More),
        ("+", Operation::Add),
        ("-", Operation::Subtract),
        ("*", Operation::Multiply),
        ("/", Operation::Divide),
        ("%", Operation::Remainder),
    ];
    /// What other languages write.
    const FOREIGN: [(&str, &str); 6] = [
        ("&&", "write `and`"),
        ("||", "write `or`"),
        ("**", "there are no powers"),
        ("//", "division is `/`"),
        ("=", "write `==`"),
        ("!", "write `not`"),
    ];
    let begins = |symbol: &str| symbol.chars().zip(rest.iter()).filter(|(a, b)| a == *b).count() == symbol.len();
    let known = |list: &[(&'static str, Operation)]| list.iter().find(|(symbol, _)| begins(symbol)).copied();
    if let Some((written, operation)) = known(&TWO) {
        return Ok((2, Token::Operation(operation, written)));
    }
    if let Some((symbol, hint)) = FOREIGN.iter().find(|(symbol, _)| begins(symbol)) {
        return Err(format!("`{symbol}` has no meaning here: {hint}"));
    }
    if let Some((written, operation)) = known(&ONE) {
        return Ok((1, Token::Operation(operation, written)));
    }
    match rest[0] {
        '(' => Ok((1, Token::Open)),
        ')' => Ok((1, Token::Close)),
        other => Err(format!("`{other}` has no meaning here")),
    }
}
