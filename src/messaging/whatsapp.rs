//! WhatsApp Cloud API: `POST {base}/{phone number id}/messages`. Not idempotent: a request whose fate is
//! unknown is never repeated here; its id comes back in the status webhooks and settles it.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use crate::{
    config::{WhatsappSettings, secret::SecretRef},
    domain::{
        command::{Action, Command, Pause, Sent},
        event::Channel,
        ids::CommandId,
    },
    http::{Answer, Http, Post, SendError},
    messaging::{
        contract::ChannelSender,
        pressure::Pressure,
        whatsapp_error::{self, Advice},
    },
};

/// Without a usable token commands wait and look again after this.
const NO_TOKEN: Duration = Duration::from_secs(60);

/// The sender.
#[derive(Debug)]
pub struct Whatsapp {
    http: Http,
    base: Url,
    token: Option<SecretRef>,
    timeout: Duration,
    pressure: Pressure,
}

impl Whatsapp {
    /// Reads the base URL from the settings.
    ///
    /// # Errors
    /// When it is no http(s) URL.
    pub fn new(settings: &WhatsappSettings, http: Http) -> Result<Self, String> {
        let base = Url::parse(settings.base_url.trim())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| format!("whatsapp.base_url `{}` is no http(s) URL", settings.base_url))?;
        let (token, timeout) = (settings.access_token.clone(), settings.timeout);
        Ok(Self { http, base, token, timeout, pressure: Pressure::default() })
    }

    /// The sender's id is one path segment, whatever characters it holds.
    fn url(&self, business_id: &str) -> Option<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend([business_id, "messages"]);
        Some(url)
    }

    async fn post(&self, business_id: &str, body: &Value) -> Result<Answer, Sent> {
        let secret = match &self.token {
            None => return Err(no_token("no access token is configured".to_owned())),
            Some(token) => token.read().map_err(|error| no_token(error.to_string()))?,
        };
        let url = self.url(business_id).ok_or_else(|| refused("bad_sender", "the sender id makes no URL"))?;
        let post = Post {
            url,
            bearer: Some(&secret),
            headers: &[],
            json: body.to_string().into_bytes(),
            timeout: self.timeout,
            written: "message_written",
        };
        self.http.post(post).await.map_err(|error| match error {
            SendError::NotSent(detail) => {
                Sent::NotSent { code: "connect".to_owned(), detail, wait: None, pause: Pause::Lane }
            }
            SendError::Unknown(detail) => Sent::Unknown { detail },
        })
    }

    /// What an answer means. The body decides; a status alone never does.
    fn judge(&self, answer: &Answer, lane: &str, business_id: &str) -> Sent {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(error) = whatsapp_error::Told::read(&body) {
            return self.follow(&whatsapp_error::advice(&error, answer.status), &error, lane, business_id);
        }
        match body["messages"][0]["id"].as_str() {
            Some(id) if (200..300).contains(&answer.status) => {
                self.pressure.relieve(lane);
                self.pressure.relieve(business_id);
                Sent::Sent { vendor_id: Some(id.to_owned()) }
            }
            _ => Sent::Unknown {
                detail: format!("HTTP {} with neither a message id nor an error code", answer.status),
            },
        }
    }

    fn follow(&self, advice: &Advice, error: &whatsapp_error::Told, lane: &str, business_id: &str) -> Sent {
        let (code, detail) = (error.code.to_string(), error.detail());
        let (name, pause) = match advice.pause() {
            Pause::Lane => (lane, Pause::Lane),
            Pause::Sender => (business_id, Pause::Sender),
        };
        if advice.is_alarming() {
            metrics::counter!("longshore_channel_alerts_total", "channel" => Channel::Whatsapp.name(), "code" => code.clone())
                .increment(1);
            tracing::error!(business_id, code, detail, "WhatsApp stops this sender: somebody must act");
        }
        match advice.wait(|| self.pressure.more(name)) {
            _ if advice.is_final() => Sent::Refused { code, detail },
            wait => Sent::NotSent { code, detail, wait, pause },
        }
    }
}

#[async_trait]
impl ChannelSender for Whatsapp {
    async fn send(&self, id: &CommandId, command: &Command) -> Sent {
        let Action::Message { channel: Channel::Whatsapp, business_id, .. } = &command.action else {
            return refused("not_a_message", "this command is no WhatsApp message");
        };
        let sent = match self.post(business_id, &body(id, &command.action)).await {
            Ok(answer) => self.judge(&answer, &command.lane, business_id),
            Err(sent) => sent,
        };
        metrics::counter!("longshore_channel_sends_total", "channel" => Channel::Whatsapp.name(), "outcome" => sent.outcome())
            .increment(1);
        sent
    }
}

fn refused(code: &str, detail: &str) -> Sent {
    Sent::Refused { code: code.to_owned(), detail: detail.to_owned() }
}

/// The whole sender waits: every other command would miss the token, too.
fn no_token(detail: String) -> Sent {
    Sent::NotSent { code: "no_token".to_owned(), detail, wait: Some(NO_TOKEN), pause: Pause::Sender }
}

/// `biz_opaque_callback_data` (at most 512 characters) is echoed by status webhooks.
fn body(id: &CommandId, action: &Action) -> Value {
    let Action::Message { to, text, reply_to, .. } = action else { return Value::Null };
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": to,
        "type": "text",
        "text": { "preview_url": false, "body": text },
        "biz_opaque_callback_data": id.as_str(),
    });
    if let Some(original) = reply_to {
        body["context"] = json!({ "message_id": original });
    }
    body
}
