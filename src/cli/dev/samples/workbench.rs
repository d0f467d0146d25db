//! Makes signed messages as the senders do. Everything but the seals' times follows from the state folder.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    cli::dev::{
        samples::call::{Answer, Call},
        state_dir::StateDir,
    },
    domain::{
        envelope::{HttpRequest, Peer},
        ids::{EventKey, SourceName},
        timestamp::Timestamp,
    },
    sources::{
        senders::Senders,
        sign::{SealKey, SignedMessage, seal_envelope, sign_job},
    },
};

/// The business account to which all WhatsApp numbers here belong.
pub(crate) const WABA: &str = "102290129340398";
/// HubSpot's portal.
pub(crate) const PORTAL: &str = "62515";
/// `source` of all jobs: which part of the sender made them.
pub(crate) const JOBS_PART: &str = "/dev/samples";

/// Where nobody listens: samples that are only looked at have this for the stand-in.
const NOBODY: &str = "http://127.0.0.1:9";

/// Where the stand-in of the first start took answers of chats: samples stay as they were.
pub(crate) fn callbacks(state: &StateDir, base_url: &str) -> anyhow::Result<String> {
    state.kept("callbacks", || Ok(format!("{base_url}/callbacks/")))
}

/// Where messages are made.
pub(crate) struct Workbench<'a> {
    state: &'a StateDir,
    senders: &'a Senders,
    base: Timestamp,
    now: Timestamp,
}

/// A vendor's request before it is signed.
pub(crate) struct Draft<'a> {
    /// The configured source.
    pub(crate) source: &'a str,
    /// Id of the envelope, and of the message in schemes that carry one.
    pub(crate) id: &'a str,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl<'a> Workbench<'a> {
    /// All times follow from `base`, when the samples were first sent; seals are made at `now`.
    pub(crate) fn new(state: &'a StateDir, senders: &'a Senders, base: Timestamp, now: Timestamp) -> Self {
        Self { state, senders, base, now }
    }

    /// When the samples were first sent.
    pub(crate) fn base(&self) -> Timestamp {
        self.base
    }

    /// So many seconds before that.
    pub(crate) fn ago(&self, seconds: u64) -> Timestamp {
        self.base().minus(Duration::from_secs(seconds))
    }

    /// So much after that, as RFC 3339 text.
    pub(crate) fn in_millis(&self, millis: u64) -> String {
        self.base().plus(Duration::from_millis(millis)).to_string()
    }

    /// For the edge: signed with the source's own key when it is sent.
    pub(crate) fn call(&self, draft: &Draft<'_>) -> anyhow::Result<Call> {
        let sender = self.senders.get(draft.source).context("no such source")?;
        // Who has no key shows an id in the body.
        let secret = self.state.key(draft.source).map(SecretString::from).unwrap_or_default();
        Ok(Call {
            source: draft.source.to_owned(),
            wanted: Answer::wanted_by(sender),
            sender: Arc::clone(sender),
            id: draft.id.to_owned(),
            body: draft.body.clone(),
            key: draft.source.to_owned(),
            secret,
        })
    }

    /// Where the answer of a chat is to go.
    pub(crate) fn callback(&self, chat: &str) -> anyhow::Result<String> {
        Ok(callbacks(self.state, NOBODY)? + chat)
    }

    /// A key of somebody else's.
    pub(crate) fn strangers_key(&self) -> anyhow::Result<SecretString> {
        Ok(SecretString::from(self.state.key("stranger")?))
    }

    /// Signed already, as the vendor signs, with the key of this name.
    pub(crate) fn request(&self, draft: &Draft<'_>, key: &str, at: Timestamp) -> anyhow::Result<HttpRequest> {
        let call = Call { secret: SecretString::from(self.state.key(key)?), ..self.call(draft)? };
        Ok(call.signed(&format!("https://hooks.example.com/{}", draft.source), at)?)
    }

    /// The same, where a signature has a random part: made once for this folder, so that the bytes stay.
    pub(crate) fn request_once(&self, draft: &Draft<'_>) -> anyhow::Result<HttpRequest> {
        let request = self.request(draft, draft.source, self.base)?;
        let headers = self.state.kept(&format!("{}.json", draft.id), || {
            serde_json::to_string(&request.headers).context("headers are text")
        })?;
        let headers = serde_json::from_str(&headers).context("the folder is damaged: delete it")?;
        Ok(HttpRequest { headers, ..request })
    }

    /// In an envelope as our edge makes it, received at `received_at`.
    pub(crate) fn envelope(
        &self,
        source: &str,
        id: &str,
        request: &HttpRequest,
        received_at: Timestamp,
    ) -> anyhow::Result<SignedMessage> {
        self.envelope_by("edge", source, id, request, (received_at, self.now))
    }

    /// In an envelope sealed with the edge key of this name at a time of its own.
    pub(crate) fn envelope_by(
        &self,
        edge: &str,
        source: &str,
        id: &str,
        request: &HttpRequest,
        (received_at, sealed_at): (Timestamp, Timestamp),
    ) -> anyhow::Result<SignedMessage> {
        let key = SealKey { id: Some(edge), secret: self.state.key(edge)? };
        let id = format!("env_{id}");
        Ok(seal_envelope(
            &SourceName::from(source),
            key,
            &id,
            (request, &Peer::default()),
            received_at,
            sealed_at,
        )?)
    }

    /// A request of a known vendor, signed with its own key and received at the first start.
    pub(crate) fn vendor(&self, draft: &Draft<'_>) -> anyhow::Result<SignedMessage> {
        let request = self.request(draft, draft.source, self.base())?;
        self.envelope(draft.source, draft.id, &request, self.base())
    }

    /// Some time before now: for seals that are too old.
    pub(crate) fn sealed_ago(&self, seconds: u64) -> Timestamp {
        self.now.minus(Duration::from_secs(seconds))
    }

    /// A job from the source of this name, signed with its own key.
    pub(crate) fn job(&self, source: &str, job: &Value) -> anyhow::Result<SignedMessage> {
        self.job_by(source, source, job)
    }

    /// A job signed with another key.
    pub(crate) fn job_by(&self, source: &str, key: &str, job: &Value) -> anyhow::Result<SignedMessage> {
        let key = SealKey { id: Some(key), secret: self.state.key(key)? };
        Ok(sign_job(&SourceName::from(source), key, job, self.now)?)
    }

    /// A CloudEvents job.
    pub(crate) fn cloud_event(&self, id: &str, job_type: &str, data: &Value) -> Value {
        json!({
            "specversion": "1.0",
            "id": id,
            "source": JOBS_PART,
            "type": job_type,
            "time": self.base().to_string(),
            "datacontenttype": "application/json",
            "data": data,
        })
    }

    /// The key of a job's event.
    pub(crate) fn job_key(source: &str, id: &str) -> EventKey {
        EventKey::new(&SourceName::from(source), JOBS_PART, id)
    }
}
