//! What a call used, where the provider does not say: marked as an estimate wherever it is stored.

use crate::{
    domain::usage::Usage,
    llm::{contract::AnswerShape, wire::Request},
};

/// Characters of one token, roughly.
const CHARS_PER_TOKEN: usize = 4;

/// Tokens of a text of so many characters.
pub(crate) fn tokens(chars: usize) -> i64 {
    i64::try_from(chars.div_ceil(CHARS_PER_TOKEN)).unwrap_or(i64::MAX)
}

/// Tokens of what is asked: instructions, conversation and schema.
pub(crate) fn asked(request: &Request) -> i64 {
    let turns: usize = request.turns.iter().map(|turn| turn.text.chars().count()).sum();
    let schema = match &request.answer {
        AnswerShape::Text => 0,
        AnswerShape::Json { schema, .. } => schema.to_string().chars().count(),
    };
    tokens(request.system.chars().count() + turns + schema)
}

/// A whole call, from what was asked and what came.
pub(crate) fn estimated(request: &Request, text: &str) -> Usage {
    Usage { uncached_input: asked(request), output: tokens(text.chars().count()), ..Usage::default() }
}
