//! Reads a chat completion. Compatible servers leave out or null almost any field.

use serde_json::Value;

use crate::{
    domain::usage::UsageSource,
    http::Answer,
    llm::{
        contract::{Completion, Finish, Request},
        vendors::{
            estimate::estimated,
            openai_usage::{self, counted},
        },
    },
};

/// The completion in a success answer. One that holds no choice is a completion with an unknown finish:
/// it was billed, as far as anyone can tell.
pub(crate) fn read(answer: &Answer, body: &Value, request: &Request) -> Completion {
    let choice = &body["choices"][0];
    let text = content(&choice["message"]["content"]);
    let (usage, usage_source) = match counted(&body["usage"], &openai_usage::CHAT) {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(request, &text), UsageSource::Estimated),
    };
    Completion {
        finish: finish(&choice["finish_reason"], word(&choice["message"]["refusal"]), &text),
        text,
        served_model: word(&body["model"]),
        served_tier: word(&body["service_tier"]),
        usage,
        usage_source,
        request_id: answer.header("x-request-id").map(str::to_owned).or_else(|| word(&body["id"])),
    }
}

/// A text that says something.
pub(crate) fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A string, or on some servers a list of parts.
pub(crate) fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// A refusal comes with finish `stop`, in its own field. A call of a tool that nobody offered is no answer, and
/// neither is nothing at all: reasoning models behind small servers end like that.
pub(crate) fn finish(reason: &Value, refusal: Option<String>, text: &str) -> Finish {
    if let Some(words) = refusal {
        return Finish::Refused(words);
    }
    match reason.as_str() {
        Some("stop") if text.trim().is_empty() => Finish::Misbehaved("no text".to_owned()),
        Some("stop") => Finish::Complete,
        Some("length") => Finish::Truncated,
        Some("content_filter") => Finish::Blocked,
        Some("") | None => Finish::Unknown("none".to_owned()),
        Some(other) => Finish::Unknown(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{content, finish};
    use crate::llm::contract::Finish;

    #[test]
    fn only_stop_with_a_text_is_success() {
        let of = |reason, refusal: Option<&str>| finish(&reason, refusal.map(str::to_owned), "text");
        assert_eq!(of(json!("stop"), None), Finish::Complete);
        assert_eq!(of(json!("stop"), Some("No.")), Finish::Refused("No.".into()));
        assert_eq!(of(json!("length"), None), Finish::Truncated);
        assert_eq!(of(json!("content_filter"), None), Finish::Blocked);
        for odd in
            [json!(null), json!(""), json!("tool_calls"), json!("function_call"), json!("eos"), json!(7)]
        {
            assert!(matches!(of(odd.clone(), None), Finish::Unknown(_)), "{odd}");
        }
        assert_eq!(finish(&json!("stop"), None, " \n"), Finish::Misbehaved("no text".into()));
    }

    #[test]
    fn reads_text_and_lists_of_parts() {
        assert_eq!(content(&json!("a")), "a");
        assert_eq!(content(&json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }])), "ab");
        assert_eq!(content(&json!(null)), "");
    }
}
