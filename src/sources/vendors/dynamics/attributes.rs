//! Values of Dataverse as .NET writes them: GUIDs, dates, and lists of `{key, value}`.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::timestamp::Timestamp,
    sources::{
        exact_json::as_text,
        records::Properties,
        rejection::{Fault, mismatch},
    },
};

/// Attributes of one record; Dataverse has at most about a thousand.
const MOST_ATTRIBUTES: usize = 5_000;
/// The years 1 to 9999 in Unix milliseconds: all that .NET can write.
const CALENDAR: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// A GUID in any of its spellings (braces, upper case, no hyphens); absent or null is `None`.
pub(super) fn guid(json: &Value, pointer: &str) -> Result<Option<Uuid>, Fault> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .and_then(|text| Uuid::try_parse(text.trim()).ok())
            .map(Some)
            .ok_or_else(|| mismatch(pointer, "a GUID is expected")),
    }
}

/// `/Date(1500000000000)/`, also with an offset such as `+0200`, which says only where the writer was: the number is
/// UTC already.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let inner = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let sign = inner.starts_with('-');
    let unsigned = if sign { &inner[1..] } else { inner };
    let (digits, offset) = unsigned.find(['+', '-']).map_or((unsigned, ""), |at| unsigned.split_at(at));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset_is_one = offset.is_empty() || (offset.len() == 5 && plain(&offset[1..]));
    if !plain(digits) || !offset_is_one {
        return None;
    }
    let millis: i64 = digits.parse().ok()?;
    let millis = if sign { -millis } else { millis };
    CALENDAR.contains(&millis).then(|| Timestamp::from_millis(millis))
}

/// A parameter of the operation.
pub(super) fn input<'a>(context: &'a Value, key: &str) -> Option<&'a Value> {
    let parameters = context.get("InputParameters")?.as_array()?;
    let parameter = parameters.iter().find(|p| p.get("key").and_then(Value::as_str) == Some(key))?;
    parameter.get("value")
}

/// The attributes of the record that was written. `None` where the body does not tell them.
pub(super) fn properties(context: &Value) -> Result<Option<Properties>, Fault> {
    const PLACE: &str = "/InputParameters/Target/Attributes";
    match context.get("InputParameters") {
        None | Some(Value::Null | Value::Array(_)) => {}
        Some(_) => return Err(mismatch("/InputParameters", "a list is expected")),
    }
    let attributes = match input(context, "Target").and_then(|target| target.get("Attributes")) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(attributes)) if attributes.len() <= MOST_ATTRIBUTES => attributes,
        Some(_) => return Err(mismatch(PLACE, "a list of at most 5000 is expected")),
    };
    let mut properties = Properties::new();
    for (index, attribute) in attributes.iter().enumerate() {
        let key = attribute.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| mismatch(&format!("{PLACE}/{index}/key"), "text is required"))?;
        // Names with a dollar sign are ours.
        if !key.starts_with('$') {
            properties.insert(key.to_owned(), attribute.get("value").and_then(plain_value));
        }
    }
    Ok(Some(properties))
}

/// A value as text: of a choice or an amount the number, of a reference the id, of a date RFC 3339.
fn plain_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(date(text).map_or_else(|| text.clone(), |at| at.to_string())),
        Value::Object(typed) => match (typed.get("Value"), typed.get("Id"), typed.get("LogicalName")) {
            // OptionSetValue, Money, AliasedValue ...; the parser bounds the depth.
            (Some(inner), _, _) => plain_value(inner),
            (None, Some(_), Some(_)) => {
                guid(value, "/Id").ok().flatten().map(|id| id.to_string()).or_else(|| as_text(&typed["Id"]))
            }
            _ => as_text(value),
        },
        Value::Array(items) => {
            let texts: Vec<Value> =
                items.iter().map(|item| plain_value(item).map_or(Value::Null, Value::String)).collect();
            Some(Value::Array(texts).to_string())
        }
        other => as_text(other),
    }
}
