//! Salesforce: outbound messages, which want a SOAP acknowledgement, and a customer's own Apex code.

use serde_json::json;

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        salesforce_id::SalesforceId,
    },
};

const SENDER: &str = "Salesforce";
const SOURCE: &str = "salesforce";
const APEX: &str = "salesforce-apex";
/// The customer's organisation.
pub(crate) const ORGANIZATION: &str = "00D8d0000000kP7";
/// Notifications, their contacts, and the contacts' names.
const NOTIFICATIONS: [(&str, &str, &str); 2] = [
    ("04l8d0000000aQ1", "0038d000000Xy1A", "Ólafsdóttir"),
    ("04l8d0000000aQ2", "0038d000000Xy1B", "Pilot &amp; Sons"),
];
const OPPORTUNITY: &str = "0068d000000Qr5T";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let message = Draft { source: SOURCE, id: "outbound", body: outbound_message(bench).into_bytes() };
    let (organization, mut expects) = (id(ORGANIZATION)?, Vec::new());
    for (notification, contact, name) in NOTIFICATIONS {
        let key =
            EventKey::new(&SourceName::from(SOURCE), &organization, &format!("om:{}", id(notification)?));
        let value = if name.contains("&amp;") { "Pilot & Sons" } else { name };
        expects.push(done(&key));
        expects.push(Expect::Property {
            tenant: "acme",
            system: SOURCE,
            id: format!("{organization}/{}", id(contact)?),
            name: "LastName",
            value,
        });
    }
    let call = json!({
        "event": "opportunity.closed_won",
        "eventId": "closed-won-1",
        "orgId": ORGANIZATION,
        "recordId": OPPORTUNITY,
        "occurredAt": bench.ago(8).to_string(),
        "amount": 18_400,
    });
    let call = Draft { source: APEX, id: "apex_1", body: call.to_string().into_bytes() };
    let won = EventKey::new(&SourceName::from(APEX), &organization, "apex:closed-won-1");
    Ok(vec![
        Sample::new(SENDER, "two notifications in one message", bench.call(&message)?, expects),
        Sample::new(SENDER, "a callout of a customer's Apex code", bench.call(&call)?, vec![done(&won)]),
    ])
}

/// As it stands in keys: with the checksum.
fn id(text: &str) -> anyhow::Result<String> {
    Ok(SalesforceId::parse(text)?.as_str().to_owned())
}

fn outbound_message(bench: &Workbench<'_>) -> String {
    let modified = bench.ago(9);
    let notification = |(id, contact, name): (&str, &str, &str)| {
        format!(
            "<Notification><Id>{id}</Id><sObject xsi:type=\"sf:Contact\" \
             xmlns:sf=\"urn:sobject.enterprise.soap.sforce.com\"><sf:Id>{contact}</sf:Id>\
             <sf:LastName>{name}</sf:LastName><sf:LastModifiedDate>{modified}</sf:LastModifiedDate></sObject>\
             </Notification>"
        )
    };
    let notifications: String = NOTIFICATIONS.into_iter().map(notification).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>\
         <notifications xmlns=\"http://soap.sforce.com/2005/09/outbound\">\
         <OrganizationId>{ORGANIZATION}</OrganizationId><SessionId>not-a-session</SessionId>{notifications}\
         </notifications></soapenv:Body></soapenv:Envelope>"
    )
}
