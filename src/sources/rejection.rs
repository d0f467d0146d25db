//! Why a delivery, or one item of it, is not worked.

use serde_json::{Value, error::Category};

use crate::domain::{ids::SourceName, reason::Reason};

/// Longest detail, in bytes: it stands in tables, logs and attributes.
const LONGEST_DETAIL: usize = 500;

/// Why a whole delivery is not worked. The reason's class decides: fatal ones are buried, `secret_unavailable` defers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Decides what becomes of the delivery.
    pub reason: Reason,
    /// For operators: no body, no secret, no personal data.
    pub detail: String,
    /// The sender that the message claims to come from, where it says so in a usable way. Not proved.
    pub source: Option<SourceName>,
}

// By hand: thiserror takes a field named `source` for the cause.
impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Rejection {}

impl Rejection {
    /// A rejection of a message whose sender is not known.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: shorten(detail.into()), source: None }
    }

    /// Names the sender that the message claims.
    pub(super) fn claimed_by(mut self, source: &SourceName) -> Self {
        self.source = Some(source.clone());
        self
    }
}

/// `envelope_malformed`, and why.
pub(super) fn malformed(detail: impl Into<String>) -> Rejection {
    Rejection::new(Reason::EnvelopeMalformed, detail)
}

/// Why one item of a verified body is not worked; its neighbours are.
#[derive(Clone, Debug, PartialEq)]
pub struct ItemRejection {
    /// Position in the body, from 0; `None` when the body is one item, or cannot be read at all.
    pub index: Option<usize>,
    /// Why.
    pub reason: Reason,
    /// For operators: names places, never values.
    pub detail: String,
    /// The item itself, where the body held several.
    pub item: Option<Value>,
}

/// A reason and its detail, before it is known of which item.
pub(super) type Fault = (Reason, String);

/// `schema_mismatch` at this JSON pointer.
pub(super) fn mismatch(pointer: &str, expected: &str) -> Fault {
    (Reason::SchemaMismatch, shorten(format!("{pointer}: {expected}")))
}

/// What is wrong with JSON text and where, without a word of its content.
pub(super) fn json_fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "JSON ends too early",
        Category::Data => "a field is missing, unknown or of another type",
        Category::Syntax | Category::Io => "not valid JSON, or nested deeper than 128 levels",
    };
    format!("{what}, line {} column {}", error.line(), error.column())
}

/// Cuts at a character boundary.
pub(super) fn shorten(mut text: String) -> String {
    if text.len() > LONGEST_DETAIL {
        let cut = (0..=LONGEST_DETAIL).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}
