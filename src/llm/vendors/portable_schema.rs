//! The part of a JSON schema that every provider takes. Strict modes refuse limits on lengths, numbers and
//! patterns; those go into the description, where a model can read them, and are checked here afterwards.

use serde_json::{Map, Value};

/// Words that say what is allowed and that strict modes do not take.
const LIMITS: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "pattern",
    "uniqueItems",
];
/// Words about the schema itself.
const NOTES: &[&str] = &["$comment", "$id", "$schema", "default", "examples", "title"];

/// Without limits and notes; the limits are told in the description.
#[must_use]
pub(crate) fn portable(schema: &Value) -> Value {
    let Some(words) = schema.as_object() else { return schema.clone() };
    let mut kept = Map::new();
    let mut limits = Vec::new();
    for (word, value) in words {
        match word.as_str() {
            _ if LIMITS.contains(&word.as_str()) => limits.push(format!("{word} {value}")),
            _ if NOTES.contains(&word.as_str()) => {}
            // Below these stand schemas by names, which may look like words.
            "properties" | "$defs" => {
                let named = value.as_object().into_iter().flatten();
                let inner = named.map(|(name, inner)| (name.clone(), portable(inner))).collect();
                kept.insert(word.clone(), Value::Object(inner));
            }
            "items" | "additionalProperties" => {
                kept.insert(word.clone(), portable(value));
            }
            "anyOf" | "oneOf" | "allOf" => {
                let choices = value.as_array().into_iter().flatten().map(portable).collect();
                kept.insert(word.clone(), Value::Array(choices));
            }
            _ => {
                kept.insert(word.clone(), value.clone());
            }
        }
    }
    if !limits.is_empty() {
        let own = words.get("description").and_then(Value::as_str);
        let told = format!("({})", limits.join(", "));
        let text = own.map_or(told.clone(), |own| format!("{own} {told}"));
        kept.insert("description".to_owned(), Value::String(text));
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::portable;

    #[test]
    fn limits_become_words_and_names_stay_names() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "required": ["format", "tags", "note"],
            "properties": {
                "format": { "type": "string", "maxLength": 20, "description": "Of the file." },
                "tags": { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 2 } },
                "note": { "anyOf": [{ "type": "null" }, { "type": "number", "minimum": 0 }] }
            }
        });
        let expected = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["format", "tags", "note"],
            "properties": {
                "format": { "type": "string", "description": "Of the file. (maxLength 20)" },
                "tags": {
                    "type": "array", "description": "(minItems 1)",
                    "items": { "type": "string", "description": "(minLength 2)" }
                },
                "note": { "anyOf": [{ "type": "null" }, { "type": "number", "description": "(minimum 0)" }] }
            }
        });
        assert_eq!(portable(&schema), expected);
        assert_eq!(portable(&expected), expected);
    }
}
