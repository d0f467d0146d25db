//! `longshore sign`: a test event, signed as its sender would.

use clap::Args;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{
    cli::{
        context::{Context, queue},
        enqueue::as_json,
        output::say_json,
        signing::{key, read, seal_key, send, source},
    },
    clock::{Clock as _, SystemClock},
    config::Settings,
    domain::{envelope::Peer, ids::SourceName, timestamp::Timestamp},
    lifecycle::{ExitCode, Stop},
    sources::{
        self,
        contract::Order,
        sign::{SealKey, SignedMessage, seal_envelope, sign_job, sign_request},
    },
};

/// Sign a body as its sender would, seal it as an edge would, and put it on the queue.
///
/// For test events: the queue then holds what a real request would have become.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore sign whatsapp-main message.json\n  longshore sign hubspot-main batch.json --print"
)]
pub(super) struct SignCommand {
    /// The source to speak for.
    source: String,
    /// The vendor's body, or - for standard input. For a source of vendor `jobs`: a CloudEvents job.
    file: String,
    /// The vendor's key; without it the first one that is good now.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// The method that the vendor calls with.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The URL that the vendor calls; without it the source's public_url.
    #[arg(long)]
    url: Option<String>,
    /// The sender's id of the message, in schemes that carry one; without it a new one.
    #[arg(long)]
    id: Option<String>,
    /// The time of the signature (RFC 3339); now when absent. An old one makes a stale message.
    #[arg(long, value_parser = time)]
    at: Option<Timestamp>,
    /// Print the message as JSON instead of sending it.
    #[arg(long)]
    print: bool,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "such as 2026-11-21T10:00:00Z".to_owned())
}

impl SignCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let settings = context.settings()?;
        let id = self.id.clone().unwrap_or_else(|| format!("msg_{}", Uuid::now_v7().simple()));
        let message = self.signed(&settings, &id)?;
        if self.print {
            say_json(&as_json(&message))?;
            return Ok(ExitCode::Ok);
        }
        let queue = queue(&settings).await?;
        send(&queue, vec![(id, message)], None, self.json).await
    }

    fn signed(&self, settings: &Settings, id: &str) -> anyhow::Result<SignedMessage> {
        let now = SystemClock.now();
        let at = self.at.unwrap_or(now);
        let (name, source) = source(settings, Some(&self.source), "")?;
        let key = key(&source.keys, self.key.as_deref(), now)?;
        let (secret, body) = (key.read()?, read(&self.file)?);
        let name = SourceName::from(name);
        let wrong = |error: &dyn ToString| Stop::new(ExitCode::BadInput, error.to_string());
        if source.vendor == "jobs" {
            let job = serde_json::from_slice(&body).map_err(|error| wrong(&error))?;
            let seal = SealKey { id: Some(&key.id), secret: secret.expose_secret() };
            return Ok(sign_job(&name, seal, &job, at).map_err(|error| wrong(&error))?);
        }
        let senders =
            sources::senders(settings).map_err(|error| Stop::new(ExitCode::Config, error.to_string()))?;
        let sender = senders
            .get(name.as_str())
            .ok_or_else(|| Stop::new(ExitCode::Config, format!("no source `{name}` is configured")))?;
        let usual = format!("https://localhost/webhooks/{name}");
        let url = self.url.as_deref().or(source.public_url.as_deref()).unwrap_or(&usual);
        let (secret, key_id) = (secret.expose_secret(), Some(key.id.as_str()));
        let order = Order { secret, key_id, method: &self.method, url, body, id, at, settings: source };
        let request = sign_request(sender.scheme, &order).map_err(|error| wrong(&error))?;
        let edge = seal_key(settings, name.as_str(), now)?;
        let edge_secret = edge.read()?;
        let seal = SealKey { id: Some(&edge.id), secret: edge_secret.expose_secret() };
        let envelope = format!("env_{}", Uuid::now_v7().simple());
        // The edge's own time is the real one: only the vendor's signature can be made stale on purpose.
        Ok(seal_envelope(&name, seal, &envelope, (&request, &Peer::default()), now, now)
            .map_err(|error| wrong(&error))?)
    }
}
