//! What a check found: one line.

use std::fmt;

use serde::Serialize;

use crate::cli::output::printable;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Works, but perhaps not as meant, or not for long.
    Warn,
    /// Does not work.
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at: `queue`, `llm:openai` ...
    pub(super) check: String,
    /// How it stands.
    pub(super) state: State,
    /// What was seen. Never holds a secret.
    pub(super) detail: String,
    /// What to do.
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, detail: detail.into(), hint: None }
    }

    pub(super) fn warn(check: impl Into<String>, detail: impl Into<String>, hint: &str) -> Self {
        Self { state: State::Warn, hint: Some(hint.to_owned()), ..Self::ok(check, detail) }
    }

    pub(super) fn fail(check: impl Into<String>, detail: impl Into<String>, hint: &str) -> Self {
        Self { state: State::Fail, hint: Some(hint.to_owned()), ..Self::ok(check, detail) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        write!(f, "{state:<5} {:<18} {}", self.check, printable(&self.detail))?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({})", printable(hint)))
    }
}
