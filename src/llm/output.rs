//! From a model's text to a value that keeps its schema. Every answer is checked here, also those of
//! providers that promise to keep schemas: they do break them.

use serde_json::Value;

/// How many violations are told to the model.
const TOLD: usize = 5;

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// For the model: with the values at fault.
    pub problem: String,
    /// For operators: places and rules only, no values, because those may be personal data.
    pub place: String,
}

/// Reads and checks an answer.
///
/// # Errors
/// When it holds no JSON, or the JSON breaks the schema.
pub fn check(schema: &Value, text: &str) -> Result<Value, Unusable> {
    let value = parse(text).map_err(|error| Unusable {
        problem: format!("it is not valid JSON: {error}"),
        place: format!("not JSON: {error}"),
    })?;
    // A schema that is wrong itself is a defect of ours; it shows as an answer that is never right.
    let validator = jsonschema::validator_for(schema).map_err(|error| Unusable {
        problem: "the schema is wrong".to_owned(),
        place: format!("the schema is wrong: {}", error.masked()),
    })?;
    let (mut problems, mut places) = (Vec::new(), Vec::new());
    for error in validator.iter_errors(&value).take(TOLD) {
        let path = error.instance_path().to_string();
        problems.push(format!("at `{path}`: {error}"));
        places.push(format!("`{path}`: {}", error.masked()));
    }
    if problems.is_empty() {
        return Ok(value);
    }
    Err(Unusable { problem: problems.join("; "), place: places.join("; ") })
}

/// The JSON in the text: as it is, else within code fences, else from the first brace to the last.
fn parse(text: &str) -> Result<Value, serde_json::Error> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let whole = serde_json::from_str(text);
    if whole.is_ok() {
        return whole;
    }
    let found = fenced(text).and_then(|inner| serde_json::from_str(inner).ok());
    found.or_else(|| serde_json::from_str(braced(text)?).ok()).map_or(whole, Ok)
}

fn fenced(text: &str) -> Option<&str> {
    let (_, after) = text.split_once("```")?;
    let (_, body) = after.split_once('\n')?;
    Some(body.split_once("```").map_or(body, |(inner, _)| inner).trim())
}

fn braced(text: &str) -> Option<&str> {
    text.get(text.find('{')?..=text.rfind('}')?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": { "intent": { "enum": ["buy", "other"] }, "confidence": { "type": "number", "maximum": 1 } },
            "required": ["intent", "confidence"],
            "additionalProperties": false
        })
    }

    #[test]
    fn finds_the_json() {
        let plain = r#"{"intent":"buy","confidence":0.5}"#;
        for text in [
            plain.to_owned(),
            format!("\u{feff} {plain}\n"),
            format!("```json\n{plain}\n```"),
            format!("Here you are:\n```\n{plain}\n```\nAnything else?"),
            format!("Sure! {plain} Hope that helps."),
        ] {
            assert_eq!(check(&schema(), &text), Ok(json!({"intent": "buy", "confidence": 0.5})), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong_without_the_value_for_operators() {
        let bad = check(&schema(), r#"{"intent":"secret wish","confidence":7}"#).unwrap_err();
        assert!(bad.problem.contains("secret wish"), "{}", bad.problem);
        assert!(!bad.place.contains("secret wish"), "{}", bad.place);
        assert!(bad.place.contains("/intent") && bad.place.contains("/confidence"), "{}", bad.place);
    }

    #[test]
    fn refuses_what_is_no_answer() {
        for text in [
            "",
            "null",
            "[]",
            "I cannot help with that.",
            "{\"intent\":\"bu",
            "{}",
            r#"{"intent":"buy","confidence":0.5,"more":1}"#,
        ] {
            assert!(check(&schema(), text).is_err(), "{text}");
        }
    }
}
