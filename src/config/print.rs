//! The settings that count, for people, without secrets.

use std::fmt::Write as _;

use confique::meta::{Expr, Field, FieldKind, LeafKind};
use serde::Serialize;
use toml::{Table, Value};

use crate::config::{
    load::{Loaded, Origin},
    secret::SecretRef,
    shape::{Inside, Shape, inside, is_secret, join},
};

/// One setting as it counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Its path.
    pub path: String,
    /// Its value as TOML; a pasted secret is `(hidden)`. `None`: not set, and no default.
    pub value: Option<String>,
    /// `default`, `file`, or the variable's name.
    pub origin: String,
}

/// Every setting with where it came from.
#[must_use]
pub fn effective(loaded: &Loaded) -> Vec<Effective> {
    let mut found = Vec::new();
    walk(&Shape::settings(), "", "", Some(&loaded.given), loaded, &mut found);
    found
}

fn walk(
    shape: &Shape,
    path: &str,
    pattern: &str,
    table: Option<&Table>,
    loaded: &Loaded,
    out: &mut Vec<Effective>,
) {
    for field in &shape.fields {
        let (path, pattern) = (join(path, field.name), join(pattern, field.name));
        let value = table.and_then(|table| table.get(field.name));
        match (shape.section(field), inside(&pattern), value) {
            (Some(section), _, value) => {
                walk(&section, &path, &pattern, value.and_then(Value::as_table), loaded, out);
            }
            (None, Some(Inside::Map(shape)), Some(Value::Table(entries))) => {
                for (name, entry) in entries {
                    let pattern = join(&pattern, "*");
                    walk(&shape, &join(&path, name), &pattern, entry.as_table(), loaded, out);
                }
            }
            (None, Some(Inside::List(shape)), Some(Value::Array(items))) => {
                for (index, item) in items.iter().enumerate() {
                    let pattern = join(&pattern, "*");
                    walk(&shape, &format!("{path}[{index}]"), &pattern, item.as_table(), loaded, out);
                }
            }
            (None, Some(_), _) => {}
            (None, None, value) => out.push(leaf(field, path, &pattern, value, loaded)),
        }
    }
}

fn leaf(field: &Field, path: String, pattern: &str, value: Option<&Value>, loaded: &Loaded) -> Effective {
    let origin = match loaded.origins.get(&path).filter(|_| value.is_some()) {
        Some(Origin::Environment(name)) => name.clone(),
        Some(Origin::File) => "file".to_owned(),
        None => "default".to_owned(),
    };
    let value = match value {
        Some(Value::String(text)) if is_secret(pattern) => Some(quoted(SecretRef(text.clone()).shown())),
        Some(value) => Some(as_toml(value)),
        None => default_of(field),
    };
    Effective { path, value, origin }
}

/// A setting's default as TOML.
pub(super) fn default_of(field: &Field) -> Option<String> {
    let FieldKind::Leaf { kind: LeafKind::Required { default: Some(default) }, .. } = field.kind else {
        return None;
    };
    Some(match default {
        Expr::Map([]) => "{}".to_owned(),
        other => Value::try_from(other).map_or_else(|_| String::new(), |value| as_toml(&value)),
    })
}

fn as_toml(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(&without_password(text)),
        Value::Array(items) => format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let mut text = String::from("{");
            for (index, (key, value)) in table.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma} {} = {}", quoted(key), as_toml(value));
            }
            text + " }"
        }
        Value::Integer(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Datetime(at) => at.to_string(),
    }
}

/// JSON's quoting is TOML's for the characters that occur here.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A URL with a password where none belongs must not be printed with it.
fn without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            let hidden = url.set_password(Some("hidden")).is_ok();
            if hidden { url.to_string() } else { "(hidden)".to_owned() }
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::from_toml;

    #[test]
    fn values_have_their_origin_and_secrets_stay_hidden() {
        let text = r#"
            queue.endpoint = "http://user:hunter2@127.0.0.1:9324"
            store.url = "postgres://u:hunter3@db/x"
            [[seal.keys]]
            id = "k"
            secret = "whsec_literal"
            sources = ["*"]
            [llm.providers.o]
            kind = "openai"
            api_key = "env:OPENAI_API_KEY"
        "#;
        let variables = [("LONGSHORE_WORKER_CONCURRENCY".to_owned(), "3".to_owned())];
        let found = effective(&from_toml(text, &variables).unwrap());
        let value = |path: &str| {
            let setting = found.iter().find(|setting| setting.path == path).unwrap();
            (setting.value.as_deref().unwrap_or("-"), setting.origin.as_str())
        };
        assert_eq!(value("worker.concurrency"), ("3", "LONGSHORE_WORKER_CONCURRENCY"));
        assert_eq!(value("queue.wait"), ("\"20s\"", "default"));
        assert_eq!(value("queue.region"), ("-", "default"));
        assert_eq!(value("store.url"), ("\"(hidden)\"", "file"));
        assert_eq!(value("seal.keys[0].secret"), ("\"(hidden)\"", "file"));
        assert_eq!(value("seal.keys[0].sources"), ("[\"*\"]", "file"));
        assert_eq!(value("llm.providers.o.api_key"), ("\"env:OPENAI_API_KEY\"", "file"));
        let all = serde_json::to_string(&found).unwrap();
        for secret in ["hunter2", "hunter3", "whsec_literal"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}
