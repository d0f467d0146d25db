//! Exit codes, and the error that carries one.

use std::fmt;

/// How the process ends. The numbers are those of `sysexits.h`, so that supervisors can tell them apart:
/// after 64 and 78 a restart changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: all as asked.
    Ok,
    /// 1: the command ran, and its answer is no (`health`, `dev --once`).
    No,
    /// 64: the command line is wrong.
    Usage,
    /// 65: the input is wrong (a file, a key, an id).
    BadInput,
    /// 69: queue or database refuse or do not answer.
    Unavailable,
    /// 70: a defect in Longshore.
    Internal,
    /// 75: not now: the schema is out of date, or the drain deadline passed with work left.
    Temporary,
    /// 78: the configuration is wrong.
    Config,
}

impl ExitCode {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Ok,
        Self::No,
        Self::Usage,
        Self::BadInput,
        Self::Unavailable,
        Self::Internal,
        Self::Temporary,
        Self::Config,
    ];

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Usage => 64,
            Self::BadInput => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Temporary => 75,
            Self::Config => 78,
        }
    }

    /// What it means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "all as asked",
            Self::No => "the command ran, and its answer is no",
            Self::Usage => "the command line is wrong",
            Self::BadInput => "the input is wrong: a file, a key, an id",
            Self::Unavailable => "queue or database refuse or do not answer",
            Self::Internal => "a defect in Longshore",
            Self::Temporary => "not now: schema out of date, or work was left at the drain deadline",
            Self::Config => "the configuration is wrong",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

/// An error that knows its exit code and what to do about it.
#[derive(Debug)]
pub struct Stop {
    /// How the process ends.
    pub code: ExitCode,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Stop {
    /// Without a hint.
    #[must_use]
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// The code that an error carries anywhere in its chain; a defect when it carries none.
#[must_use]
pub fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    error.downcast_ref::<Stop>().map_or(ExitCode::Internal, |stop| stop.code)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_keeps_its_code_under_context() {
        let bare: anyhow::Error = Stop::new(ExitCode::Unavailable, "no answer").hint("start it").into();
        let wrapped = Err::<(), _>(bare).context("opening the store").unwrap_err();
        assert_eq!(exit_code_of(&wrapped), ExitCode::Unavailable);
        assert_eq!(exit_code_of(&anyhow::anyhow!("odd")), ExitCode::Internal);
    }

    #[test]
    fn numbers_are_distinct() {
        let mut numbers: Vec<_> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), ExitCode::ALL.len());
    }
}
