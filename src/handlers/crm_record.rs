//! A record in a CRM changed: contacts are kept property by property, older never overwrites newer.

use crate::domain::{
    event::{CrmChange, CrmChangeKind, Event},
    outcome::Outcome,
    record::{ContactWrite, DELETED, PropertyWrite, STALE, Write},
};

/// Contacts become rows; other objects and other kinds of change are on record with their event, and no more.
pub(super) fn handle(event: &Event, change: &CrmChange) -> Outcome {
    let values: Vec<(String, Option<String>)> = match &change.change {
        // A creation also ends a deletion that is older: the versions decide.
        CrmChangeKind::Created | CrmChangeKind::Restored => vec![deleted("false")],
        CrmChangeKind::Deleted => vec![deleted("true")],
        CrmChangeKind::Changed(properties) => {
            properties.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
        }
        CrmChangeKind::Stale => vec![(STALE.to_owned(), Some("true".to_owned()))],
        CrmChangeKind::Other(_) => Vec::new(),
    };
    if change.object != "contact" || values.is_empty() {
        return Outcome::default();
    }
    let property = |(name, value)| PropertyWrite { name, value, at: change.at, tie: change.tie.clone() };
    let contact = ContactWrite {
        tenant: event.tenant.clone(),
        system: change.system.clone(),
        // Ids are unique within an account only, and one tenant may have several.
        external_id: format!("{}/{}", event.account, change.object_id),
        properties: values.into_iter().map(property).collect(),
    };
    Outcome { writes: vec![Write::Contact(contact)], commands: Vec::new() }
}

fn deleted(value: &str) -> (String, Option<String>) {
    (DELETED.to_owned(), Some(value.to_owned()))
}
