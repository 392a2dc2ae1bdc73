//! What is wrong with a sweep file: everything at once, each with its key and line.

use std::fmt;

/// One thing that is wrong, where, and what could be written instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key, empty for the file as a whole.
    pub key: String,
    /// Line in the sweep file; none for a value that came from the command line.
    pub line: Option<u32>,
    /// What is wrong, in words.
    pub what: String,
}

impl Problem {
    pub fn new(key: &str, line: Option<u32>, what: impl Into<String>) -> Self {
        Self { key: key.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        self.line.map_or(Ok(()), |line| write!(f, "  (line {line})"))
    }
}

/// All problems of one sweep file, in the order of their lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem, unless the same is known already.
    pub fn add(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub(super) fn extend(&mut self, other: Self) {
        for problem in other.0 {
            self.add(problem);
        }
    }

    pub(super) fn sorted(mut self) -> Self {
        self.0.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
        self
    }

    /// The value if nothing is wrong.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
