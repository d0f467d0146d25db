//! A plain request, for tests.

use std::time::Duration;

use crate::{
    domain::ids::CorrelationId,
    llm::contract::{AnswerShape, Request, Turn},
};

/// Asks `m` to be brief.
pub(crate) fn request() -> Request {
    Request {
        model: "m".to_owned(),
        system: "be brief".to_owned(),
        turns: vec![Turn::user("hi")],
        answer: AnswerShape::Text,
        max_output: 100,
        temperature: None,
        reasoning_effort: None,
        service_tier: None,
        stream: None,
        correlation_id: CorrelationId::from("trace-1"),
        timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
    }
}
