//! `longshore sign`: a test event, signed as its sender would.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::{
    cli::{
        context::{Context, queue},
        curl,
        enqueue::as_json,
        output::{say, say_json},
        signing::{key, read, seal_key, send, source},
    },
    clock::{Clock as _, SystemClock},
    config::{Settings, SourceSettings, secret::SecretRef},
    domain::{
        envelope::{HttpRequest, Peer},
        ids::SourceName,
        timestamp::Timestamp,
    },
    lifecycle::{ExitCode, Stop},
    sources::{
        self,
        contract::Order,
        sign::{SealKey, SignedMessage, seal_envelope, sign_job, sign_request},
    },
};

/// Sign a body as its sender would, seal it as an edge would, and put it on the queue.
///
/// For test events: the queue then holds what a real request would have become. With --curl nothing is sent:
/// the request is printed as a curl line, for an edge.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  longshore sign whatsapp-main message.json
  longshore sign hubspot-main batch.json --print
  longshore sign stripe-main event.json --curl
  longshore sign ghl-main event.json --secret file:/run/keys/test_ed25519.pem --curl")]
pub(super) struct SignCommand {
    /// The source to speak for.
    source: String,
    /// The vendor's body, or - for standard input. For a source of vendor `jobs`: a CloudEvents job.
    file: String,
    /// The vendor's key; without it the first one that is good now.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// The signing key itself (env:NAME, file:/path or credential:NAME), where the source holds a public key only.
    #[arg(long, value_name = "REFERENCE")]
    secret: Option<String>,
    /// The method that the vendor calls with.
    #[arg(long, default_value = "POST")]
    method: String,
    /// The URL that the vendor calls, and signs; without it the source's public_url, else its place at the edge of
    /// intake.public_url or intake.listen.
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
    /// Print a curl line that sends the signed request to an edge, instead of a message for the queue.
    #[arg(long, conflicts_with = "print")]
    curl: bool,
    /// Where the curl line sends it; without it the signed URL.
    #[arg(long, value_name = "URL", requires = "curl")]
    to: Option<String>,
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
        let (name, source) = source(&settings, Some(&self.source), "")?;
        let name = SourceName::from(name);
        if self.curl {
            let request = self.request(&settings, (&name, source), &id)?;
            say(&curl::line(&request, self.to.as_deref().unwrap_or(&request.url)));
            return Ok(ExitCode::Ok);
        }
        let message = self.message(&settings, (&name, source), &id)?;
        if self.print {
            say_json(&as_json(&message))?;
            return Ok(ExitCode::Ok);
        }
        let queue = queue(&settings).await?;
        send(&queue, vec![(id, message)], None, self.json).await
    }

    /// What the queue would hold.
    fn message(
        &self,
        settings: &Settings,
        (name, source): (&SourceName, &SourceSettings),
        id: &str,
    ) -> anyhow::Result<SignedMessage> {
        let now = SystemClock.now();
        if source.vendor == "jobs" {
            let (key_id, secret) = self.key(source, now)?;
            let job = serde_json::from_slice(&read(&self.file)?).map_err(|error| wrong(&error))?;
            let seal = SealKey { id: key_id.as_deref(), secret: secret.expose_secret() };
            return Ok(sign_job(name, seal, &job, self.at.unwrap_or(now)).map_err(|error| wrong(&error))?);
        }
        let request = self.request(settings, (name, source), id)?;
        let edge = seal_key(settings, name.as_str(), now)?;
        let edge_secret = edge.read()?;
        let seal = SealKey { id: Some(&edge.id), secret: edge_secret.expose_secret() };
        let envelope = format!("env_{}", Uuid::now_v7().simple());
        let sealed = (&request, &Peer::default());
        // The edge's own time is the real one: only the vendor's signature can be made stale on purpose.
        Ok(seal_envelope(name, seal, &envelope, sealed, now, now).map_err(|error| wrong(&error))?)
    }

    /// The request as its sender would make it.
    fn request(
        &self,
        settings: &Settings,
        (name, source): (&SourceName, &SourceSettings),
        id: &str,
    ) -> anyhow::Result<HttpRequest> {
        let now = SystemClock.now();
        let senders =
            sources::senders(settings).map_err(|error| Stop::new(ExitCode::Config, error.to_string()))?;
        let sender = senders
            .get(name.as_str())
            .ok_or_else(|| Stop::new(ExitCode::Config, format!("no source `{name}` is configured")))?;
        let (key_id, secret) = self.key(source, now)?;
        let usual = hook(settings, name);
        let order = Order {
            secret: secret.expose_secret(),
            key_id: key_id.as_deref(),
            method: &self.method,
            url: self.url.as_deref().or(source.public_url.as_deref()).unwrap_or(&usual),
            body: read(&self.file)?,
            id,
            at: self.at.unwrap_or(now),
            settings: source,
        };
        let signed = sign_request(sender.scheme, &order);
        Ok(signed.map_err(|error| wrong(&error).hint("--secret names a key that can sign"))?)
    }

    /// The key to sign with, and its id where the source knows it.
    fn key(&self, source: &SourceSettings, now: Timestamp) -> anyhow::Result<(Option<String>, SecretString)> {
        if let Some(reference) = &self.secret {
            return Ok((self.key.clone(), SecretRef(reference.clone()).read()?));
        }
        if source.keys.is_empty() {
            // Schemes without keys sign nothing; those with keys say that this one is none.
            return Ok((None, SecretString::default()));
        }
        let key = key(&source.keys, self.key.as_deref(), now)?;
        Ok((Some(key.id.clone()), key.read()?))
    }
}

/// Where the edge of these settings has the source, as it tells it in envelopes.
fn hook(settings: &Settings, name: &SourceName) -> String {
    let listening = || format!("http://{}", settings.intake.listen);
    let host = settings.intake.public_url.clone().unwrap_or_else(listening);
    format!("{}/hooks/{name}", host.trim_end_matches('/'))
}

fn wrong(error: &dyn ToString) -> Stop {
    Stop::new(ExitCode::BadInput, error.to_string())
}
