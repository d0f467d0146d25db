//! The one place where a request becomes a message: redacted, sealed, grouped, measured.

use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{
    config::SealSettings,
    domain::{
        delivery::Attribute,
        envelope::{BodyRef, HttpRequest, Peer},
        ids::sha256_hex,
        timestamp::Timestamp,
    },
    edge::{
        answer::{Refusal, Why},
        door::Door,
    },
    queue::contract::{LARGEST_MESSAGE, OutgoingMessage},
    sources::{
        contract::Redact,
        inspect::{Seen, take_apart, tenant},
        objects::Objects,
        sign::{LARGEST_INLINE_BODY, SealKey, SignedMessage, seal_envelope, seal_referring_envelope},
    },
};

/// Bodies up to this size are looked into for their tenant and their conversation.
const CHEAP: usize = 64 * 1024;
/// Longest group, in characters (SQS API reference).
const LONGEST_GROUP: usize = 128;

/// How requests are sealed.
pub(super) struct Sealer {
    pub(super) seal: SealSettings,
    /// Does the queue keep an order within a group?
    pub(super) fifo: bool,
    /// For bodies that are too large for a message.
    pub(super) objects: Objects,
}

impl Sealer {
    /// Seals a request that was received at this time.
    ///
    /// # Errors
    /// No key that may seal for the source, or a request that is too large for one message.
    pub(super) async fn message(
        &self,
        door: &Door,
        (request, peer): (HttpRequest, Peer),
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<OutgoingMessage, Refusal> {
        let id = format!("env_{}", Uuid::now_v7().simple());
        let group = self.group(door, &request, received_at, &id);
        let request = redacted(door.sender.scheme.redact, request);
        let body = self.put_away(&id, &request.body).await?;
        let sealed = self.sealed(door, &id, (&request, &peer, body.as_ref()), received_at, now)?;
        let message = OutgoingMessage {
            body: sealed.body,
            attributes: sealed
                .attributes
                .into_iter()
                .map(|(name, value)| (name, Attribute::Text(value)))
                .collect(),
            group: Some(group),
            deduplication: self.fifo.then_some(id),
            delay: None,
        };
        if size(&message) > LARGEST_MESSAGE {
            let text = format!(
                "sealed, the request is larger than the {LARGEST_MESSAGE} bytes of one message: a body may have \
                 about 700 KiB, or objects.bucket must be set"
            );
            return Err(Refusal::new(Why::TooLarge, text));
        }
        Ok(message)
    }

    fn sealed(
        &self,
        door: &Door,
        id: &str,
        (request, peer, body): (&HttpRequest, &Peer, Option<&BodyRef>),
        received_at: Timestamp,
        now: Timestamp,
    ) -> Result<SignedMessage, Refusal> {
        // A fault of ours: the vendor may come again.
        let unable = |detail: String| {
            tracing::error!(source = %door.name, detail, "nothing of this source can be sealed");
            Refusal::new(Why::NoSeal, "the edge cannot seal")
        };
        let key = self.seal.key_for(door.name.as_str(), now);
        let key = key.ok_or_else(|| unable("no key under [[seal.keys]] may seal for it now".to_owned()))?;
        let secret = key.read().map_err(|error| unable(format!("key {}: {error}", key.id)))?;
        let with = SealKey { id: Some(&key.id), secret: secret.expose_secret() };
        let sealed = match body {
            Some(body) => {
                seal_referring_envelope(&door.name, with, id, (request, peer, body), received_at, now)
            }
            None => seal_envelope(&door.name, with, id, (request, peer), received_at, now),
        };
        sealed.map_err(|error| unable(format!("key {}: {error}", key.id)))
    }

    /// A body that is too large for a message goes to the object store, where there is one.
    async fn put_away(&self, id: &str, body: &[u8]) -> Result<Option<BodyRef>, Refusal> {
        if body.len() <= LARGEST_INLINE_BODY || !self.objects.keeps_bodies() {
            return Ok(None);
        }
        let put = self.objects.put(id, body.to_vec()).await;
        put.map(Some).map_err(|error| Refusal::new(Why::QueueUnavailable, format!("object store: {error}")))
    }

    /// On a standard queue the tenant, so that a noisy one delays only itself; on a FIFO queue the conversation,
    /// whose events stay in order, or the message alone. By the first event, where looking for it is cheap.
    fn group(&self, door: &Door, request: &HttpRequest, received_at: Timestamp, id: &str) -> String {
        let (vendor, settings) = (door.sender.vendor, &door.sender.settings);
        let wanted = self.fifo || !settings.accounts.is_empty();
        let first: Option<Seen> = (wanted && request.body.len() <= CHEAP)
            .then(|| take_apart(vendor, settings, request, received_at))
            .and_then(|items| items.into_iter().find_map(Result::ok));
        if self.fifo {
            let conversation = first.and_then(|seen| seen.order_key);
            let hash = |key: String| sha256_hex(&[door.name.as_str().as_bytes(), key.as_bytes()]);
            return conversation.map_or_else(|| id.to_owned(), hash);
        }
        let account = first.map(|seen| seen.account).unwrap_or_default();
        group_name(tenant(vendor, settings, &account).unwrap_or(door.name.as_str()))
    }
}

/// Without the credentials that the vendor puts into its body.
fn redacted(redact: Option<Redact>, request: HttpRequest) -> HttpRequest {
    match redact.and_then(|redact| redact(&request.body)) {
        Some(body) => HttpRequest { body, ..request },
        None => request,
    }
}

/// In the alphabet of groups: ASCII letters, digits and punctuation. What is not becomes a hash, so that no two meet.
fn group_name(text: &str) -> String {
    let fits = (1..=LONGEST_GROUP).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { text.to_owned() } else { sha256_hex(&[text.as_bytes()]) }
}

/// As SQS counts: body plus names, types and values of the attributes.
pub(super) fn size(message: &OutgoingMessage) -> usize {
    let one = |(name, value): (&String, &Attribute)| match value {
        Attribute::Text(text) => name.len() + "String".len() + text.len(),
        Attribute::Binary(bytes) => name.len() + "Binary".len() + bytes.len(),
    };
    message.body.len() + message.attributes.iter().map(one).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_to_the_alphabet() {
        assert_eq!(group_name("acme-1"), "acme-1");
        let odd = ["", "zwei wörter", "a b", &"x".repeat(129)].map(group_name);
        assert!(
            odd.iter().all(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())),
            "{odd:?}"
        );
    }

    #[test]
    fn credentials_are_taken_out_before_anything_is_sealed() {
        let request = |body: &[u8]| HttpRequest {
            method: "POST".to_owned(),
            url: "https://a.test/".to_owned(),
            headers: Vec::new(),
            body: body.to_vec(),
        };
        let hide = |body: &[u8]| body.starts_with(b"secret").then(|| b"hidden".to_vec());
        assert_eq!(redacted(Some(hide), request(b"secret 1")).body, b"hidden");
        assert_eq!(redacted(Some(hide), request(b"plain")).body, b"plain");
        assert_eq!(redacted(None, request(b"secret 1")).body, b"secret 1");
    }
}
