//! Vectors of texts by Gemini's `embedContent`, and its `batchEmbedContents` for more than one.

use serde_json::{Value, json};

use crate::{
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::{CallError, EmbedRequest, Embedded},
        vendors::{
            estimate,
            gemini_answer::{counted, word},
        },
    },
};

pub(crate) fn body(request: &EmbedRequest, model: &str) -> Value {
    let one = |text: &String| json!({ "model": model, "content": { "parts": [{ "text": text }] } });
    match request.texts.as_slice() {
        [text] => one(text),
        texts => json!({ "requests": texts.iter().map(one).collect::<Vec<_>>() }),
    }
}

/// The vectors in a success answer, one for each text. They may carry counts; where they do not, these are estimated.
///
/// # Errors
/// [`CallError::Unknown`] when there are fewer, more, or of different lengths: billed, and useless.
pub(crate) fn read(body: &Value, request: &EmbedRequest) -> Result<Embedded, CallError> {
    let told: &[Value] = match (&body["embedding"], &body["embeddings"]) {
        (Value::Null, Value::Array(all)) => all,
        (one, _) => std::slice::from_ref(one),
    };
    let vectors: Option<Vec<Vec<f32>>> = told.iter().map(|one| numbers(&one["values"])).collect();
    let vectors = vectors.filter(|vectors| fits(vectors, request.texts.len()));
    let Some(vectors) = vectors else {
        let detail = format!("the answer does not hold {} vectors of one length", request.texts.len());
        return Err(CallError::Unknown(detail));
    };
    let (usage, usage_source) = match counted(&body["usageMetadata"]) {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(request), UsageSource::Estimated),
    };
    let (served_model, request_id) = (word(&body["modelVersion"]), word(&body["responseId"]));
    Ok(Embedded { vectors, served_model, usage, usage_source, request_id })
}

fn fits(vectors: &[Vec<f32>], texts: usize) -> bool {
    let length = vectors.first().map_or(0, Vec::len);
    vectors.len() == texts && vectors.iter().all(|vector| vector.len() == length && length > 0)
}

fn numbers(values: &Value) -> Option<Vec<f32>> {
    serde_json::from_value(values.clone())
        .ok()
        .filter(|values: &Vec<f32>| values.iter().all(|value| value.is_finite()))
}

fn estimated(request: &EmbedRequest) -> Usage {
    let chars = request.texts.iter().map(|text| text.chars().count()).sum();
    Usage { uncached_input: estimate::tokens(chars), ..Usage::default() }
}
