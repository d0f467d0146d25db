//! The job types that this release knows, each with its schema.

use std::sync::LazyLock;

use jsonschema::{Validator, error::ValidationErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{
        event::{ChatUsage, Drill, Fact},
        job::{ChatComplete, ChatRole, EmailDraft, EmbeddingStore},
        money::Money,
        reason::Reason,
        timestamp::Timestamp,
        usage::Usage,
    },
    sources::rejection::{Fault, mismatch},
};

/// A schema that senders can hold their messages against.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The job type, or `cloudevent.v1` for what surrounds every job.
    pub name: &'static str,
    /// JSON Schema 2020-12; of a job type: of its `data`.
    pub text: &'static str,
}

/// What surrounds every job.
pub const CLOUD_EVENT: Schema =
    Schema { name: "cloudevent.v1", text: include_str!("../../../schemas/cloudevent.v1.json") };
/// What one streamed chat used.
pub const CHAT_USAGE: Schema = Schema {
    name: "longshore.chat.usage.v1",
    text: include_str!("../../../schemas/longshore.chat.usage.v1.json"),
};
/// A rehearsal.
pub const DRILL: Schema =
    Schema { name: "longshore.drill.v1", text: include_str!("../../../schemas/longshore.drill.v1.json") };
/// An e-mail to be drafted.
pub const EMAIL_DRAFT: Schema = Schema {
    name: "longshore.email.draft.v1",
    text: include_str!("../../../schemas/longshore.email.draft.v1.json"),
};
/// A chat to be answered.
pub const CHAT_COMPLETE: Schema = Schema {
    name: "longshore.chat.complete.v1",
    text: include_str!("../../../schemas/longshore.chat.complete.v1.json"),
};
/// A text to be stored by its meaning.
pub const EMBEDDING_STORE: Schema = Schema {
    name: "longshore.embedding.store.v1",
    text: include_str!("../../../schemas/longshore.embedding.store.v1.json"),
};
/// All of them, for `longshore schema` and the documentation.
pub const SCHEMAS: &[Schema] = &[CLOUD_EVENT, CHAT_COMPLETE, CHAT_USAGE, DRILL, EMAIL_DRAFT, EMBEDDING_STORE];

/// Compiled once. `None` cannot happen with the shipped files, as a test shows; it would refuse every message.
type Compiled = LazyLock<Option<Validator>>;

static CLOUD_EVENT_CHECK: Compiled = LazyLock::new(|| compile(CLOUD_EVENT));
static CHAT_USAGE_CHECK: Compiled = LazyLock::new(|| compile(CHAT_USAGE));
static DRILL_CHECK: Compiled = LazyLock::new(|| compile(DRILL));
static EMAIL_DRAFT_CHECK: Compiled = LazyLock::new(|| compile(EMAIL_DRAFT));
static CHAT_COMPLETE_CHECK: Compiled = LazyLock::new(|| compile(CHAT_COMPLETE));
static EMBEDDING_STORE_CHECK: Compiled = LazyLock::new(|| compile(EMBEDDING_STORE));

fn compile(schema: Schema) -> Option<Validator> {
    jsonschema::validator_for(&serde_json::from_str(schema.text).ok()?).ok()
}

/// Holds a whole job against the CloudEvents schema.
pub(crate) fn check_cloud_event(body: &Value) -> Result<(), Fault> {
    check(&CLOUD_EVENT_CHECK, "", body)
}

/// What a job of this type says.
///
/// `unknown_version` for a known name in another version, `unknown_type` for other names and for drills where they
/// are not allowed, `schema_mismatch` naming the place where the data breaks the type's schema.
pub(crate) fn fact(job_type: &str, data: &Value, drills: bool) -> Result<Fact, Fault> {
    let (name, version) = job_type.rsplit_once(".v").unwrap_or((job_type, ""));
    match (name, version) {
        ("longshore.chat.usage", "1") => chat_usage(data),
        ("longshore.email.draft", "1") => email_draft(data),
        ("longshore.chat.complete", "1") => chat_complete(data),
        ("longshore.embedding.store", "1") => embedding_store(data),
        ("longshore.drill", "1") if drills => drill(data),
        ("longshore.drill", _) if !drills => {
            Err((Reason::UnknownType, "drills are not allowed here".to_owned()))
        }
        (known, _)
            if SCHEMAS.iter().any(|schema| schema.name.strip_suffix(".v1") == Some(known))
                && known.starts_with("longshore.") =>
        {
            Err((Reason::UnknownVersion, format!("{name} is known in version 1 only")))
        }
        _ => Err((Reason::UnknownType, "a job type that this release does not know".to_owned())),
    }
}

#[derive(Deserialize)]
struct ChatUsageWire {
    chat_id: String,
    #[serde(default = "anonymous")]
    user: String,
    specialist: Option<String>,
    provider: String,
    model: String,
    usage: Usage,
    latency_ms: i64,
    #[serde(default)]
    aborted: bool,
    ended_at: String,
    reported_cost_usd: Option<String>,
}

fn anonymous() -> String {
    "anonymous".to_owned()
}

fn chat_usage(data: &Value) -> Result<Fact, Fault> {
    check(&CHAT_USAGE_CHECK, "/data", data)?;
    let wire: ChatUsageWire = shaped(data)?;
    let ended_at = Timestamp::parse_rfc3339(&wire.ended_at)
        .ok_or_else(|| mismatch("/data/ended_at", "not an RFC 3339 time"))?;
    if wire.usage.reasoning > wire.usage.output {
        return Err(mismatch("/data/usage/reasoning", "is part of output and cannot exceed it"));
    }
    let amount = |text: String| {
        Money::parse_usd(&text).ok_or_else(|| mismatch("/data/reported_cost_usd", "not a dollar amount"))
    };
    Ok(Fact::ChatUsage(ChatUsage {
        chat_id: wire.chat_id,
        user: wire.user,
        specialist: wire.specialist,
        provider: wire.provider,
        model: wire.model,
        usage: wire.usage,
        latency_ms: wire.latency_ms,
        aborted: wire.aborted,
        ended_at,
        reported_cost: wire.reported_cost_usd.map(amount).transpose()?,
    }))
}

fn drill(data: &Value) -> Result<Fact, Fault> {
    check(&DRILL_CHECK, "/data", data)?;
    shaped::<Drill>(data).map(Fact::Drill)
}

fn email_draft(data: &Value) -> Result<Fact, Fault> {
    check(&EMAIL_DRAFT_CHECK, "/data", data)?;
    let draft: EmailDraft = shaped(data)?;
    let ids: Vec<&str> = draft.facts.iter().map(|fact| fact.id.as_str()).collect();
    match (1..ids.len()).find(|at| ids[..*at].contains(&ids[*at])) {
        Some(at) => Err(mismatch(&format!("/data/facts/{at}/id"), "is there twice")),
        None => Ok(Fact::EmailDraft(draft)),
    }
}

fn chat_complete(data: &Value) -> Result<Fact, Fault> {
    check(&CHAT_COMPLETE_CHECK, "/data", data)?;
    let chat: ChatComplete = shaped(data)?;
    let ends = [chat.messages.first(), chat.messages.last()];
    if ends.into_iter().flatten().any(|message| message.role != ChatRole::User) {
        return Err(mismatch("/data/messages", "the person must speak first and last"));
    }
    Ok(Fact::ChatComplete(chat))
}

fn embedding_store(data: &Value) -> Result<Fact, Fault> {
    check(&EMBEDDING_STORE_CHECK, "/data", data)?;
    shaped::<EmbeddingStore>(data).map(Fact::EmbeddingStore)
}

/// The schema was met, so this fails only where schema and type disagree.
fn shaped<T: serde::de::DeserializeOwned>(data: &Value) -> Result<T, Fault> {
    T::deserialize(data).map_err(|_| mismatch("/data", "a value of another type than expected"))
}

/// The first place where a value breaks the schema, without the value.
fn check(schema: &Compiled, prefix: &str, value: &Value) -> Result<(), Fault> {
    let Some(validator) = schema.as_ref() else {
        return Err(mismatch(prefix, "the schema of this release is broken"));
    };
    match validator.iter_errors(value).next() {
        None => Ok(()),
        Some(error) => {
            let rule = match error.kind() {
                ValidationErrorKind::Required { property } => format!("lacks {property}"),
                kind => format!("breaks `{}`", kind.keyword()),
            };
            Err(mismatch(&format!("{prefix}{}", error.instance_path()), &rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shipped_schema_compiles_and_is_named_by_its_id() {
        for schema in SCHEMAS {
            assert!(compile(*schema).is_some(), "{}", schema.name);
            let json: Value = serde_json::from_str(schema.text).unwrap();
            assert_eq!(json["$id"], format!("urn:longshore:schema:{}", schema.name));
        }
    }

    #[test]
    fn a_mismatch_names_the_place_and_no_value() {
        let (reason, detail) = chat_usage(&json!({
            "chat_id": "c1", "provider": "openai", "model": "m", "latency_ms": 1,
            "ended_at": "2026-11-21T10:00:00Z", "usage": {"uncached_input": 1, "output": "ann@example.com"}
        }))
        .unwrap_err();
        assert_eq!(reason, Reason::SchemaMismatch);
        assert_eq!(detail, "/data/usage/output: breaks `type`");
        let (_, detail) = chat_usage(&json!({"chat_id": "c1"})).unwrap_err();
        assert!(detail.starts_with("/data: lacks "), "{detail}");
    }

    #[test]
    fn what_no_schema_can_say_is_checked_too() {
        let fact_of = |id: &str| json!({ "id": id, "text": "t" });
        let draft = |facts: Value| {
            email_draft(
                &json!({ "purpose": "p", "sender": { "name": "s" }, "language": "en", "facts": facts }),
            )
        };
        assert!(draft(json!([fact_of("a"), fact_of("b")])).is_ok());
        assert_eq!(
            draft(json!([fact_of("a"), fact_of("a")])).unwrap_err().1,
            "/data/facts/1/id: is there twice"
        );
        let chat = |roles: &[&str]| {
            let messages: Vec<_> = roles.iter().map(|role| json!({ "role": role, "content": "c" })).collect();
            chat_complete(&json!({ "chat_id": "c1", "messages": messages })).map_err(|(reason, _)| reason)
        };
        assert!(chat(&["user"]).is_ok() && chat(&["user", "assistant", "user"]).is_ok());
        for bad in
            [&["assistant"][..], &["user", "assistant"], &["assistant", "user"], &["system", "user"], &[]]
        {
            assert_eq!(chat(bad), Err(Reason::SchemaMismatch), "{bad:?}");
        }
    }

    #[test]
    fn versions_and_types_are_told_apart() {
        let reason = |name: &str, drills| fact(name, &json!({}), drills).unwrap_err().0;
        assert_eq!(reason("longshore.chat.usage.v2", false), Reason::UnknownVersion);
        assert_eq!(reason("longshore.chat.usage", false), Reason::UnknownVersion);
        assert_eq!(reason("longshore.chat.gossip.v1", false), Reason::UnknownType);
        assert_eq!(reason("longshore.drill.v1", false), Reason::UnknownType);
        assert_eq!(reason("longshore.drill.v2", true), Reason::UnknownVersion);
        assert_eq!(reason("longshore.drill.v1", true), Reason::SchemaMismatch);
        assert_eq!(reason("cloudevent.v1", false), Reason::UnknownType);
        for name in ["longshore.email.draft", "longshore.chat.complete", "longshore.embedding.store"] {
            assert_eq!(reason(&format!("{name}.v1"), false), Reason::SchemaMismatch, "{name}");
            assert_eq!(reason(&format!("{name}.v2"), false), Reason::UnknownVersion, "{name}");
        }
        let rehearsal = fact("longshore.drill.v1", &json!({"do": "fail_times", "times": 2}), true);
        assert_eq!(rehearsal.unwrap(), Fact::Drill(Drill::FailTimes { times: 2 }));
    }
}
