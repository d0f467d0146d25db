//! The stand-in's model: what it says, what it counts, and the requests that it does not take.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    cli::dev::outside::script::Fault,
    domain::{ids::CorrelationId, usage::Usage},
    llm::{
        contract::{AnswerShape, Provider as _, Request, Turn},
        vendors::rules::Rules,
    },
};

/// Shortest prompt, in tokens, of which a part comes from the cache.
const CACHEABLE: i64 = 1024;
/// The cache counts in pieces of so many tokens.
const CACHE_PIECE: i64 = 128;

/// Words that strict schemas must not hold.
const NOT_PERMITTED: &[&str] = &["minLength", "maxLength", "default", "allOf", "oneOf", "not"];

/// What prose is made of.
const WORDS: [&str; 12] =
    ["ships", "dock", "by", "tide", "and", "cargo", "moves", "along", "the", "shore", "müde", "🚢"];

/// One choice.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) content: Value,
    pub(crate) refusal: Value,
    pub(crate) finish: &'static str,
    pub(crate) usage: Usage,
    pub(crate) tells_usage: bool,
}

/// What OpenAI refuses with 400, as far as our requests can get it wrong. Strict schemas are checked as
/// there: every object closed, every property required.
pub(crate) fn wrong(request: &Value) -> Option<String> {
    if request["model"].as_str().is_none_or(str::is_empty) {
        return Some("you must provide a model parameter".to_owned());
    }
    if request["messages"].as_array().is_none_or(Vec::is_empty) {
        return Some("Invalid type for 'messages': expected a non-empty array".to_owned());
    }
    if !request["max_tokens"].is_null() {
        return Some("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.".to_owned());
    }
    let format = &request["response_format"]["json_schema"];
    let name = format["name"].as_str().unwrap_or_default();
    let named = !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match &request["response_format"]["type"] {
        Value::String(kind) if kind == "json_schema" && !named => {
            Some("Invalid 'response_format.json_schema.name'".to_owned())
        }
        Value::String(kind) if kind == "json_schema" && format["strict"] == true => loose(&format["schema"])
            .map(|place| format!("Invalid schema for response_format '{name}': {place}")),
        _ => None,
    }
}

/// Where a schema is not strict.
fn loose(schema: &Value) -> Option<String> {
    if let Some(word) = NOT_PERMITTED.iter().find(|word| schema.get(word).is_some()) {
        return Some(format!("'{word}' is not permitted"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            return Some("'additionalProperties' is required to be supplied and to be false".to_owned());
        }
        let required =
            |name: &str| schema["required"].as_array().is_some_and(|list| list.contains(&json!(name)));
        if let Some(name) = properties.keys().find(|name| !required(name)) {
            return Some(format!(
                "'required' is required to be an array including every key in properties. Missing '{name}'"
            ));
        }
        if let Some(place) = properties.values().find_map(loose) {
            return Some(place);
        }
    }
    schema.get("items").and_then(loose)
}

/// The model asked.
pub(crate) fn name(request: &Value) -> String {
    request["model"].as_str().unwrap_or_default().to_owned()
}

/// What the user says, first of all.
pub(crate) fn user_text(request: &Value) -> String {
    let turns = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let user = turns.iter().find(|turn| turn["role"] == "user");
    user.and_then(|turn| turn["content"].as_str()).unwrap_or_default().to_owned()
}

/// Answers, well or as the fault wants it.
pub(crate) async fn say(request: &Value, fault: Option<&Fault>) -> Said {
    let good = good(request).await;
    let (content, refusal, finish) = match fault {
        Some(Fault::Cut(cut)) if request["stream"] == true => {
            (json!(pieces(&good).take(cut.pieces()).collect::<String>()), Value::Null, "stop")
        }
        Some(Fault::Refuse) => (Value::Null, json!("I'm sorry, I can't help with that."), "stop"),
        Some(Fault::Filter) => (json!(""), Value::Null, "content_filter"),
        Some(Fault::BadJson) => (json!("{\"intent\": 7, \"surprise\": [}"), Value::Null, "stop"),
        Some(Fault::Truncate) => (json!(good.chars().take(20).collect::<String>()), Value::Null, "length"),
        Some(Fault::OddFinish) => (json!(good), Value::Null, "tired"),
        _ => (json!(good), Value::Null, "stop"),
    };
    let spoken = content.as_str().or(refusal.as_str()).unwrap_or_default();
    let usage = count(request, spoken);
    Said { content, refusal, finish, usage, tells_usage: !matches!(fault, Some(Fault::NoUsage)) }
}

/// The pieces in which a text is streamed.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// The word lists read the user's text into the wanted schema; without one it is answered in prose.
async fn good(request: &Value) -> String {
    if request["response_format"].is_null() {
        return prose(&user_text(request));
    }
    let asked = Request {
        model: name(request),
        system: String::new(),
        turns: vec![Turn::user(user_text(request))],
        answer: AnswerShape::Json {
            name: "answer".to_owned(),
            schema: request["response_format"]["json_schema"]["schema"].clone(),
        },
        max_output: 0,
        temperature: None,
        reasoning_effort: None,
        service_tier: None,
        stream: None,
        correlation_id: CorrelationId::from(""),
        timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
    };
    Rules.complete(&asked).await.map(|completion| completion.text).unwrap_or_default()
}

/// Some ten to fifty words, the same for the same question.
fn prose(question: &str) -> String {
    let digest = Sha256::digest(question);
    let words = 10 + usize::from(digest[0]) % 40;
    let said = digest.iter().cycle().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]);
    said.take(words).collect::<Vec<_>>().join(" ")
}

/// OpenAI's words for a count.
pub(crate) fn usage_words(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input(),
        "completion_tokens": usage.output,
        "total_tokens": usage.input() + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// Four characters are a token; half of a long prompt comes from the cache.
fn count(request: &Value, spoken: &str) -> Usage {
    let tokens = |chars: usize| i64::try_from(chars.div_ceil(4)).unwrap_or(i64::MAX);
    let turns = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let prompt = tokens(
        turns.iter().filter_map(|turn| turn["content"].as_str()).map(|text| text.chars().count()).sum(),
    );
    let cache_read = if prompt >= CACHEABLE { prompt / 2 / CACHE_PIECE * CACHE_PIECE } else { 0 };
    Usage {
        uncached_input: prompt - cache_read,
        cache_read,
        cache_write: 0,
        cache_write_1h: 0,
        output: tokens(spoken.chars().count()),
        reasoning: 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::wrong;

    fn request(schema: Value) -> Value {
        json!({
            "model": "m",
            "messages": [{ "role": "user", "content": "hi" }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "n", "strict": true, "schema": schema } },
        })
    }

    #[test]
    fn is_as_strict_as_the_real_one() {
        let schema = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
        assert_eq!(wrong(&request(schema(json!({ "a": { "type": "string" } }), json!(["a"])))), None);
        let open = json!({ "type": "object", "properties": { "a": {} }, "required": ["a"] });
        for bad in [
            schema(json!({ "a": { "type": "string" } }), json!([])),
            schema(json!({ "a": { "type": "string", "maxLength": 3 } }), json!(["a"])),
            schema(json!({ "a": { "type": "array", "items": open } }), json!(["a"])),
            open,
        ] {
            assert!(wrong(&request(bad.clone())).is_some(), "{bad}");
        }
    }
}
