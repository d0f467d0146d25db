//! CRM systems that tell which record changed.

use serde_json::json;

use super::{Case, Key, NAME, Proof, contact, event, property};

pub(super) const HUBSPOT: Case = Case {
    source: "hubspot",
    vendor: "hubspot",
    scheme: "hubspot-v3",
    key: Key::Shared("0b5e-client-of-the-harbour"),
    account: "4410",
    settings: "{}",
    proof: Proof::Bytes { timed: true },
    body: |told| {
        let of = |event: u64, subscription: &str| {
            json!({
                "appId": 71, "portalId": 4410, "subscriptionId": 82, "eventId": told.number * 10 + event,
                "objectId": 9_000 + told.number, "occurredAt": told.at.millis(), "subscriptionType": subscription,
                "attemptNumber": 0,
            })
        };
        let mut change = of(2, "contact.propertyChange");
        change["propertyName"] = json!("firstname");
        change["propertyValue"] = json!(NAME);
        json!([of(1, "contact.creation"), change, of(3, "company.deletion")]).to_string().into_bytes()
    },
    events: |told| {
        let id = |event: u64, name: &str| {
            let (number, object, at) = (told.number * 10 + event, 9_000 + told.number, told.at.millis());
            format!("71:82:{number}:{object}:{at}:{name}")
        };
        vec![
            event(id(1, ""), "contact.creation", "crm_change"),
            event(id(2, "firstname"), "contact.propertyChange", "crm_change"),
            event(id(3, ""), "company.deletion", "crm_change"),
        ]
    },
    rows: |told| {
        let id = format!("4410/{}", 9_000 + told.number);
        vec![contact("hubspot", &id), property("hubspot", &id, "firstname", NAME)]
    },
};

pub(super) const PIPEDRIVE: Case = Case {
    source: "pipedrive",
    vendor: "pipedrive",
    scheme: "basic-auth",
    key: Key::Shared("harbour:a long pass: phrase"),
    account: "880",
    settings: "{}",
    proof: Proof::Credential { wrong: "harbour:a long pass: phrasE" },
    body: |told| {
        let meta = json!({
            "action": "change", "entity": "person", "entity_id": (300 + told.number).to_string(), "company_id": "880",
            "id": format!("pd-{}", told.number), "timestamp": told.at.to_string(), "version": "2.0", "attempt": 1,
        });
        let data = json!({ "id": 300 + told.number, "name": NAME, "label": "hot" });
        json!({ "meta": meta, "data": data, "previous": { "name": "Merlin" } }).to_string().into_bytes()
    },
    events: |told| vec![event(format!("pd-{}", told.number), "change.person", "crm_change")],
    rows: |told| {
        let id = format!("880/{}", 300 + told.number);
        vec![contact("pipedrive", &id), property("pipedrive", &id, "name", NAME)]
    },
};

const ORGANIZATION: &str = "0e0e0e0e-1111-4222-8333-444444444444";

pub(super) const DYNAMICS: Case = Case {
    source: "dynamics",
    vendor: "dynamics",
    scheme: "dataverse",
    key: Key::Shared("a-shared-value-of-32-characters!"),
    account: ORGANIZATION,
    settings: r#"{ "credential_in": "header:X-Harbour-Key" }"#,
    proof: Proof::Credential { wrong: "a-shared-value-of-32-characters?" },
    body: |told| {
        let attribute = json!({ "key": "lastname", "value": NAME });
        let target = json!({ "key": "Target", "value": { "Attributes": [attribute] } });
        let context = json!({
            "MessageName": "Update", "PrimaryEntityName": "contact", "PrimaryEntityId": record(told.number),
            "OrganizationId": ORGANIZATION, "OperationId": operation(told.number), "Stage": 40,
            "CorrelationId": operation(told.number), "InputParameters": [target],
            "OperationCreatedOn": format!("/Date({})/", told.at.millis()),
        });
        context.to_string().into_bytes()
    },
    events: |told| {
        let id = format!("{}:Update:{}:40", operation(told.number), record(told.number));
        vec![event(id, "Update.contact", "crm_change")]
    },
    rows: |told| {
        let id = format!("{ORGANIZATION}/{}", record(told.number));
        vec![contact("dynamics", &id), property("dynamics", &id, "lastname", NAME)]
    },
};

fn record(number: u64) -> String {
    format!("aaaaaaaa-0000-4000-8000-{number:012}")
}

fn operation(number: u64) -> String {
    format!("bbbbbbbb-0000-4000-8000-{number:012}")
}
