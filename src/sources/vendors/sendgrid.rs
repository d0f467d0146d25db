//! Twilio SendGrid's Event Webhook: a list of what became of our e-mails.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use crate::{
    domain::{
        event::{Channel, DeliveryState, DeliveryStatus, Fact, Notice},
        ids::sha256_hex,
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        fields,
        rejection::{Fault, json_fault, mismatch},
    },
};

/// SendGrid batches by size: 768 KB are some 2500 events.
const MOST_ITEMS: usize = 5_000;
/// SendGrid names no account: our own `custom_args` come back as members of every event, this one with the tenant's
/// name at the sender. `fields.account` may name another.
const ACCOUNT: &str = "/tenant";
/// The custom argument in which our command's id comes back.
const COMMAND: &str = "/longshore_command";

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "sendgrid",
    scheme: Some("sendgrid"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let account = reading.settings.fields.account.as_deref().unwrap_or(ACCOUNT);
    match serde_json::from_slice::<Vec<&RawValue>>(reading.body) {
        Ok(items) if items.len() <= MOST_ITEMS => {
            items.iter().enumerate().map(|(index, raw)| item(index, raw, account)).collect()
        }
        Ok(_) => {
            let fault = format!("not a list of at most {MOST_ITEMS} events");
            Item::unreadable((Reason::PayloadMalformed, fault))
        }
        Err(error) => Item::unreadable((Reason::PayloadMalformed, json_fault(&error))),
    }
}

fn item(index: usize, raw: &RawValue, account: &str) -> Item {
    let parsed = fields::body(raw.get().as_bytes());
    let draft = parsed.as_ref().map_err(Clone::clone).and_then(|item| {
        own_members_stand_once(item, raw)?;
        event(item, account)
    });
    Item { index: Some(index), json: parsed.ok(), draft }
}

/// SendGrid's own members. Custom arguments stand beside them, in the same object.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only that none of them stands twice is looked at")]
struct Own {
    email: Option<IgnoredAny>,
    timestamp: Option<IgnoredAny>,
    event: Option<IgnoredAny>,
    sg_event_id: Option<IgnoredAny>,
    sg_message_id: Option<IgnoredAny>,
    #[serde(rename = "smtp-id")]
    smtp_id: Option<IgnoredAny>,
    status: Option<IgnoredAny>,
}

/// A custom argument of a reserved name would otherwise take the place of what SendGrid says.
fn own_members_stand_once(item: &Value, raw: &RawValue) -> Result<(), Fault> {
    if !item.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    serde_json::from_str::<Own>(raw.get())
        .map(|_| ())
        .map_err(|_| mismatch("", "a member of SendGrid's own stands twice"))
}

fn event(item: &Value, account: &str) -> Result<Draft, Fault> {
    let name = fields::text(item, "/event")?;
    let state = state(&name)?;
    let email = fields::text(item, "/email")?;
    let at = fields::unix_seconds(item, "/timestamp")?;
    let id = id(item, &name, &email, at)?;
    let account = match item.pointer(account) {
        None | Some(Value::Null) => String::new(),
        Some(_) => fields::id(item, account)?,
    };
    let order_key = Some(format!("email:{email}"));
    let fact = match state {
        Some(state) => Fact::DeliveryStatus(status(item, state, at, email)?),
        None => {
            Fact::Notice(Notice { system: "sendgrid".to_owned(), subject: Some(email), data: item.clone() })
        }
    };
    let mut draft = Draft::new(name, account, id, Some(at), fact);
    draft.order_key = order_key;
    Ok(draft)
}

/// How far the e-mail got; `None` for what a person did with it afterwards.
fn state(event: &str) -> Result<Option<DeliveryState>, Fault> {
    match event {
        "processed" | "deferred" => Ok(Some(DeliveryState::Queued)),
        "delivered" => Ok(Some(DeliveryState::Delivered)),
        "bounce" | "dropped" => Ok(Some(DeliveryState::Failed)),
        "open" => Ok(Some(DeliveryState::Read)),
        "click" | "spamreport" | "unsubscribe" | "group_unsubscribe" | "group_resubscribe" => Ok(None),
        _ => Err((Reason::UnknownType, "/event: not one that this release knows".to_owned())),
    }
}

/// `sg_event_id`; events of older days have none, and get one made of what tells them apart. It is hashed, because
/// keys outlive the person's data.
fn id(item: &Value, event: &str, email: &str, at: Timestamp) -> Result<String, Fault> {
    match item.get("sg_event_id") {
        None | Some(Value::Null) => {
            let message = message_id(item)?;
            let [attempt, url] = ["attempt", "url"].map(|name| item.get(name).map(Value::to_string));
            let (at, rest) = (at.seconds().to_string(), [attempt, url].map(Option::unwrap_or_default));
            let parts = [&message, event, email, &at, &rest[0], &rest[1]].map(str::as_bytes);
            Ok(format!("composite-{}", sha256_hex(&parts)))
        }
        Some(_) => fields::text(item, "/sg_event_id"),
    }
}

fn status(
    item: &Value,
    state: DeliveryState,
    at: Timestamp,
    recipient: String,
) -> Result<DeliveryStatus, Fault> {
    let failed = state == DeliveryState::Failed;
    let code = || ["/status", "/type"].iter().find_map(|pointer| fields::optional_text(item, pointer));
    Ok(DeliveryStatus {
        channel: Channel::Email,
        vendor_id: message_id(item)?,
        state,
        at,
        recipient,
        error_code: failed.then(code).flatten(),
        command_id: fields::optional_text(item, COMMAND),
    })
}

/// The part that all events of an e-mail share with the `X-Message-Id` of its answer: what stands before the
/// machine that handled it (`.filter0001...`, `.recvd-...`). Without one, what stands before the first dot.
fn message_id(item: &Value) -> Result<String, Fault> {
    if let Some(smtp_id) = item.get("smtp-id").filter(|_| item.get("sg_message_id").is_none()) {
        let inner = smtp_id.as_str().map(|id| id.trim_matches(['<', '>']));
        let local = inner.and_then(|id| id.split('@').next()).filter(|id| !id.is_empty());
        return local.map(str::to_owned).ok_or_else(|| mismatch("/smtp-id", "text is required"));
    }
    let whole = fields::text(item, "/sg_message_id")?;
    let machine = [".filter", ".recv"].iter().filter_map(|name| whole.find(name)).min();
    let end = machine.or_else(|| whole.find('.')).unwrap_or(whole.len());
    match &whole[..end] {
        "" => Err(mismatch("/sg_message_id", "an id is required before the first dot")),
        id => Ok(id.to_owned()),
    }
}
