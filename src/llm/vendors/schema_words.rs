//! A schema in words, for servers that are not told it in any other way.

use std::borrow::Cow;

use crate::{
    config::SchemaSupport,
    llm::{
        contract::{AnswerShape, Request},
        vendors::portable_schema::portable,
    },
};

/// The system text; with the schema where the server enforces none.
pub(crate) fn system(request: &Request, support: SchemaSupport) -> Cow<'_, str> {
    let AnswerShape::Json { schema, .. } = &request.answer else { return Cow::Borrowed(&request.system) };
    if support == SchemaSupport::JsonSchema {
        return Cow::Borrowed(&request.system);
    }
    let order = "Answer with one JSON object that keeps this JSON schema, and with nothing else:";
    let gap = if request.system.is_empty() { "" } else { "\n\n" };
    Cow::Owned(format!("{}{gap}{order}\n{}", request.system, portable(schema)))
}
