//! What a user sees when something cannot be done: what, where, what next; and the exit code.

use std::fmt;

use crate::control::ControlError;
use crate::driver::{DriverError, EncoderError, EncoderErrors, MaterialError, ProgramError, SlotError};
use crate::spec::Problems;
use crate::store::StoreError;
use crate::text::CorpusError;

/// Exit codes, as documented in the README.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Good = 0,
    /// The machine failed, or there is a bug.
    Broken = 1,
    Usage = 2,
    /// The sweep came to its end, some runs failed.
    RunsFailed = 3,
    BadInput = 4,
    /// `sweep resume` continues.
    Interrupted = 5,
    /// There is no live sweep to be told.
    NotRunning = 6,
}

/// An error for people.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub what: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// A sweep file with problems.
    pub fn spec(path: &str, problems: &Problems) -> Self {
        Self::new(Code::BadInput, format!("cannot use {path}\n{problems}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let usage = matches!(
            error,
            StoreError::Missing { .. }
                | StoreError::Empty { .. }
                | StoreError::NoDirectory { .. }
                | StoreError::NoSweep { .. }
                | StoreError::Ambiguous { .. }
                | StoreError::NoneYet { .. }
                | StoreError::Query { .. }
                | StoreError::NotAQuery
        );
        let hint = match &error {
            StoreError::NoSweep { .. } | StoreError::Ambiguous { .. } => Some("`sweep ls` lists the sweeps"),
            StoreError::Query { .. } | StoreError::NotAQuery => {
                Some("`sweep sql` alone lists the views and their columns")
            }
            _ => None,
        };
        let failure = Self::new(if usage { Code::Usage } else { Code::Broken }, chain(&error));
        Self { hint: hint.map(str::to_owned), ..failure }
    }
}

impl From<EncoderErrors> for Failure {
    fn from(errors: EncoderErrors) -> Self {
        let of_hub = |error: &EncoderError| match error {
            EncoderError::Hub { source, .. } | EncoderError::Download(source) => {
                Some((source.is_bad_input(), source.hint()))
            }
            _ => None,
        };
        let hub: Vec<_> = errors.0.iter().filter_map(|(_, error)| of_hub(error)).collect();
        let code = if hub.iter().all(|(bad_input, _)| *bad_input) { Code::BadInput } else { Code::Broken };
        let hint = hub.iter().find_map(|(_, hint)| *hint).map(str::to_owned);
        Self { code, what: errors.to_string(), hint }
    }
}

impl From<MaterialError> for Failure {
    fn from(error: MaterialError) -> Self {
        let machine = matches!(error, MaterialError::Corpus(CorpusError::Write { .. }) | MaterialError::Lost);
        Self::new(if machine { Code::Broken } else { Code::BadInput }, chain(&error))
    }
}

impl From<ProgramError> for Failure {
    fn from(error: ProgramError) -> Self {
        Self::new(Code::BadInput, error.to_string())
            .hint("a path with a / is relative to the project, any other name is looked for in the PATH")
    }
}

impl From<SlotError> for Failure {
    fn from(error: SlotError) -> Self {
        Self::new(Code::BadInput, error.to_string()).hint("`sweep doctor` shows the devices that it finds")
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let code = if matches!(error, ControlError::Nobody { .. }) { Code::NotRunning } else { Code::Broken };
        Self::new(code, error.to_string())
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::Store(error) => error.into(),
            DriverError::Material(error) => error.into(),
            DriverError::Taken { .. } => Self::new(Code::Usage, error.to_string()),
            error => Self::new(Code::Broken, error.to_string()),
        }
    }
}

/// An error and its causes, those that it does not tell itself.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
