//! Logs and metrics. Bodies, secrets and personal data stay out of both.

mod format;
pub mod metrics;
mod scrub;

use std::{
    fs::File,
    io::{IsTerminal as _, stderr, stdout},
    panic,
    sync::Arc,
};

use tracing::{Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::filter_fn,
    fmt::{MakeWriter, format::JsonFields},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::telemetry::format::Lines;

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A daemon's.
    Stdout,
    /// A command's, whose standard output is its answer.
    Stderr,
}

/// Starts logging, and logs panics. `filter` is `info` or directives; `format` is `json`, `text` or `auto`
/// (text on a terminal). When logging was started before, nothing changes.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_logs(filter: &str, format: &str, output: Output) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    let terminal = match output {
        Output::Stdout => stdout().is_terminal(),
        Output::Stderr => stderr().is_terminal(),
    };
    let json = format == "json" || (format != "text" && !terminal);
    let started = match output {
        Output::Stdout => subscriber(filter, json, stdout).try_init(),
        Output::Stderr => subscriber(filter, json, stderr).try_init(),
    };
    if started.is_ok() {
        log_panics();
    }
    Ok(())
}

/// Starts logging into a file, as JSON, and logs panics there. When logging was started before, nothing changes.
///
/// # Errors
/// When the filter cannot be read.
pub fn start_file_logs(filter: &str, file: File) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    if subscriber(filter, true, Arc::new(file)).try_init().is_ok() {
        log_panics();
    }
    Ok(())
}

fn subscriber<W>(filter: EnvFilter, json: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Lines { json })
        .with_writer(writer)
        .with_filter(filter_fn(is_allowed));
    tracing_subscriber::registry().with(filter).with(lines)
}

/// Below `info` only our own lines: what HTTP and SQL libraries say there holds bodies and binds.
fn is_allowed(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= LevelFilter::INFO || metadata.target().starts_with("longshore")
}

/// A panic's text may hold what was worked on: only its place is logged.
fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, json: bool, work: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let ours = buffer.clone();
        let subscriber = subscriber(EnvFilter::new(filter), json, move || ours.clone());
        tracing::subscriber::with_default(subscriber, work);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_fields_of_its_spans() {
        let text = logged("info", true, || {
            let _outer = tracing::info_span!("event", event_key = "wa:1:x", tenant = "acme").entered();
            let _inner = tracing::info_span!("step", correlation_id = "c-1").entered();
            tracing::info!(took_ms = 12, reason = "done", "finished \"it\"");
        });
        let line: Value = serde_json::from_str(&text).unwrap();
        for (key, value) in [
            ("level", "INFO"),
            ("message", "finished \"it\""),
            ("target", "longshore::telemetry::tests"),
            ("event_key", "wa:1:x"),
            ("tenant", "acme"),
            ("correlation_id", "c-1"),
            ("reason", "done"),
        ] {
            assert_eq!(line[key], value, "{text}");
        }
        assert_eq!(line["took_ms"], 12);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{text}");
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn secrets_numbers_and_bodies_never_appear() {
        for json in [true, false] {
            let text = logged("trace", json, || {
                let _span =
                    tracing::info_span!("s", from = "4915112345678", authorization = "tok-77").entered();
                tracing::info!(body = "Hello, I am Ada", text = "my order", "received");
                tracing::warn!(error = "POST failed for +49 151 1234-5678 with Bearer abc.def", "again");
                tracing::warn!(error = %"pool: postgres://app:hunter2@db/x", "no database");
                tracing::error!("refused: recipient 15551234567 key sk-live_12345 EAAGm0PX4ZCps8");
                tracing::debug!(target: "aws_smithy_runtime", "response: {{\"Body\":\"secret words\"}}");
            });
            for secret in [
                "4915112345678",
                "tok-77",
                "Ada",
                "my order",
                "1234-5678",
                "abc.def",
                "hunter2",
                "15551234567",
                "live_12345",
                "EAAGm0PX4ZCps8",
                "secret words",
            ] {
                assert!(!text.contains(secret), "{secret} is in\n{text}");
            }
            assert!(text.contains("postgres://app:") && text.contains("refused: recipient"), "{text}");
        }
    }

    #[test]
    fn ids_are_kept_whole() {
        let text = logged("info", true, || {
            tracing::info!(event_key = "wa:123456789012345:wamid.1", correlation_id = "1234567890123", "x");
        });
        assert!(text.contains("wa:123456789012345:wamid.1") && text.contains("1234567890123"), "{text}");
    }

    #[test]
    fn text_lines_hold_no_control_characters_of_others() {
        let text = logged("info", false, || tracing::info!(reason = "a\nb\u{1b}[31m", "one\ntwo"));
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn other_libraries_are_silent_below_info() {
        let text = logged("trace", true, || {
            tracing::debug!(target: "hyper::proto", "wire");
            tracing::info!(target: "sqlx", "slow");
            tracing::trace!(target: "longshore::worker", "ours");
        });
        assert!(!text.contains("wire") && text.contains("slow") && text.contains("ours"), "{text}");
    }
}
