//! The providers of models, one file each; this is their table.

pub mod anthropic;
mod anthropic_answer;
mod anthropic_error;
mod anthropic_stream;
pub mod bedrock;
mod bedrock_answer;
mod bedrock_client;
mod bedrock_error;
mod bedrock_handover;
mod bedrock_stream;
mod bedrock_tool;
mod by_status;
pub(crate) mod estimate;
mod exchange;
pub mod gemini;
mod gemini_answer;
mod gemini_error;
mod gemini_stream;
mod gemini_vectors;
mod openai_answer;
pub mod openai_chat;
mod openai_chat_stream;
mod openai_endpoint;
mod openai_error;
mod openai_events;
pub mod openai_responses;
mod openai_responses_answer;
mod openai_responses_stream;
mod openai_usage;
mod openai_vectors;
mod patience;
mod portable_schema;
pub mod rules;
mod rules_email;
mod rules_vector;
mod rules_words;
#[cfg(test)]
mod sample;
mod schema_words;
mod sse;
mod wait_hint;

use std::sync::Arc;

use crate::{
    config::{ProviderKind, ProviderSettings},
    http::Http,
    llm::{
        vendors::{
            anthropic::Anthropic, bedrock::Bedrock, gemini::Gemini, openai_chat::OpenAiChat,
            openai_responses::OpenAiResponses, rules::Rules,
        },
        wire::Provider,
    },
};

/// The provider that these settings describe.
///
/// # Errors
/// What is wrong with the settings.
pub fn provider(settings: &ProviderSettings, http: &Http) -> Result<Arc<dyn Provider>, String> {
    Ok(match settings.kind {
        ProviderKind::Openai => Arc::new(OpenAiChat::new(settings, http.clone())?),
        ProviderKind::Gemini => Arc::new(Gemini::new(settings, http.clone())?),
        ProviderKind::Anthropic => Arc::new(Anthropic::new(settings, http.clone())?),
        ProviderKind::Bedrock => Arc::new(Bedrock::new(settings)),
        ProviderKind::OpenaiResponses => Arc::new(OpenAiResponses::new(settings, http.clone())?),
        ProviderKind::Rules => Arc::new(Rules),
    })
}
