//! The three ways in which Salesforce sends: SOAP, a customer's own callout, and change data capture.

use longshore::domain::salesforce_id::SalesforceId;
use serde_json::{Value, json};

use super::{Case, Key, NAME, Proof, Told, contact, event, property};

/// The organisation, as it stands in keys and tables.
pub(crate) const ORGANIZATION: &str = "00D8c00000HbRqUEAV";

pub(super) const OUTBOUND_MESSAGE: Case = Case {
    source: "salesforce",
    vendor: "salesforce",
    scheme: "salesforce-outbound-message",
    key: Key::None,
    account: ORGANIZATION,
    settings: r#"{ "organization_ids": ["00D8c00000HbRqU"] }"#,
    proof: Proof::Organization { listed: "00D8c00000HbRqU", other: "00D8c00000HbRqV" },
    body: |told| {
        let (notification, record) = (notification(told.number), record(told.number));
        let (short, at) = (&record[..15], told.at);
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">
  <OrganizationId>00D8c00000HbRqU</OrganizationId><ActionId>04k8c0000000001</ActionId>
  <SessionId>{SESSION}</SessionId>
  <Notification><Id>{}</Id><sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
   <sf:Id>{short}</sf:Id><sf:LastName>{NAME}</sf:LastName><sf:LastModifiedDate>{at}</sf:LastModifiedDate>
  </sObject></Notification>
 </notifications></soapenv:Body></soapenv:Envelope>"#,
            &notification[..15]
        )
        .into_bytes()
    },
    events: |told| vec![event(format!("om:{}", notification(told.number)), "outbound_message", "crm_change")],
    rows: |told| {
        let id = format!("{ORGANIZATION}/{}", record(told.number));
        vec![contact("salesforce", &id), property("salesforce", &id, "LastName", NAME)]
    },
};

/// The credential that such a message carries, and nobody may keep.
pub(crate) const SESSION: &str = "00D8c00000HbRqU!AQ.not.to.be.kept";

pub(super) const APEX_CALLOUT: Case = Case {
    source: "salesforce-apex",
    vendor: "salesforce",
    scheme: "longshore",
    key: Key::Shared("whsec_aGFyYm91ci1hcGV4LXNlY3JldC0wMTIzNDU2Nzg="),
    account: ORGANIZATION,
    settings: "{}",
    proof: Proof::Bytes { timed: true },
    body: |told| {
        json!({
            "eventId": format!("apex-{}", told.number), "orgId": "00D8c00000HbRqU", "event": "opportunity.closed_won",
            "recordId": id(format!("0068c{:010}", told.number)), "occurredAt": told.at.to_string(), "stage": NAME,
        })
        .to_string()
        .into_bytes()
    },
    events: |told| vec![event(format!("apex:apex-{}", told.number), "apex_callout", "notice")],
    rows: |_| Vec::new(),
};

/// A change event of this organisation, as Event Relay puts it on an event bus.
pub(crate) fn change_event(told: &Told, organization: &str) -> Value {
    let header = json!({
        "entityName": "Contact", "recordIds": [record(told.number)], "changeType": "UPDATE",
        "transactionKey": format!("tx-{}", told.number), "sequenceNumber": 1, "commitTimestamp": told.at.millis(),
        "commitNumber": 77_000 + told.number, "nulledFields": [], "diffFields": [], "changedFields": ["LastName"],
    });
    json!({
        "version": "0", "id": format!("cccccccc-0000-4000-8000-{:012}", told.number), "account": "000000000000",
        "detail-type": "ContactChangeEvent", "region": "eu-west-1", "resources": [], "time": told.at.to_string(),
        "source": format!("aws.partner/salesforce.com/{organization}/0YL8c0000000001"),
        "detail": { "payload": { "ChangeEventHeader": header, "LastName": NAME } },
    })
}

/// The key's last part, and the rows.
pub(crate) fn of_change_event(told: &Told) -> (String, Vec<String>) {
    let id = format!("{ORGANIZATION}/{}", record(told.number));
    let rows = vec![contact("salesforce", &id), property("salesforce", &id, "LastName", NAME)];
    (format!("cdc:tx-{}:1:{}", told.number, record(told.number)), rows)
}

fn record(number: u64) -> String {
    id(format!("0038c{number:010}"))
}

fn notification(number: u64) -> String {
    id(format!("04l8c{number:010}"))
}

fn id(short: String) -> String {
    SalesforceId::parse(&short).unwrap().into()
}
