//! Reads an answer of Gemini's: its text, why it ended, what it used.

use serde_json::Value;

use crate::{
    domain::usage::{Usage, UsageSource},
    http::Answer,
    llm::{
        contract::{Completion, Finish, Request},
        vendors::estimate::estimated,
    },
};

/// The completion in a success answer. One without a candidate is a completion that was blocked, or an unknown
/// finish: it was billed, as far as anyone can tell.
pub(crate) fn read(answer: &Answer, body: &Value, request: &Request) -> Completion {
    let text = text(body);
    let (usage, usage_source) = match counted(&body["usageMetadata"]) {
        Some(usage) => (usage, UsageSource::Provider),
        None => (estimated(request, &text), UsageSource::Estimated),
    };
    Completion {
        text,
        finish: finish(body),
        served_model: word(&body["modelVersion"]),
        served_tier: served_tier(&body["usageMetadata"], answer.header("x-gemini-service-tier")),
        usage,
        usage_source,
        request_id: word(&body["responseId"]),
    }
}

/// A text that is not empty.
pub(crate) fn word(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The answer's words: thoughts are not among them.
pub(crate) fn text(body: &Value) -> String {
    let parts = body["candidates"][0]["content"]["parts"].as_array().into_iter().flatten();
    parts.filter(|part| part["thought"] != true).filter_map(|part| part["text"].as_str()).collect()
}

/// The tier that really answered, by whichever name it is told: body, header, or as Vertex does.
pub(crate) fn served_tier(usage: &Value, header: Option<&str>) -> Option<String> {
    let header = header.filter(|tier| !tier.is_empty()).map(str::to_owned);
    word(&usage["serviceTier"])
        .or(header)
        .or_else(|| word(&usage["trafficType"]))
        .map(|tier| tier.to_lowercase())
}

/// Of the first candidate; a question that was blocked has none, and a status of 200 (python-genai 2.19).
pub(crate) fn finish(body: &Value) -> Finish {
    let candidate = &body["candidates"][0];
    if candidate.is_null() {
        let blocked = word(&body["promptFeedback"]["blockReason"]).is_some();
        return if blocked { Finish::Blocked } else { Finish::Unknown("no candidate".to_owned()) };
    }
    match candidate["finishReason"].as_str() {
        // No tools are offered here, so a call of one is no answer.
        Some("STOP") if calls_a_tool(candidate) => Finish::Unknown("function_call".to_owned()),
        Some("STOP") => Finish::Complete,
        // Often without any part: thinking ate the cap.
        Some("MAX_TOKENS") => Finish::Truncated,
        Some("SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "LANGUAGE") => {
            Finish::Blocked
        }
        Some(image) if image.starts_with("IMAGE_") => Finish::Blocked,
        Some(
            broken @ ("MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MALFORMED_RESPONSE"
            | "OTHER"),
        ) => Finish::Misbehaved(broken.to_owned()),
        Some(other) => Finish::Unknown(other.to_owned()),
        None => Finish::Unknown("none".to_owned()),
    }
}

fn calls_a_tool(candidate: &Value) -> bool {
    let mut parts = candidate["content"]["parts"].as_array().into_iter().flatten();
    parts.any(|part| part["functionCall"].is_object())
}

/// Normal form: the prompt count includes what a cache held but not what tools brought; candidates exclude thoughts,
/// which are billed as output. A detail above its total is cut to it and counted.
pub(crate) fn counted(usage: &Value) -> Option<Usage> {
    let count = |name: &str| usage[name].as_i64().map(|tokens| tokens.max(0));
    let or_none = |name: &str| count(name).unwrap_or(0);
    let prompt = count("promptTokenCount")?;
    let told_read = or_none("cachedContentTokenCount");
    let cache_read = told_read.min(prompt);
    let reasoning = or_none("thoughtsTokenCount");
    let output = or_none("candidatesTokenCount").saturating_add(reasoning);
    let uncached_input = prompt.saturating_sub(cache_read).saturating_add(or_none("toolUsePromptTokenCount"));
    let usage = Usage { uncached_input, cache_read, output, reasoning, ..Usage::default() };
    let told = count("totalTokenCount").unwrap_or(0);
    if told_read > prompt || told > usage.input().saturating_add(output) {
        metrics::counter!("longshore_llm_usage_inconsistent_total", "provider" => "gemini").increment(1);
    }
    Some(usage)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{counted, finish, text};
    use crate::{domain::usage::Usage, llm::contract::Finish};

    #[test]
    fn candidates_exclude_thoughts_and_the_prompt_includes_the_cache() {
        let usage = json!({
            "promptTokenCount": 1000, "cachedContentTokenCount": 600, "toolUsePromptTokenCount": 50,
            "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 1370
        });
        let normal =
            Usage { uncached_input: 450, cache_read: 600, output: 320, reasoning: 300, ..Usage::default() };
        assert_eq!(counted(&usage), Some(normal));
        assert_eq!(normal.input() + normal.output, 1370, "as its own total says");
    }

    #[test]
    fn counts_may_be_absent_null_or_beyond_their_total() {
        let bare = counted(&json!({ "promptTokenCount": 7, "candidatesTokenCount": null })).unwrap();
        assert_eq!(bare, Usage { uncached_input: 7, ..Usage::default() });
        let beyond = counted(&json!({ "promptTokenCount": 7, "cachedContentTokenCount": 9 })).unwrap();
        assert_eq!(beyond, Usage { cache_read: 7, ..Usage::default() });
        for absent in [json!(null), json!({}), json!({ "candidatesTokenCount": 3 })] {
            assert_eq!(counted(&absent), None, "{absent}");
        }
    }

    #[test]
    fn only_stop_is_success() {
        let of = |reason: Value| finish(&json!({ "candidates": [{ "finishReason": reason }] }));
        assert_eq!(of(json!("STOP")), Finish::Complete);
        assert_eq!(of(json!("MAX_TOKENS")), Finish::Truncated);
        for filter in [
            "SAFETY",
            "RECITATION",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "LANGUAGE",
            "IMAGE_SAFETY",
            "IMAGE_OTHER",
        ] {
            assert_eq!(of(json!(filter)), Finish::Blocked, "{filter}");
        }
        for broken in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER"] {
            assert_eq!(of(json!(broken)), Finish::Misbehaved(broken.into()));
        }
        for odd in [json!("FINISH_REASON_UNSPECIFIED"), json!("NEW"), json!(""), json!(null), json!(3)] {
            assert!(matches!(of(odd.clone()), Finish::Unknown(_)), "{odd}");
        }
        let call = json!({ "candidates": [{
            "finishReason": "STOP", "content": { "parts": [{ "functionCall": { "name": "f" } }] }
        }] });
        assert!(matches!(finish(&call), Finish::Unknown(_)));
        assert_eq!(finish(&json!({ "promptFeedback": { "blockReason": "SAFETY" } })), Finish::Blocked);
        assert!(matches!(finish(&json!({ "candidates": [] })), Finish::Unknown(_)));
    }

    #[test]
    fn thoughts_are_not_text() {
        let body = json!({ "candidates": [{ "content": { "parts": [
            { "text": "Let me see.", "thought": true }, { "text": "Yes" }, { "inlineData": {} }, { "text": "." }
        ] } }] });
        assert_eq!(text(&body), "Yes.");
        assert_eq!(text(&json!({ "candidates": [{ "finishReason": "MAX_TOKENS" }] })), "");
    }
}
