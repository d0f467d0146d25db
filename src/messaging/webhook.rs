//! Signed requests to our own systems: alerts, and answers of chats. Standard Webhooks over a CloudEvents body. The
//! `webhook-id` of a command is always the same, so that whoever gets it twice can tell.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use crate::{
    clock::Clock,
    config::{WebhookSettings, secret::SecretRef},
    domain::{
        command::{Pause, Sent, WebhookTarget},
        ids::{CommandId, sha256_hex},
    },
    http::{Answer, Http, Post, SendError},
    messaging::callback::Callbacks,
    retry::RetryHints,
    signature::{Key, is_id},
};

/// Longest `webhook-id`.
const LONGEST_ID: usize = 128;
/// Without a key that can sign commands wait and look again after this.
const NO_KEY: Duration = Duration::from_secs(60);
/// Longest time for a piece of an answer: somebody waits for the next one.
const PIECE_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a piece that was posted while the answer was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It was taken.
    Delivered,
    /// Nobody reads there any more: further pieces need not be posted.
    Gone,
    /// Not taken, or not known; for operators.
    Failed(String),
}

/// One signed request.
struct Letter<'a> {
    url: Url,
    id: &'a str,
    event_type: &'a str,
    data: &'a Value,
    timeout: Duration,
}

/// Why nothing was posted.
enum NotPosted {
    /// The key cannot be read, or cannot sign.
    NoKey(String),
    /// The request failed.
    Failed(SendError),
}

/// The sender.
pub struct WebhookSender {
    http: Http,
    clock: Arc<dyn Clock>,
    alert_url: Option<Url>,
    callbacks: Callbacks,
    key_id: String,
    secret: Option<SecretRef>,
    timeout: Duration,
}

impl WebhookSender {
    /// Reads the URLs from the settings.
    ///
    /// # Errors
    /// When one of them is none; the text names the setting.
    pub fn new(settings: &WebhookSettings, http: Http, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let read = |text: &String| {
            Url::parse(text.trim())
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"))
                .ok_or_else(|| format!("webhooks.alert_url: `{text}` is no http(s) URL"))
        };
        Ok(Self {
            http,
            clock,
            alert_url: settings.alert_url.as_ref().map(read).transpose()?,
            callbacks: Callbacks::new(&settings.callbacks)?,
            key_id: settings.key_id.clone(),
            secret: settings.secret.clone(),
            timeout: settings.timeout,
        })
    }

    /// Carries out one command: one attempt, no retries inside.
    pub async fn send(&self, id: &CommandId, to: &WebhookTarget, event_type: &str, data: &Value) -> Sent {
        let (name, url) = match to {
            WebhookTarget::Alerts => ("alerts", self.alert_url.clone().ok_or_else(no_alert_url)),
            WebhookTarget::Callback(url) => {
                ("callback", self.callbacks.allowed(url).map_err(|why| refused("callback", why)))
            }
        };
        let sent = match url {
            Ok(url) => {
                let id = webhook_id(id);
                let letter = Letter { url, id: &id, event_type, data, timeout: self.timeout };
                self.post(letter).await.map_or_else(not_posted, |answer| judge(&answer))
            }
            Err(sent) => sent,
        };
        count(name, &sent);
        sent
    }

    /// Posts a piece of an answer to a callback: one attempt with little patience, since the next piece follows. `id`
    /// tells the pieces apart: letters, digits, `_` and `-`, at most 128.
    pub async fn post_now(&self, url: &str, id: &str, event_type: &str, data: &Value) -> Posted {
        let url = match self.callbacks.allowed(url) {
            Ok(url) if is_id(id, LONGEST_ID) => url,
            Ok(_) => return Posted::Failed(format!("`{id}` cannot be a webhook-id")),
            Err(why) => return Posted::Failed(why),
        };
        let timeout = self.timeout.min(PIECE_TIMEOUT);
        let posted = self.post(Letter { url, id, event_type, data, timeout }).await;
        let sent = posted.map_or_else(not_posted, |answer| judge(&answer));
        count("piece", &sent);
        match sent {
            Sent::Sent { .. } => Posted::Delivered,
            Sent::Dropped { .. } => Posted::Gone,
            Sent::Refused { detail, .. } | Sent::NotSent { detail, .. } | Sent::Unknown { detail } => {
                Posted::Failed(detail)
            }
        }
    }

    /// Is there somebody who wants alerts?
    #[must_use]
    pub fn has_alert_url(&self) -> bool {
        self.alert_url.is_some()
    }

    async fn post(&self, letter: Letter<'_>) -> Result<Answer, NotPosted> {
        let at = self.clock.now();
        let body = json!({
            "specversion": "1.0",
            "id": letter.id,
            "source": "longshore",
            "type": letter.event_type,
            "time": at.to_string(),
            "data": letter.data,
        })
        .to_string()
        .into_bytes();
        let timestamp = at.seconds().to_string();
        let signature = self.sign(letter.id, &timestamp, &body).map_err(NotPosted::NoKey)?;
        let headers = [
            ("webhook-id", letter.id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
            ("webhook-key-id", &self.key_id),
        ];
        let post = Post {
            url: letter.url,
            bearer: None,
            headers: &headers,
            json: body,
            timeout: letter.timeout,
            written: "webhook_written",
        };
        self.http.post(post).await.map_err(NotPosted::Failed)
    }

    /// Read for each request: a new key counts without a restart.
    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> Result<String, String> {
        let secret = self.secret.as_ref().ok_or("webhooks.secret is missing")?;
        let secret = secret.read().map_err(|error| format!("webhooks.secret: {error}"))?;
        let key = Key::parse(secret.expose_secret()).map_err(|bad| format!("webhooks.secret: {}", bad.0))?;
        key.sign(id, timestamp, body)
            .ok_or_else(|| "webhooks.secret is a public key, which cannot sign".to_owned())
    }
}

/// A command's id where it can stand in the header, else a hash of it: event keys hold dots, which would let
/// `id.timestamp.body` be cut in two ways.
fn webhook_id(id: &CommandId) -> String {
    if is_id(id.as_str(), LONGEST_ID) {
        return id.as_str().to_owned();
    }
    format!("cmd_{}", &sha256_hex(&[id.as_str().as_bytes()])[..40])
}

/// What an answer means. The receiver's words are left out: they may hold anything.
fn judge(answer: &Answer) -> Sent {
    let status = answer.status;
    let detail = format!("HTTP {status}");
    match status {
        200..=299 => Sent::Sent { vendor_id: None },
        410 => Sent::Dropped { why: "gone".to_owned() },
        408 | 425 | 429 | 500..=599 => {
            let wait = RetryHints::read(|name| answer.header(name)).wait;
            Sent::NotSent { code: status.to_string(), detail, wait, pause: Pause::Lane }
        }
        300..=399 => refused(&status.to_string(), format!("{detail}: redirects are not followed")),
        _ => refused(&status.to_string(), detail),
    }
}

fn not_posted(error: NotPosted) -> Sent {
    match error {
        NotPosted::NoKey(detail) => {
            Sent::NotSent { code: "no_key".to_owned(), detail, wait: Some(NO_KEY), pause: Pause::Lane }
        }
        NotPosted::Failed(SendError::NotSent(detail)) => {
            Sent::NotSent { code: "connect".to_owned(), detail, wait: None, pause: Pause::Lane }
        }
        NotPosted::Failed(SendError::Unknown(detail)) => Sent::Unknown { detail },
    }
}

fn no_alert_url() -> Sent {
    Sent::Dropped { why: "no_alert_url".to_owned() }
}

fn refused(code: &str, detail: String) -> Sent {
    Sent::Refused { code: code.to_owned(), detail }
}

fn count(to: &'static str, sent: &Sent) {
    metrics::counter!("longshore_webhooks_total", "to" => to, "outcome" => sent.outcome()).increment(1);
}

#[cfg(test)]
mod tests {
    use super::webhook_id;
    use crate::{domain::ids::CommandId, signature::is_id};

    #[test]
    fn every_command_has_one_id_that_a_header_can_hold() {
        assert_eq!(webhook_id(&CommandId::from("alert_1")), "alert_1");
        let long = "x".repeat(500);
        for text in ["wa:1:wamid.X@0#1", "a.b", "", "ä", long.as_str()] {
            let id = webhook_id(&CommandId::from(text));
            assert!(is_id(&id, 128) && id == webhook_id(&CommandId::from(text)), "{text}: {id}");
        }
        assert_ne!(webhook_id(&CommandId::from("a.b")), webhook_id(&CommandId::from("a.c")));
    }
}
