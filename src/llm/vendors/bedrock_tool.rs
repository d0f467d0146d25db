//! For models that take no schema: a tool that must be called, whose input is the answer.

use aws_sdk_bedrockruntime::{
    error::BuildError,
    types::{
        ContentBlock, SpecificToolChoice, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
        ToolSpecification,
    },
};
use aws_smithy_types::{Document, Number};
use serde_json::Value;

/// The one tool, and the order to call it.
///
/// # Errors
/// Never, as long as this file sets what the SDK wants.
pub(crate) fn forced(name: &str, schema: &Value) -> Result<ToolConfiguration, BuildError> {
    let tool = ToolSpecification::builder()
        .name(name)
        .description("Takes the answer.")
        .input_schema(ToolInputSchema::Json(document(schema)))
        .build()?;
    let choice = ToolChoice::Tool(SpecificToolChoice::builder().name(name).build()?);
    ToolConfiguration::builder().tools(Tool::ToolSpec(tool)).tool_choice(choice).build()
}

/// What it was called with, as JSON.
pub(crate) fn input(block: &ContentBlock) -> Option<String> {
    Some(json(block.as_tool_use().ok()?.input()).to_string())
}

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(truth) => Document::Bool(*truth),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(positive), _) => Number::PosInt(positive),
            (None, Some(negative)) => Number::NegInt(negative),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(fields) => {
            Document::Object(fields.iter().map(|(name, value)| (name.clone(), document(value))).collect())
        }
    }
}

fn json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(truth) => Value::Bool(*truth),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
        Document::String(text) => Value::String(text.clone()),
        Document::Array(items) => Value::Array(items.iter().map(json).collect()),
        Document::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::document;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|fields| json!(fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_comes_back_as_it_went(value in any_json()) {
            prop_assert_eq!(super::json(&document(&value)), value);
        }
    }
}
