//! Reads an answer of Bedrock's: its text, why it ended, what it used.

use aws_sdk_bedrockruntime::{
    operation::{RequestId as _, converse::ConverseOutput},
    types::{CacheTtl, ContentBlock, StopReason, TokenUsage},
};

use crate::{
    domain::usage::{Usage, UsageSource},
    llm::{
        contract::{Completion, Finish, Request},
        vendors::{bedrock_tool, estimate::estimated},
    },
};

/// Where the answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In what is said.
    Text,
    /// In the input of the tool that had to be called.
    Tool,
}

/// The completion in a success answer.
pub(crate) fn read(answer: &ConverseOutput, place: Place, request: &Request) -> Completion {
    let message = answer.output().and_then(|output| output.as_message().ok());
    let blocks = message.map(|message| message.content()).unwrap_or_default();
    let text: String = match place {
        Place::Text => blocks.iter().filter_map(words).collect(),
        Place::Tool => blocks.iter().find_map(bedrock_tool::input).unwrap_or_default(),
    };
    let (usage, usage_source) = match answer.usage() {
        Some(usage) => (counted(usage), UsageSource::Provider),
        None => (estimated(request, &text), UsageSource::Estimated),
    };
    Completion {
        text,
        finish: finish(answer.stop_reason(), place),
        // It never says which.
        served_model: None,
        served_tier: answer.service_tier().map(|tier| tier.r#type().as_str().to_owned()),
        usage,
        usage_source,
        request_id: answer.request_id().map(str::to_owned),
    }
}

fn words(block: &ContentBlock) -> Option<&str> {
    block.as_text().ok().map(String::as_str)
}

/// A call of a tool is an answer only where one was asked for.
pub(crate) fn finish(reason: &StopReason, place: Place) -> Finish {
    match reason.as_str() {
        "tool_use" if place == Place::Tool => Finish::Complete,
        "end_turn" | "stop_sequence" => Finish::Complete,
        "max_tokens" => Finish::Truncated,
        "model_context_window_exceeded" => Finish::ContextFull,
        "content_filtered" | "guardrail_intervened" => Finish::Blocked,
        broken @ ("malformed_model_output" | "malformed_tool_use") => Finish::Misbehaved(broken.to_owned()),
        other => Finish::Unknown(other.to_owned()),
    }
}

/// Normal form: the input count holds neither what was read from a cache nor what was written to one; reasoning is
/// part of the output and not told apart. A detail above its total is cut to it and counted.
pub(crate) fn counted(usage: &TokenUsage) -> Usage {
    let count = |tokens: i32| i64::from(tokens.max(0));
    let of = |ttl: &CacheTtl| -> i64 {
        usage
            .cache_details()
            .iter()
            .filter(|detail| detail.ttl() == ttl)
            .map(|detail| count(detail.input_tokens()))
            .sum()
    };
    let (told_5m, told_1h) = (of(&CacheTtl::FiveMinutes), of(&CacheTtl::OneHour));
    let told = told_5m.saturating_add(told_1h);
    let written = usage.cache_write_input_tokens().map_or(told, count);
    let cache_write_1h = told_1h.min(written);
    if told > written {
        metrics::counter!("longshore_llm_usage_inconsistent_total", "provider" => "bedrock").increment(1);
    }
    Usage {
        uncached_input: count(usage.input_tokens()),
        cache_read: usage.cache_read_input_tokens().map_or(0, count),
        cache_write: written.saturating_sub(cache_write_1h),
        cache_write_1h,
        output: count(usage.output_tokens()),
        reasoning: 0,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockruntime::types::{CacheDetail, CacheTtl, StopReason, TokenUsage};

    use super::{Place, counted, finish};
    use crate::{domain::usage::Usage, llm::contract::Finish};

    #[test]
    fn the_input_count_excludes_what_a_cache_held() {
        let detail = |ttl, tokens| CacheDetail::builder().ttl(ttl).input_tokens(tokens).build().unwrap();
        let usage = TokenUsage::builder().input_tokens(30).output_tokens(90).total_tokens(6620);
        let plain = counted(&usage.clone().build().unwrap());
        assert_eq!(plain, Usage { uncached_input: 30, output: 90, ..Usage::default() });
        let cached = usage
            .cache_read_input_tokens(6000)
            .cache_write_input_tokens(500)
            .cache_details(detail(CacheTtl::FiveMinutes, 200))
            .cache_details(detail(CacheTtl::OneHour, 300));
        let normal = Usage {
            uncached_input: 30,
            cache_read: 6000,
            cache_write: 200,
            cache_write_1h: 300,
            output: 90,
            reasoning: 0,
        };
        assert_eq!(counted(&cached.clone().build().unwrap()), normal);
        assert_eq!(normal.input() + normal.output, 6620, "as its own total says");
        let beyond = counted(&cached.cache_details(detail(CacheTtl::OneHour, 900)).build().unwrap());
        assert_eq!((beyond.cache_write, beyond.cache_write_1h), (0, 500));
    }

    #[test]
    fn only_an_ended_turn_is_success() {
        let of = |reason: &str| finish(&StopReason::from(reason), Place::Text);
        assert_eq!((of("end_turn"), of("stop_sequence")), (Finish::Complete, Finish::Complete));
        assert_eq!(of("max_tokens"), Finish::Truncated);
        assert_eq!(of("model_context_window_exceeded"), Finish::ContextFull);
        assert_eq!((of("content_filtered"), of("guardrail_intervened")), (Finish::Blocked, Finish::Blocked));
        assert!(matches!(of("malformed_model_output"), Finish::Misbehaved(_)));
        assert!(matches!(of("malformed_tool_use"), Finish::Misbehaved(_)));
        assert_eq!(finish(&StopReason::ToolUse, Place::Tool), Finish::Complete);
        for odd in ["tool_use", "brand_new", ""] {
            assert_eq!(of(odd), Finish::Unknown(odd.to_owned()));
        }
    }
}
