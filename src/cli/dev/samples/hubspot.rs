//! HubSpot tells what changed in its contacts, up to a hundred events in one body.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        call::Call,
        sample::{Expect, Sample, done, item_rejected, rejected},
        workbench::{Draft, PORTAL, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        reason::Reason,
        record::DELETED,
        timestamp::Timestamp,
    },
    sources::sign::SignedMessage,
};

const SENDER: &str = "HubSpot";
const SOURCE: &str = "hubspot";
const APP: u64 = 54_321;
const SUBSCRIPTION: u64 = 2_301;
/// Events in the largest body that HubSpot sends.
const FULL: u64 = 100;

/// One change of one contact.
struct Change {
    event: u64,
    contact: u64,
    kind: &'static str,
    property: Option<(&'static str, String)>,
    at: Timestamp,
}

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = bodies(bench)?;
    samples.extend(order_of_time(bench)?);
    samples.extend(forgotten(bench)?);
    samples.extend(late_and_bad(bench)?);
    Ok(samples)
}

fn bodies(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let several: Vec<Change> = vec![
        Change { event: 1, contact: 501, kind: "contact.creation", property: None, at: bench.ago(9) },
        change(2, 501, "email", "ada@example.com", bench.ago(8)),
        change(3, 501, "firstname", "Ada", bench.ago(8)),
    ];
    let mut items: Vec<Value> = several.iter().map(Change::item).collect();
    items.insert(1, json!({ "eventId": 99, "subscriptionType": "contact.creation", "portalId": 62_515 }));
    let batch = sealed(bench, "batch", &json!(items))?;
    let mut expects: Vec<Expect> = several.iter().map(|change| done(&change.key())).collect();
    expects.push(item_rejected(&batch, 1, Reason::SchemaMismatch));
    let full: Vec<Change> =
        (0..FULL).map(|n| change(1_000 + n, 600 + n, "lifecyclestage", "lead", bench.ago(60))).collect();
    let items: Vec<Value> = full.iter().map(Change::item).collect();
    Ok(vec![
        Sample::new(SENDER, "four events, one of them bad", batch, expects),
        Sample::new(
            SENDER,
            "a hundred events in one body",
            posted(bench, "hundred", &json!(items))?,
            full.iter().map(|change| done(&change.key())).collect(),
        ),
    ])
}

fn order_of_time(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let newer = change(10, 502, "phone", "+15555550199", bench.ago(60));
    let older = change(11, 502, "phone", "+15555550111", bench.ago(3_600));
    let gone = Change { event: 12, contact: 503, kind: "contact.deletion", property: None, at: bench.ago(5) };
    let alone = |name, id: &str, change: &Change| {
        let message = posted(bench, id, &json!([change.item()]))?;
        anyhow::Ok(Sample::new(SENDER, name, message, vec![done(&change.key())]))
    };
    Ok(vec![
        alone("a newer value", "newer", &newer)?,
        alone("an older value, later: overwrites nothing", "older", &older)?
            .and(property(502, "phone", "+15555550199"))
            .after(&["a newer value"]),
        alone("a contact deleted", "deleted", &gone)?.and(property(503, DELETED, "true")),
    ])
}

/// A person asks to be forgotten.
fn forgotten(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let known = change(30, 507, "email", "gone@example.com", bench.ago(60));
    let kind = "contact.privacyDeletion";
    let order = Change { event: 31, contact: 507, kind, property: None, at: bench.ago(4) };
    let alone = |name, id: &str, change: &Change| {
        let call = posted(bench, id, &json!([change.item()]))?;
        anyhow::Ok(Sample::new(SENDER, name, call, vec![done(&change.key())]))
    };
    Ok(vec![
        alone("a contact who will ask to be forgotten", "known", &known)?,
        alone("a contact to be forgotten", "privacy", &order)?
            .after(&["a contact who will ask to be forgotten"]),
    ])
}

fn late_and_bad(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let days = 3 * 86_400;
    let waited = change(20, 504, "city", "Porto", bench.ago(days + 1));
    let draft = Draft { source: SOURCE, id: "waited", body: body(&json!([waited.item()])) };
    let request = bench.request(&draft, SOURCE, bench.ago(days))?;
    let late = bench.envelope(SOURCE, "waited", &request, bench.ago(days))?;
    let stale = change(21, 505, "city", "Faro", bench.ago(900));
    let draft = Draft { source: SOURCE, id: "stale", body: body(&json!([stale.item()])) };
    let request = bench.request(&draft, SOURCE, bench.ago(900))?;
    let stale = bench.envelope(SOURCE, "stale", &request, bench.base())?;
    let odd =
        Change { event: 22, contact: 506, kind: "contact.teleported", property: None, at: bench.ago(5) };
    let odd = sealed(bench, "odd", &json!([odd.item()]))?;
    let no_list = sealed(bench, "no-list", &json!({ "events": [] }))?;
    let (unknown, stale_too) =
        (item_rejected(&odd, 0, Reason::UnknownType), rejected(&stale, Reason::SigExpired));
    let malformed = rejected(&no_list, Reason::PayloadMalformed);
    Ok(vec![
        Sample::new(SENDER, "three days on the way: still good", late, vec![done(&waited.key())]),
        Sample::new(SENDER, "signed long before it was received", stale, vec![stale_too]),
        Sample::new(SENDER, "a kind of event that nobody knows", odd, vec![unknown]),
        Sample::new(SENDER, "an object instead of a list", no_list, vec![malformed]),
    ])
}

fn change(event: u64, contact: u64, property: &'static str, value: &str, at: Timestamp) -> Change {
    Change {
        event,
        contact,
        kind: "contact.propertyChange",
        property: Some((property, value.to_owned())),
        at,
    }
}

fn property(contact: u64, name: &'static str, value: &'static str) -> Expect {
    Expect::Property { tenant: "acme", system: "hubspot", id: format!("{PORTAL}/{contact}"), name, value }
}

fn body(items: &Value) -> Vec<u8> {
    items.to_string().into_bytes()
}

fn sealed(bench: &Workbench<'_>, id: &str, items: &Value) -> anyhow::Result<SignedMessage> {
    bench.vendor(&Draft { source: SOURCE, id, body: body(items) })
}

fn posted(bench: &Workbench<'_>, id: &str, items: &Value) -> anyhow::Result<Call> {
    bench.call(&Draft { source: SOURCE, id, body: body(items) })
}

impl Change {
    fn item(&self) -> Value {
        let mut item = json!({
            "eventId": self.event,
            "subscriptionId": SUBSCRIPTION,
            "portalId": 62_515,
            "appId": APP,
            "occurredAt": self.at.millis(),
            "subscriptionType": self.kind,
            "attemptNumber": 0,
            "objectId": self.contact,
        });
        if let Some((name, value)) = &self.property {
            item["propertyName"] = json!(name);
            item["propertyValue"] = json!(value);
        }
        item
    }

    fn key(&self) -> EventKey {
        let property = self.property.as_ref().map_or("", |(name, _)| *name);
        let id =
            format!("{APP}:{SUBSCRIPTION}:{}:{}:{}:{property}", self.event, self.contact, self.at.millis());
        EventKey::new(&SourceName::from(SOURCE), PORTAL, &id)
    }
}
