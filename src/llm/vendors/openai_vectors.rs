//! Vectors of texts: `/embeddings` of OpenAI and its like.

use serde_json::{Value, json};

use crate::{
    config::ProviderSettings,
    domain::usage::{Usage, UsageSource},
    http::Http,
    llm::{
        contract::{CallError, EmbedRequest, Embedded},
        vendors::{
            estimate,
            exchange::Reply,
            openai_answer::word,
            openai_endpoint::{Ask, Endpoint, success},
            openai_events::unasked,
            openai_usage::counted_input,
        },
    },
};

/// One endpoint with its key.
#[derive(Debug)]
pub(crate) struct OpenAiVectors {
    endpoint: Endpoint,
}

impl OpenAiVectors {
    /// A key may be absent: local servers need none.
    ///
    /// # Errors
    /// When the base is no http(s) URL.
    pub(crate) fn new(settings: &ProviderSettings, http: Http) -> Result<Self, String> {
        Ok(Self { endpoint: Endpoint::new(settings, http, "/embeddings")? })
    }

    /// One call.
    ///
    /// # Errors
    /// As `complete`; an answer that does not hold one vector for each text, all of one length, is
    /// [`CallError::Unknown`]: it may be billed.
    pub(crate) async fn embed(&self, request: &EmbedRequest) -> Result<Embedded, CallError> {
        let body = json!({ "model": request.model, "input": request.texts, "encoding_format": "float" });
        let ask = Ask {
            body: &body,
            correlation_id: &request.correlation_id,
            timeout: request.timeout,
            idle: None,
        };
        let Reply::Whole(answer, json) = self.endpoint.send(&ask).await? else { return Err(unasked()) };
        let json = success(&answer, json)?;
        let vectors = vectors(&json["data"], request.texts.len()).map_err(CallError::Unknown)?;
        let (usage, usage_source) = match counted_input(&json["usage"]) {
            Some(usage) => (usage, UsageSource::Provider),
            None => (estimated(&request.texts), UsageSource::Estimated),
        };
        Ok(Embedded {
            vectors,
            served_model: word(&json["model"]),
            usage,
            usage_source,
            request_id: answer.header("x-request-id").map(str::to_owned),
        })
    }
}

fn estimated(texts: &[String]) -> Usage {
    let uncached_input = texts.iter().map(|text| estimate::tokens(text.chars().count())).sum();
    Usage { uncached_input, ..Usage::default() }
}

/// In the order of the texts, which is not always that of the answer.
fn vectors(data: &Value, wanted: usize) -> Result<Vec<Vec<f32>>, String> {
    let mut found: Vec<Option<Vec<f32>>> = vec![None; wanted];
    for (place, item) in data.as_array().into_iter().flatten().enumerate() {
        let index = item["index"].as_u64().map_or(Some(place), |index| usize::try_from(index).ok());
        let slot = index.and_then(|index| found.get_mut(index));
        let slot = slot
            .filter(|slot| slot.is_none())
            .ok_or("a vector of a text that was not sent, or two of one")?;
        *slot = Some(vector(&item["embedding"])?);
    }
    let found: Vec<Vec<f32>> = found.into_iter().flatten().collect();
    let length = found.first().map_or(0, Vec::len);
    match found.iter().all(|vector| vector.len() == length) {
        _ if found.len() != wanted => Err(format!("{} vectors for {wanted} texts", found.len())),
        false => Err("vectors of different lengths".to_owned()),
        true => Ok(found),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "vectors are made of single floats; JSON has only doubles"
)]
fn vector(value: &Value) -> Result<Vec<f32>, String> {
    let number =
        |value: &Value| value.as_f64().map(|number| number as f32).filter(|number| number.is_finite());
    let vector: Option<Vec<f32>> = value.as_array().and_then(|numbers| numbers.iter().map(number).collect());
    vector.filter(|vector| !vector.is_empty()).ok_or_else(|| "a vector that is none".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::vectors;

    #[test]
    fn follows_the_index() {
        let data = json!([
            { "index": 1, "embedding": [0.5, 1] },
            { "index": 0, "embedding": [-0.25, 1e-3] },
        ]);
        assert_eq!(vectors(&data, 2), Ok(vec![vec![-0.25, 0.001], vec![0.5, 1.0]]));
        let bare = json!([{ "embedding": [1.0] }, { "index": null, "embedding": [2.0] }]);
        assert_eq!(vectors(&bare, 2), Ok(vec![vec![1.0], vec![2.0]]));
    }

    #[test]
    fn takes_nothing_that_is_not_whole() {
        for data in [
            json!(null),
            json!([]),
            json!([{ "index": 0, "embedding": [1.0] }]),
            json!([{ "index": 0, "embedding": [1.0] }, { "index": 0, "embedding": [1.0] }]),
            json!([{ "index": 0, "embedding": [1.0] }, { "index": 2, "embedding": [1.0] }]),
            json!([{ "index": 0, "embedding": [1.0] }, { "index": 1, "embedding": [1.0, 2.0] }]),
            json!([{ "index": 0, "embedding": [] }, { "index": 1, "embedding": [] }]),
            json!([{ "index": 0, "embedding": [1e300] }, { "index": 1, "embedding": [1.0] }]),
            json!([{ "index": 0, "embedding": "AAAA" }, { "index": 1, "embedding": [1.0] }]),
        ] {
            assert!(vectors(&data, 2).is_err(), "{data}");
        }
    }
}
