//! A queue's attributes: which there are, their ranges and defaults.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::queue::local::error::{ApiError, Code};

/// Attribute values by name, as they travel.
pub(super) type AttributeTexts = BTreeMap<String, String>;

/// Where dead letters go, and after how many receives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RedrivePolicy {
    pub(super) dead_letter_target_arn: String,
    #[serde(deserialize_with = "number_or_text")]
    pub(super) max_receive_count: i64,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.ok_or_else(|| serde::de::Error::custom("maxReceiveCount is not a number"))
}

/// What the attributes of a queue come to. Times in seconds, as the API counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueConfig {
    pub(super) visibility_s: i64,
    pub(super) delay_s: i64,
    pub(super) retention_s: i64,
    pub(super) max_size: i64,
    pub(super) wait_s: i64,
    pub(super) redrive: Option<RedrivePolicy>,
}

/// Numbers: name, range, default (SQS API reference, `SetQueueAttributes`).
const NUMBERS: [(&str, RangeInclusive<i64>, i64); 6] = [
    ("VisibilityTimeout", 0..=43_200, 30),
    ("DelaySeconds", 0..=900, 0),
    ("MessageRetentionPeriod", 60..=1_209_600, 345_600),
    ("MaximumMessageSize", 1_024..=1_048_576, 1_048_576),
    ("ReceiveMessageWaitTimeSeconds", 0..=20, 0),
    ("KmsDataKeyReusePeriodSeconds", 60..=86_400, 300),
];

/// Kept and shown, without effect here: nothing is encrypted and everybody may do everything.
const KEPT: [&str; 4] = ["Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "SqsManagedSseEnabled"];

/// Names that make a queue FIFO.
const FIFO: [&str; 4] =
    ["FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"];

/// Computed by the server, readable only.
pub(super) const COMPUTED: [&str; 6] = [
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
];

/// Lays `given` over `stored`, each value checked and in one spelling; an empty text removes.
pub(super) fn merge(stored: &AttributeTexts, given: &AttributeTexts) -> Result<AttributeTexts, ApiError> {
    let mut merged = stored.clone();
    for (name, text) in given {
        match checked(name, text)? {
            Some(text) => merged.insert(name.clone(), text),
            None => merged.remove(name),
        };
    }
    Ok(merged)
}

/// The value in its one spelling; nothing when it takes the attribute away.
fn checked(name: &str, text: &str) -> Result<Option<String>, ApiError> {
    if let Some((_, range, _)) = NUMBERS.iter().find(|(known, ..)| *known == name) {
        let number = text.parse::<i64>().ok().filter(|number| range.contains(number));
        return number.map(|number| Some(number.to_string())).ok_or_else(|| bad_value(name));
    }
    if name == "RedrivePolicy" && !text.is_empty() {
        let policy: RedrivePolicy = serde_json::from_str(text).map_err(|_| bad_value(name))?;
        if !(1..=1_000).contains(&policy.max_receive_count) {
            return Err(bad_value(name));
        }
        return serde_json::to_string(&policy).map(Some).map_err(|_| bad_value(name));
    }
    if name == "RedrivePolicy" || KEPT.contains(&name) {
        return Ok((!text.is_empty()).then(|| text.to_owned()));
    }
    if FIFO.contains(&name) {
        return if text == "false" { Ok(None) } else { Err(no_fifo()) };
    }
    Err(ApiError::new(Code::InvalidAttributeName, format!("Unknown Attribute {name}.")))
}

fn bad_value(name: &str) -> ApiError {
    ApiError::new(Code::InvalidAttributeValue, format!("Invalid value for the parameter {name}."))
}

/// The answer to everything FIFO.
pub(super) fn no_fifo() -> ApiError {
    ApiError::new(Code::UnsupportedOperation, "This server has no FIFO queues.")
}

impl QueueConfig {
    /// From attributes that `merge` let through.
    pub(super) fn of(texts: &AttributeTexts) -> Self {
        let number = |name: &str| {
            let set = texts.get(name).and_then(|text| text.parse().ok());
            set.or_else(|| NUMBERS.iter().find(|(known, ..)| *known == name).map(|(.., default)| *default))
                .unwrap_or_default()
        };
        Self {
            visibility_s: number("VisibilityTimeout"),
            delay_s: number("DelaySeconds"),
            retention_s: number("MessageRetentionPeriod"),
            max_size: number("MaximumMessageSize"),
            wait_s: number("ReceiveMessageWaitTimeSeconds"),
            redrive: texts.get("RedrivePolicy").and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

/// What `GetQueueAttributes` shows of the settings: defaults with the stored values over them.
pub(super) fn shown(stored: &AttributeTexts) -> AttributeTexts {
    let mut all = AttributeTexts::from([("SqsManagedSseEnabled".to_owned(), "false".to_owned())]);
    for (name, _, default) in NUMBERS.iter().filter(|(name, ..)| !name.starts_with("Kms")) {
        all.insert((*name).to_owned(), default.to_string());
    }
    all.extend(stored.clone());
    all
}

/// Whether `name` may be asked for.
pub(super) fn is_readable(name: &str) -> bool {
    name == "All"
        || name == "RedrivePolicy"
        || COMPUTED.contains(&name)
        || KEPT.contains(&name)
        || FIFO.contains(&name)
        || NUMBERS.iter().any(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> AttributeTexts {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for (name, text) in [("VisibilityTimeout", "43201"), ("DelaySeconds", "901"), ("DelaySeconds", "x")] {
            let error = merge(&AttributeTexts::new(), &texts(&[(name, text)])).unwrap_err();
            assert_eq!(error.code, Code::InvalidAttributeValue, "{name}={text}");
        }
    }

    #[test]
    fn a_policy_has_one_spelling_and_an_empty_one_removes_it() {
        let given = r#"{"maxReceiveCount":"5","deadLetterTargetArn":"arn:x"}"#;
        let stored = merge(&AttributeTexts::new(), &texts(&[("RedrivePolicy", given)])).unwrap();
        assert_eq!(stored["RedrivePolicy"], r#"{"deadLetterTargetArn":"arn:x","maxReceiveCount":5}"#);
        assert_eq!(QueueConfig::of(&stored).redrive.unwrap().max_receive_count, 5);
        assert!(merge(&stored, &texts(&[("RedrivePolicy", "")])).unwrap().is_empty());
    }

    #[test]
    fn fifo_is_refused_by_name() {
        let error = merge(&AttributeTexts::new(), &texts(&[("FifoQueue", "true")])).unwrap_err();
        assert_eq!(error.code, Code::UnsupportedOperation);
    }
}
