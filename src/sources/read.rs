//! `Verified` -> events: one result for each item, with keys, tenants and times that can be trusted.

use std::{borrow::Cow, time::Duration};

use crate::{
    config::SourceSettings,
    domain::{
        envelope::HttpRequest,
        event::{Event, Fact},
        ids::{CorrelationId, EventKey, TenantId, sha256_hex},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        decode::CONTENT_ENCODING,
        gzip::unpack,
        rejection::{Fault, ItemRejection, shorten},
        verified::Message,
    },
};

/// Keys live 45 days in the inbox; an event older than this could have been forgotten.
const OLDEST: Duration = Duration::from_secs(44 * 24 * 3600);
/// A sender's clock that runs further ahead must not win against everything that comes later.
const FURTHEST_AHEAD: Duration = Duration::from_secs(5 * 60);

/// Takes a verified body apart, in its order. A bad item is refused alone. Two items of one body may have the same
/// key: the caller works only the first. A body that holds nothing for us (a change of another field) gives no item.
#[must_use]
pub fn read(message: &Message) -> Vec<Result<Event, ItemRejection>> {
    let sender = &message.sender;
    let items =
        items(sender.vendor, &sender.settings, &message.request, (message.received_at, sender.drills));
    items.into_iter().map(|item| finish(message, item)).collect()
}

/// The body as the vendor's own file takes it apart.
pub(super) fn items(
    vendor: &Vendor,
    settings: &SourceSettings,
    request: &HttpRequest,
    (received_at, drills): (Timestamp, bool),
) -> Vec<Item> {
    match unpacked(request, settings.max_body) {
        Ok(body) => (vendor.read)(&Reading { request, body: &body, received_at, settings, drills }),
        Err(fault) => Item::unreadable(fault),
    }
}

/// The body as its sender meant it: a compressed one is signed as it travelled.
fn unpacked(request: &HttpRequest, largest: usize) -> Result<Cow<'_, [u8]>, Fault> {
    let encoding = request.header(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Ok(Cow::Borrowed(&request.body)),
        "gzip" | "x-gzip" => unpack(&request.body, largest, Reason::PayloadMalformed).map(Cow::Owned),
        _ => Err((Reason::PayloadMalformed, "a content-encoding other than gzip".to_owned())),
    }
}

fn finish(message: &Message, item: Item) -> Result<Event, ItemRejection> {
    let Item { index, json, draft } = item;
    draft.and_then(|draft| to_event(message, draft)).map_err(|(reason, detail)| ItemRejection {
        index,
        reason,
        detail: shorten(detail),
        item: json,
    })
}

fn to_event(message: &Message, draft: Draft) -> Result<Event, Fault> {
    let received_at = message.received_at;
    if draft.occurred_at.is_some_and(|at| at < received_at.minus(OLDEST)) {
        return Err((Reason::TooOld, "it happened more than 44 days before it was received".to_owned()));
    }
    let tenant = tenant(message, &draft.account)?;
    let key = EventKey::new(&message.source, &draft.account, &draft.id);
    let latest = received_at.plus(FURTHEST_AHEAD);
    let correlation = draft
        .correlation
        .or_else(|| message.correlation.clone())
        .unwrap_or_else(|| sha256_hex(&[key.as_str().as_bytes()])[..32].to_owned());
    Ok(Event {
        key,
        source: message.source.clone(),
        vendor_type: draft.vendor_type,
        account: draft.account,
        tenant,
        occurred_at: draft.occurred_at.map(|at| at.min(latest)),
        received_at,
        due_at: draft.due_at,
        expires_at: draft.expires_at,
        order_key: draft.order_key,
        correlation_id: CorrelationId(correlation),
        fact: clamp(draft.fact, latest),
    })
}

fn tenant(message: &Message, account: &str) -> Result<TenantId, Fault> {
    tenant_of(message.sender.vendor, &message.sender.settings, account)
        .map(|tenant| TenantId(tenant.to_owned()))
        .ok_or_else(|| (Reason::TenantUnknown, "neither the account nor the source has a tenant".to_owned()))
}

/// By the account, by a part of it (`waba/phone`: the phone before the business), then by the source.
pub(super) fn tenant_of<'a>(vendor: &Vendor, settings: &'a SourceSettings, account: &str) -> Option<&'a str> {
    let by_account = || {
        let parts = std::iter::once(account).chain(account.rsplit('/'));
        parts.filter_map(|part| settings.accounts.get(part)).next()
    };
    let by_account = if vendor.tenant_by_account { by_account() } else { None };
    by_account.or(settings.tenant.as_ref()).map(String::as_str)
}

/// Times that decide what is newer.
fn clamp(mut fact: Fact, latest: Timestamp) -> Fact {
    match &mut fact {
        Fact::InboundMessage(message) => message.sent_at = message.sent_at.min(latest),
        Fact::DeliveryStatus(status) => status.at = status.at.min(latest),
        Fact::CrmChange(change) => change.at = change.at.min(latest),
        Fact::ChatUsage(usage) => usage.ended_at = usage.ended_at.min(latest),
        Fact::Erase(_)
        | Fact::Notice(_)
        | Fact::EmailDraft(_)
        | Fact::ChatComplete(_)
        | Fact::EmbeddingStore(_)
        | Fact::Drill(_) => {}
    }
    fact
}
