//! What HubSpot says besides plain changes: orders to erase, merges, associations, generic types, the journal.

use longshore::domain::{
    event::{CrmChangeKind, Erase, Fact},
    reason::Reason,
};
use serde_json::{Value, json};

use crate::{
    senders::at,
    taking_apart::{of, only, place, with},
};

fn event(subscription_type: &str, more: Value) -> Value {
    let item = json!({ "eventId": 5, "subscriptionId": 6, "portalId": 7, "appId": 8, "attemptNumber": 2,
        "occurredAt": at(-60).millis(), "subscriptionType": subscription_type, "someday": { "new": [1] } });
    with(item, more)
}

fn id_of(subscription_type: &str, more: Value) -> String {
    only(of("hubspot", &json!([event(subscription_type, more)]))).unwrap().id
}

#[test]
fn nx_59_an_order_to_erase_is_no_deletion() {
    for (item, object) in [
        (event("contact.privacyDeletion", json!({ "objectId": 9 })), "contact"),
        (event("conversation.privacyDeletion", json!({ "objectId": 9 })), "conversation"),
        (event("object.GDPR_DELETE", json!({ "objectId": 9, "objectTypeId": "0-1" })), "contact"),
        (
            json!({ "action": "GDPR_DELETE", "objectTypeId": "0-1", "objectId": 9, "portalId": 7,
            "occurredAt": at(-60).millis() }),
            "contact",
        ),
    ] {
        let seen = only(of("hubspot", &json!([item]))).unwrap();
        let (system, object, object_id) = ("hubspot".to_owned(), object.to_owned(), "9".to_owned());
        assert_eq!(seen.fact, Fact::Erase(Erase { system, object, object_id }));
        assert_eq!((seen.account.as_str(), seen.occurred_at), ("7", Some(at(-60))));
    }
}

#[test]
fn nx_5_rce_4b_what_happened_to_which_record() {
    let other = |name: &str| CrmChangeKind::Other(name.to_owned());
    let property = json!({ "objectId": 9, "propertyName": "p", "propertyValue": "v" });
    let changed = CrmChangeKind::Changed([("p".to_owned(), Some("v".to_owned()))].into());
    for (name, more, object, object_id, change) in [
        ("ticket.creation", json!({ "objectId": 9 }), "ticket", "9", CrmChangeKind::Created),
        ("line_item.restore", json!({ "objectId": "0009" }), "line_item", "9", CrmChangeKind::Restored),
        (
            "company.merge",
            json!({ "primaryObjectId": 3, "mergedObjectIds": [4], "newObjectId": 5 }),
            "company",
            "3",
            other("company.merge"),
        ),
        (
            "deal.associationChange",
            json!({ "fromObjectId": 1, "toObjectId": 2, "associationRemoved": true }),
            "deal",
            "1-2",
            other("deal.associationChange"),
        ),
        (
            "conversation.newMessage",
            json!({ "objectId": 9, "messageId": "m", "messageType": "MESSAGE" }),
            "conversation",
            "9",
            other("conversation.newMessage"),
        ),
        ("conversation.propertyChange", property.clone(), "conversation", "9", changed.clone()),
        (
            "object.creation",
            json!({ "objectId": 9, "objectTypeId": "0-2" }),
            "company",
            "9",
            CrmChangeKind::Created,
        ),
        (
            "object.deletion",
            json!({ "objectId": 9, "objectTypeId": "2-345" }),
            "2-345",
            "9",
            CrmChangeKind::Deleted,
        ),
        ("object.propertyChange", property, "object", "9", changed),
    ] {
        let seen = only(of("hubspot", &json!([event(name, more)]))).unwrap();
        assert_eq!(seen.vendor_type, name);
        let Fact::CrmChange(told) = seen.fact else { panic!("{name}") };
        assert_eq!((told.object.as_str(), told.object_id.as_str(), told.change), (object, object_id, change));
    }
}

#[test]
fn a_retry_has_the_key_of_the_first_attempt_and_nothing_else_has() {
    let first = id_of("contact.creation", json!({ "objectId": 9 }));
    assert_eq!(first, id_of("contact.creation", json!({ "objectId": 9, "attemptNumber": 9 })));
    for more in [
        json!({ "objectId": 10 }),
        json!({ "objectId": 9, "eventId": 6 }),
        json!({ "objectId": 9, "appId": 1 }),
    ] {
        assert_ne!(first, id_of("contact.creation", more));
    }
}

#[test]
fn the_journals_answer_holds_no_event_and_bad_ids_name_their_place() {
    let answer = json!({ "url": "https://files.example/1.json", "expiresAt": "2026-11-20T12:00:00Z", "currentOffset": "o" });
    assert!(of("hubspot", &answer).is_empty());
    assert_eq!(
        place(&only(of("hubspot", &json!({ "url": 5, "currentOffset": "o" })))).0,
        Reason::PayloadMalformed
    );
    for (more, expected) in [
        (json!({}), "/objectId"),
        (json!({ "objectId": "9x" }), "/objectId"),
        (json!({ "objectId": 1e300 }), "/objectId"),
        (json!({ "objectId": 9, "portalId": {} }), "/portalId"),
        (json!({ "objectId": 9, "eventId": null }), "/eventId"),
        (json!({ "objectId": 9, "subscriptionType": 5 }), "/subscriptionType"),
        (json!({ "objectId": 9, "occurredAt": "today" }), "/occurredAt"),
    ] {
        let taken = only(of("hubspot", &json!([event("contact.creation", more)])));
        assert_eq!(place(&taken), (Reason::SchemaMismatch, expected));
    }
}
