//! Is a schema one that every provider enforces? Held when prompts are loaded, not when a provider refuses it.

use serde_json::Value;

/// Words with a meaning that all strict modes share, and limits, which become a description on the wire and are
/// checked here afterwards.
const WORDS: &[&str] = &[
    "$id",
    "$schema",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
];
const TYPES: &[&str] = &["array", "boolean", "integer", "null", "number", "object", "string"];

/// # Errors
/// What is wrong, with its place as a JSON pointer.
pub(crate) fn check(schema: &Value) -> Result<(), String> {
    if schema["type"] != "object" {
        return Err("the root must be of type `object`".to_owned());
    }
    part(schema, "")?;
    jsonschema::validator_for(schema).map_err(|error| format!("is no JSON schema: {error}"))?;
    Ok(())
}

fn part(schema: &Value, place: &str) -> Result<(), String> {
    let words = schema.as_object().ok_or_else(|| format!("`{place}` is not an object"))?;
    if let Some(word) = words.keys().find(|word| !WORDS.contains(&word.as_str())) {
        return Err(format!("`{place}/{word}` is not enforced by every provider"));
    }
    types(schema, place)?;
    if schema["type"] == "object" {
        object(schema, place)?;
    } else if words.contains_key("properties") {
        return Err(format!("`{place}` has properties and is not of type `object`"));
    }
    if let Some(items) = words.get("items") {
        part(items, &format!("{place}/items"))?;
    } else if schema["type"] == "array" {
        return Err(format!("`{place}` is an array without `items`"));
    }
    for (at, choice) in schema["anyOf"].as_array().into_iter().flatten().enumerate() {
        part(choice, &format!("{place}/anyOf/{at}"))?;
    }
    Ok(())
}

fn types(schema: &Value, place: &str) -> Result<(), String> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    match &schema["type"] {
        Value::Null if schema["anyOf"].is_array() => Ok(()),
        Value::String(_) if known(&schema["type"]) => Ok(()),
        // A field that may be absent is one that may be null.
        Value::Array(pair) if pair.len() == 2 && pair.iter().all(known) && pair.contains(&"null".into()) => {
            Ok(())
        }
        _ => Err(format!("`{place}` needs a `type`: one, or one and `null`")),
    }
}

fn object(schema: &Value, place: &str) -> Result<(), String> {
    if schema["additionalProperties"] != false {
        return Err(format!("`{place}` must say `additionalProperties: false`"));
    }
    let named = |name: &str| schema["required"].as_array().is_some_and(|list| list.contains(&name.into()));
    let properties =
        schema["properties"].as_object().ok_or_else(|| format!("`{place}` has no properties"))?;
    for (name, inner) in properties {
        if !named(name) {
            return Err(format!("`{place}` must require `{name}`"));
        }
        part(inner, &format!("{place}/properties/{name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn with(field: &Value) -> Value {
        json!({ "type": "object", "additionalProperties": false, "required": ["a"], "properties": { "a": field } })
    }

    #[test]
    fn the_common_subset_passes() {
        let inner = with(&json!({ "type": "integer", "minimum": 1 }));
        for field in [
            json!({ "type": "string", "enum": ["x"], "maxLength": 3, "description": "d" }),
            json!({ "type": ["string", "null"] }),
            json!({ "type": "array", "items": inner, "maxItems": 3 }),
            json!({ "anyOf": [{ "type": "null" }, inner] }),
        ] {
            assert_eq!(check(&with(&field)), Ok(()), "{field}");
        }
    }

    #[test]
    fn what_some_provider_refuses_is_named() {
        let loose = json!({ "type": "object", "properties": {} });
        let optional = json!({ "type": "object", "additionalProperties": false, "required": [], "properties": { "b": { "type": "string" } } });
        for (field, named) in [
            (json!({ "$ref": "#" }), "/properties/a/$ref"),
            (json!({ "oneOf": [] }), "oneOf"),
            (json!({}), "needs a `type`"),
            (json!({ "type": ["string", "number"] }), "needs a `type`"),
            (json!({ "type": "array" }), "items"),
            (loose.clone(), "additionalProperties"),
            (optional, "require `b`"),
            (json!({ "type": "array", "items": loose }), "/properties/a/items"),
            (json!({ "type": "string", "minLength": -1 }), "no JSON schema"),
        ] {
            let why = check(&with(&field)).unwrap_err();
            assert!(why.contains(named), "{why} does not name {named}");
        }
        assert!(check(&json!({ "type": "array", "items": { "type": "string" } })).is_err());
    }
}
