//! Reads a response, whole or as the last event of a stream brings it.

use serde_json::Value;

use crate::{
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::{CallError, Completion, Finish, Request},
        vendors::{
            estimate,
            openai_answer::word,
            openai_error,
            openai_usage::{self, counted},
        },
    },
};

/// What was said before the response came, in a stream.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) refusal: String,
    /// Characters that were generated and are no answer: reasoning, calls of tools.
    pub(crate) unseen: usize,
}

impl Said {
    /// Has anything been generated?
    pub(crate) fn anything(&self) -> bool {
        !self.text.is_empty() || !self.refusal.is_empty() || self.unseen > 0
    }

    /// What it used, as far as can be told from here.
    pub(crate) fn estimated(&self, request: &Request) -> Usage {
        let chars = self.text.chars().count() + self.refusal.chars().count() + self.unseen;
        let uncached_input = estimate::asked(request);
        Usage { uncached_input, output: estimate::tokens(chars), ..Usage::default() }
    }
}

/// The completion. What the response itself holds counts; some servers leave it out when it was streamed.
///
/// # Errors
/// When it failed before anything was generated: nothing is billed then.
pub(crate) fn read(response: &Value, request: &Request, mut said: Said) -> Result<Completion, CallError> {
    let whole = output(response);
    if whole.anything() {
        said = whole;
    }
    let told = counted(&response["usage"], &openai_usage::RESPONSES);
    if response["status"] == "failed" && told.is_none_or(|usage| usage.output == 0) && !said.anything() {
        return Err(openai_error::inside(response));
    }
    let (usage, usage_source) = match told {
        Some(usage) => (usage, UsageSource::Provider),
        None => (said.estimated(request), UsageSource::Estimated),
    };
    Ok(Completion {
        finish: finish(response, &said),
        text: said.text,
        served_model: word(&response["model"]),
        served_tier: word(&response["service_tier"]),
        usage,
        usage_source,
        request_id: word(&response["id"]),
    })
}

/// All that the messages say, in their order.
fn output(response: &Value) -> Said {
    let mut said = Said::default();
    for item in response["output"].as_array().into_iter().flatten() {
        for part in item["content"].as_array().into_iter().flatten() {
            match part["type"].as_str() {
                Some("output_text") => said.text.push_str(part["text"].as_str().unwrap_or_default()),
                Some("refusal") => said.refusal.push_str(part["refusal"].as_str().unwrap_or_default()),
                _ => {}
            }
        }
    }
    said
}

fn finish(response: &Value, said: &Said) -> Finish {
    let unknown = |word: &Value| Finish::Unknown(word.as_str().unwrap_or("none").to_owned());
    match response["status"].as_str() {
        Some("incomplete") => match response["incomplete_details"]["reason"].as_str() {
            Some("max_output_tokens") => Finish::Truncated,
            Some("content_filter") => Finish::Blocked,
            _ => unknown(&response["incomplete_details"]["reason"]),
        },
        Some("failed") => {
            let code = response["error"]["code"].as_str().unwrap_or("failed");
            Finish::Misbehaved(code.to_owned())
        }
        Some("completed") if !said.refusal.is_empty() => Finish::Refused(said.refusal.clone()),
        Some("completed") => match called(response) {
            Some(kind) => Finish::Unknown(kind.to_owned()),
            None if said.text.trim().is_empty() => Finish::Misbehaved("no text".to_owned()),
            None => Finish::Complete,
        },
        // Queued, in progress, cancelled: not finished.
        _ => unknown(&response["status"]),
    }
}

/// A call of a tool that nobody offered.
fn called(response: &Value) -> Option<&str> {
    let kinds = response["output"].as_array().into_iter().flatten().filter_map(|item| item["type"].as_str());
    kinds.into_iter().find(|kind| kind.ends_with("_call"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Said, read};
    use crate::{
        domain::usage::{Usage, UsageSource},
        llm::{
            contract::{CallError, Completion, Finish, Rejection},
            vendors::sample,
        },
    };

    fn read_whole(response: Value) -> Result<Completion, CallError> {
        read(&response, &sample::request(), Said::default())
    }

    fn finish(response: Value) -> Finish {
        read_whole(response).unwrap().finish
    }

    fn says(parts: Value) -> Value {
        json!([{ "type": "reasoning", "summary": [] }, { "type": "message", "role": "assistant", "content": parts }])
    }

    #[test]
    fn only_completed_with_a_text_is_success() {
        let text =
            || says(json!([{ "type": "output_text", "text": "a" }, { "type": "output_text", "text": "b" }]));
        let of = |status: &str| json!({ "object": "response", "status": status, "output": text() });
        let whole = read_whole(of("completed")).unwrap();
        assert_eq!((whole.finish, whole.text.as_str()), (Finish::Complete, "ab"));
        let refusal = says(json!([{ "type": "refusal", "refusal": "No." }]));
        assert_eq!(
            finish(json!({ "status": "completed", "output": refusal })),
            Finish::Refused("No.".into())
        );
        let call = json!([{ "type": "function_call", "name": "f", "arguments": "{}" }]);
        assert_eq!(
            finish(json!({ "status": "completed", "output": call })),
            Finish::Unknown("function_call".into())
        );
        assert_eq!(
            finish(json!({ "status": "completed", "output": [] })),
            Finish::Misbehaved("no text".into())
        );
        for status in ["queued", "in_progress", "cancelled", "done", ""] {
            assert_eq!(finish(of(status)), Finish::Unknown(status.into()));
        }
        assert_eq!(finish(json!({ "output": text() })), Finish::Unknown("none".into()));
    }

    #[test]
    fn what_is_incomplete_says_why() {
        let of = |reason: Value| {
            finish(
                json!({ "status": "incomplete", "incomplete_details": { "reason": reason }, "output": [] }),
            )
        };
        assert_eq!(of(json!("max_output_tokens")), Finish::Truncated);
        assert_eq!(of(json!("content_filter")), Finish::Blocked);
        assert_eq!(of(json!("moon")), Finish::Unknown("moon".into()));
        assert_eq!(of(json!(null)), Finish::Unknown("none".into()));
    }

    #[test]
    fn a_failure_is_a_rejection_until_something_was_made() {
        let failed = |code: &str, output: i64| {
            let usage = json!({ "input_tokens": 10, "output_tokens": output });
            let error = json!({ "code": code, "message": "m" });
            json!({ "object": "response", "status": "failed", "error": error, "output": [], "usage": usage })
        };
        for (code, class) in [
            ("server_error", Rejection::Transient),
            ("rate_limit_exceeded", Rejection::RateLimited),
            ("insufficient_quota", Rejection::OutOfMoney),
        ] {
            match read_whole(failed(code, 0)) {
                Err(CallError::Rejected { class: found, .. }) => assert_eq!(found, class, "{code}"),
                other => panic!("{other:?}"),
            }
        }
        let billed = read_whole(failed("server_error", 7)).unwrap();
        assert_eq!((billed.finish, billed.usage.output), (Finish::Misbehaved("server_error".into()), 7));
    }

    #[test]
    fn tells_model_tier_and_counts() {
        let whole = read_whole(json!({
            "id": "resp_1", "status": "completed", "model": "gpt-5-2025-08-07", "service_tier": "flex",
            "output": says(json!([{ "type": "output_text", "text": "a" }])),
            "usage": { "input_tokens": 100, "input_tokens_details": { "cached_tokens": 60 }, "output_tokens": 5 },
        }))
        .unwrap();
        let usage = Usage { uncached_input: 40, cache_read: 60, output: 5, ..Usage::default() };
        assert_eq!((whole.usage, whole.usage_source), (usage, UsageSource::Provider));
        assert_eq!(whole.served_model.as_deref(), Some("gpt-5-2025-08-07"));
        assert_eq!(
            (whole.served_tier.as_deref(), whole.request_id.as_deref()),
            (Some("flex"), Some("resp_1"))
        );
    }
}
