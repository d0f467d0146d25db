//! `longshore enqueue`: jobs onto the queue.

use std::time::Duration;

use clap::Args;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    cli::{
        context::{Context, queue},
        output::say_json,
        signing::{key, read, send, source},
    },
    clock::{Clock as _, SystemClock},
    domain::ids::SourceName,
    lifecycle::{ExitCode, Stop},
    sources::sign::{SealKey, SignedMessage, sign_job},
};

/// Sign jobs (CloudEvents JSON) and put them on the queue.
///
/// The file holds one job, a JSON array of jobs, or one job a line. A job's `id` makes duplicates: the same
/// file twice is worked once.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore enqueue usage.json\n  jq -c '.[]' jobs.json | longshore enqueue - --source backend\n\nThe schemas: longshore schema"
)]
pub(super) struct EnqueueCommand {
    /// The file, or - for standard input.
    file: String,
    /// The source that signs; without it the only one of vendor `jobs`.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The key that signs; without it the first one that is good now.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Not to be received before so many seconds have passed (at most 900).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=900))]
    delay: Option<u64>,
    /// Print the messages as JSON instead of sending them.
    #[arg(long)]
    print: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl EnqueueCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        let now = SystemClock.now();
        let (name, jobs) = source(&settings, self.source.as_deref(), "jobs")?;
        let key = key(&jobs.keys, self.key.as_deref(), now)?;
        let secret = key.read()?;
        let seal = SealKey { id: Some(&key.id), secret: secret.expose_secret() };
        let name = SourceName::from(name);
        let mut messages = Vec::new();
        for (index, job) in jobs_in(&read(&self.file)?)?.iter().enumerate() {
            let signed = sign_job(&name, seal, job, now)
                .map_err(|error| Stop::new(ExitCode::BadInput, format!("job {}: {error}", index + 1)))?;
            let id = job.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            messages.push((id, signed));
        }
        if self.print {
            let shown: Vec<_> = messages.iter().map(|(_, message)| as_json(message)).collect();
            say_json(&shown)?;
            return Ok(ExitCode::Ok);
        }
        let queue = queue(&settings).await?;
        send(&queue, messages, self.delay.map(Duration::from_secs), self.json).await
    }
}

/// A message as `--print` shows it.
pub(super) fn as_json(message: &SignedMessage) -> Value {
    serde_json::json!({ "body": message.body, "attributes": message.attributes })
}

fn jobs_in(content: &[u8]) -> Result<Vec<Value>, Stop> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(content).into_iter().collect();
    let values = values.map_err(|error| Stop::new(ExitCode::BadInput, format!("not JSON: {error}")))?;
    match <[Value; 1]>::try_from(values) {
        Ok([Value::Array(jobs)]) => Ok(jobs),
        Ok([job]) => Ok(vec![job]),
        Err(values) => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_job_a_list_or_a_line_each() {
        let count = |text: &str| jobs_in(text.as_bytes()).unwrap().len();
        assert_eq!((count(r#"{"id":"a"}"#), count(r#"[{"id":"a"},{"id":"b"}]"#)), (1, 2));
        assert_eq!((count("{\"id\":\"a\"}\n{\"id\":\"b\"}\n"), count("")), (2, 0));
        assert_eq!(jobs_in(b"{").unwrap_err().code, ExitCode::BadInput);
    }
}
