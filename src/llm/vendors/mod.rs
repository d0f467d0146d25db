//! The providers of models, one file each; this is their table.

mod estimate;
mod openai_answer;
pub mod openai_chat;
mod openai_error;
mod portable_schema;
pub mod rules;
mod rules_email;
mod rules_vector;
mod rules_words;
#[expect(dead_code, reason = "the first streaming provider uses it")]
mod sse;
mod wait_hint;

use std::sync::Arc;

use crate::{
    config::{ProviderKind, ProviderSettings},
    http::Http,
    llm::{
        contract::Provider,
        vendors::{openai_chat::OpenAiChat, rules::Rules},
    },
};

/// The provider that these settings describe.
///
/// # Errors
/// What is wrong with the settings.
pub fn provider(settings: &ProviderSettings, http: &Http) -> Result<Arc<dyn Provider>, String> {
    Ok(match settings.kind {
        ProviderKind::Openai => Arc::new(OpenAiChat::new(settings, http.clone())?),
        ProviderKind::Rules => Arc::new(Rules),
        kind => return Err(format!("`{}` is not in this build", kind.name())),
    })
}
