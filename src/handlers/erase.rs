//! A person is to be forgotten: what we hold about that record goes, a tombstone without personal data stays (NX-59).

use crate::domain::{
    data_subject::DataSubject,
    event::{Channel, Erase, Event},
    outcome::Outcome,
    record::{ContactWrite, DELETED, EraseWrite, PropertyWrite, Write},
};

/// What CRMs call a person.
const CONTACT: &str = "contact";

/// The tombstone first: the store then erases all but it, in the same transaction.
pub(super) fn handle(event: &Event, erase: &Erase) -> Outcome {
    let Erase { system, object, object_id } = erase;
    let at = event.occurred_at.unwrap_or(event.received_at);
    let tie = event.key.to_string();
    let in_account = format!("{}/{object_id}", event.account);
    let channel = Channel::ALL.into_iter().find(|channel| channel.name() == system);
    let mut subjects = vec![
        DataSubject::record(system, &event.account, object, object_id),
        // Notices do not say what kind of record they are about.
        DataSubject::record(system, &event.account, "", object_id),
    ];
    let (mut writes, mut contacts) = (Vec::new(), Vec::new());
    if object == CONTACT {
        let deleted = PropertyWrite { name: DELETED.to_owned(), value: Some("true".to_owned()), at, tie };
        writes.push(Write::Contact(ContactWrite {
            tenant: event.tenant.clone(),
            system: system.clone(),
            external_id: in_account.clone(),
            properties: vec![deleted],
        }));
        subjects.extend(channel.map(|channel| DataSubject::person(channel, object_id)));
        contacts = vec![in_account, object_id.clone()];
    }
    writes.push(Write::Erase(EraseWrite {
        tenant: event.tenant.clone(),
        source: event.source.clone(),
        system: system.clone(),
        object_id: object_id.clone(),
        subjects,
        contacts,
        channel,
        at,
    }));
    Outcome { writes, commands: Vec::new() }
}
