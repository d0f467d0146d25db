//! How one log line looks.

use std::fmt;

use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::telemetry::scrub::scrub;

/// One line an event: a flat JSON object, or text for people. The fields of the surrounding spans are on it.
pub(super) struct Lines {
    pub(super) json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            // Written by the JSON field formatter: always an object.
            if let Some(text) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(of_span) = serde_json::from_str::<Map<String, Value>>(text)
            {
                fields.0.extend(of_span);
            }
        }
        event.record(&mut fields);
        let mut fields = fields.0;
        for (name, value) in &mut fields {
            scrub(name, value);
        }
        let message = fields.remove("message").unwrap_or_default();
        let message = message.as_str().unwrap_or_default();
        let mut at = String::new();
        SystemTime.format_time(&mut Writer::new(&mut at))?;
        let meta = event.metadata();
        if self.json {
            let (level, target) = (meta.level().as_str(), meta.target());
            write!(out, r#"{{"timestamp":"{at}","level":"{level}","message":{}"#, json!(message))?;
            write!(out, r#","target":{}"#, json!(target))?;
            fields.iter().try_for_each(|(name, value)| write!(out, ",{}:{value}", json!(name)))?;
            return writeln!(out, "}}");
        }
        write!(out, "{at} {:<5} {}", meta.level().as_str(), one_line(message))?;
        fields.iter().try_for_each(|(name, value)| match value {
            Value::String(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                write!(out, " {name}={text}")
            }
            other => write!(out, " {name}={other}"),
        })?;
        writeln!(out)
    }
}

/// Without line breaks and control characters, which would forge lines or steer a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        // Raw identifiers such as r#type are written without their mark.
        self.0.insert(field.name().trim_start_matches("r#").to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}
