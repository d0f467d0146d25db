//! What can be wrong with prompts, said so that somebody can repair it.

use std::fmt;

/// A prompt that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// The folder or a file of it cannot be read.
    #[error("{file}: cannot be read: {why}")]
    Unreadable {
        /// Which.
        file: String,
        /// The system's words.
        why: String,
    },
    /// A prompt that this release does not ask for.
    #[error("{file}: no prompt is called `{id}`; known: {known}")]
    UnknownId {
        /// The file.
        file: String,
        /// The name in it.
        id: String,
        /// All that there are.
        known: String,
    },
    /// The front matter cannot be read, or says what makes no sense.
    #[error("{file}: front matter: {why}")]
    FrontMatter {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The template is wrong, or failed on these values. Never holds a value.
    #[error("{file}: template: {why}")]
    Template {
        /// The file.
        file: String,
        /// What is wrong, with its line.
        why: String,
    },
    /// The schema is not one that every provider enforces, or lacks what is read of the answer.
    #[error("{file}: schema {schema}: {why}")]
    Schema {
        /// The prompt's file.
        file: String,
        /// The schema's file.
        schema: String,
        /// What is wrong, and where.
        why: String,
    },
}

/// Everything that is wrong with the prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptErrors(pub Vec<PromptError>);

impl fmt::Display for PromptErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(PromptError::to_string).collect();
        write!(f, "prompts that cannot be used: {}", lines.join("; "))
    }
}

impl std::error::Error for PromptErrors {}
