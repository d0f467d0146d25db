//! Salesforce: outbound messages, events relayed through Amazon EventBridge, and callouts of a customer's own Apex
//! code. The body's shape tells which.

mod apex_callout;
mod change_event;
mod event_bridge;
mod outbound_message;
mod record;
mod relayed;

use crate::sources::{
    contract::{Item, Reading, Vendor},
    exact_json,
};

/// The row of the table.
pub(super) const VENDOR: Vendor = Vendor {
    name: "salesforce",
    scheme: Some("salesforce-outbound-message"),
    headers: &[],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let body = reading.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(reading.body);
    if body.trim_ascii_start().starts_with(b"<") {
        return outbound_message::items(body, reading.received_at).unwrap_or_else(Item::unreadable);
    }
    let items = exact_json::body(body).and_then(|json| {
        if event_bridge::is_wrapped(&json) {
            event_bridge::items(&json, reading)
        } else {
            Ok(vec![Item::alone(apex_callout::event(json, reading.settings))])
        }
    });
    items.unwrap_or_else(Item::unreadable)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::read;
    use crate::{
        config::SourceSettings,
        domain::{
            envelope::HttpRequest,
            event::{CrmChange, CrmChangeKind, Fact},
            reason::Reason,
            record::DELETED,
            timestamp::Timestamp,
        },
        sources::contract::{Draft, Item, Reading},
    };

    const ORG: &str = "00D7Q00000LmNoPUAV";
    const RECORD: &str = "0013000000AbCdEAAV";

    fn items(body: &[u8]) -> Vec<Item> {
        let request =
            HttpRequest { method: "POST".into(), url: String::new(), headers: vec![], body: vec![] };
        let settings = SourceSettings::of_vendor("salesforce").unwrap();
        read(&Reading {
            request: &request,
            body,
            received_at: Timestamp::from_seconds(1_790_000_000),
            settings: &settings,
            drills: false,
        })
    }

    fn drafts(body: &[u8]) -> Vec<Draft> {
        items(body).into_iter().map(|item| item.draft.unwrap_or_else(|fault| panic!("{fault:?}"))).collect()
    }

    fn faults(body: &[u8]) -> Vec<(Reason, String)> {
        items(body).into_iter().filter_map(|item| item.draft.err()).collect()
    }

    fn crm(draft: &Draft) -> &CrmChange {
        match &draft.fact {
            Fact::CrmChange(change) => change,
            other => panic!("{other:?}"),
        }
    }

    fn properties(draft: &Draft) -> Vec<(&str, Option<&str>)> {
        match &crm(draft).change {
            CrmChangeKind::Changed(all) => all.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect(),
            other => panic!("{other:?}"),
        }
    }

    const SOAP: &str = r#"<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"
      xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><e:Body><o:notifications xmlns:o="http://soap.sforce.com/2005/09/outbound">
      <o:OrganizationId>00D7Q00000LmNoP</o:OrganizationId><o:SessionId>00D!very.secret</o:SessionId>
      <o:Notification><o:Id>04l7Q00000AbCdE</o:Id><o:sObject i:type="p:Contact" xmlns:p="urn:sobject.enterprise.soap.sforce.com">
        <p:Id>0013000000AbCdE</p:Id><!-- x --><p:LastName>O&apos;Br<!-- x -->i&#xE9;n <![CDATA[& <b>]]></p:LastName><p:Email i:nil="true"/>
        <p:Big__c>9007199254740993.10</p:Big__c><p:SessionId>00D!very.secret</p:SessionId><p:OrganizationId>00D000000000001</p:OrganizationId>
        <p:MailingAddress><p:city>Ulm</p:city></p:MailingAddress><p:LastModifiedDate>2026-09-20T10:00:00.250Z</p:LastModifiedDate>
      </o:sObject></o:Notification>
      <o:Notification><o:Id>04l7Q00000AbCdF</o:Id><o:sObject i:type="p:Contact" xmlns:p="urn:x"><p:Id>0013000000AbCdEAAA</p:Id></o:sObject></o:Notification>
      </o:notifications></e:Body></e:Envelope>"#;

    #[test]
    fn nx_5_an_outbound_message_tells_the_record_and_never_the_session() {
        let mut found = items(SOAP.as_bytes());
        assert_eq!(found.len(), 2);
        let (reason, detail) = found.pop().unwrap().draft.map(|_| ()).unwrap_err();
        assert_eq!(reason, Reason::SchemaMismatch);
        assert!(detail.starts_with("/Envelope/Body/notifications/Notification[1]/sObject/Id:"), "{detail}");
        let draft = found.pop().unwrap().draft.unwrap_or_else(|fault| panic!("{fault:?}"));
        assert_eq!((draft.vendor_type.as_str(), draft.account.as_str()), ("outbound_message", ORG));
        assert!(draft.id.starts_with("om:04l7Q00000AbCdE") && draft.id.len() == 21, "{}", draft.id);
        assert_eq!(draft.occurred_at.map(Timestamp::millis), Some(1_789_898_400_250));
        assert_eq!(draft.order_key, Some(format!("salesforce:{ORG}:contact:{RECORD}")));
        assert_eq!((crm(&draft).object.as_str(), crm(&draft).object_id.as_str()), ("contact", RECORD));
        let expected = [
            ("Big__c", Some("9007199254740993.10")),
            ("Email", None),
            ("LastModifiedDate", Some("2026-09-20T10:00:00.250Z")),
            ("LastName", Some("O'Brién & <b>")),
            ("MailingAddress.city", Some("Ulm")),
            ("OrganizationId", Some("00D000000000001")),
        ];
        assert_eq!(properties(&draft), expected);
        assert!(!format!("{:?}", draft.fact).contains("secret"));
    }

    #[test]
    fn an_outbound_message_has_1_to_100_notifications_and_no_dtd() {
        let of = |count: usize| {
            let one =
                &SOAP[SOAP.find("<o:Notification>").unwrap()..SOAP.find("</o:Notification>").unwrap() + 17];
            let start = &SOAP[..SOAP.find("<o:Notification>").unwrap()];
            format!("{start}{}</o:notifications></e:Body></e:Envelope>", one.repeat(count))
        };
        assert_eq!(drafts(of(100).as_bytes()).len(), 100);
        for (body, reason) in [
            (of(0), Reason::SchemaMismatch),
            (of(101), Reason::SchemaMismatch),
            (
                SOAP.replace("<e:Envelope", "<!DOCTYPE a [<!ENTITY b 'c'>]><e:Envelope"),
                Reason::PayloadMalformed,
            ),
            (SOAP.replace("&apos;", "&laughs;"), Reason::PayloadMalformed),
            (SOAP.replace("Ulm", &("<a>".repeat(500) + &"</a>".repeat(500))), Reason::PayloadMalformed),
            ("<a>".repeat(200_000), Reason::PayloadMalformed),
            (SOAP.replace("00D7Q00000LmNoP<", "00D7Q00000LmNo<"), Reason::SchemaMismatch),
            (
                SOAP.replace("p:city>", "p:a>").replace("Ulm", &("<a>".repeat(9) + &"</a>".repeat(9))),
                Reason::SchemaMismatch,
            ),
            (SOAP.replace("p:Contact", "p:"), Reason::SchemaMismatch),
            (SOAP.replace(".250Z", ""), Reason::SchemaMismatch),
        ] {
            assert_eq!(faults(body.as_bytes()).first().map(|fault| fault.0), Some(reason), "{body}");
        }
    }

    fn cdc(change_type: &str) -> Value {
        json!({
            "version": "0", "id": "5b0f0b1e-1111-4222-8333-000000000001", "detail-type": "ContactChangeEvent",
            "source": format!("aws.partner/salesforce.com/{ORG}/0YL000000000001"), "time": "2026-09-20T10:00:01Z",
            "detail": {"payload": {
                "ChangeEventHeader": {
                    "entityName": "Contact", "recordIds": ["0013000000AbCdE", "0013000000ABCDEAAV"], "changeType": change_type,
                    "transactionKey": "000a-1", "sequenceNumber": 2, "commitTimestamp": 1_789_898_400_123_i64,
                    "commitNumber": 9_007_199_254_740_993_u64, "nulledFields": ["Phone", "Name.Suffix"],
                    "changedFields": ["Name.LastName", "Fax"], "diffFields": [],
                },
                "Name": {"LastName": "Ünal", "Suffix": null, "FirstName": null}, "Fax": null, "Title": null, "Amount__c": 0.5, "Done__c": true,
            }},
        })
    }

    #[test]
    fn nx_5_a_change_event_gives_one_event_for_each_record() {
        let mut body = cdc("UPDATE");
        body["detail"]["payload"]["ChangeEventHeader"]["recordIds"] =
            json!(["0013000000AbCdE", "00q000000000001", "001*", 7]);
        let text = body.to_string().replace("0.5", "12.50");
        let found = items(text.as_bytes());
        let good: Vec<&Draft> = found.iter().filter_map(|item| item.draft.as_ref().ok()).collect();
        assert_eq!((found.len(), good.len()), (4, 3));
        assert_eq!((good[0].vendor_type.as_str(), good[0].account.as_str()), ("cdc", ORG));
        assert_eq!(good[0].id, format!("cdc:000a-1:2:{RECORD}"));
        assert_eq!(good[0].occurred_at.map(Timestamp::millis), Some(1_789_898_400_123));
        assert_eq!(crm(good[0]).tie, "00009007199254740993:0000000002");
        let expected = [
            ("Amount__c", Some("12.50")),
            ("Done__c", Some("true")),
            ("Fax", None),
            ("Name.LastName", Some("Ünal")),
            ("Name.Suffix", None),
            ("Phone", None),
        ];
        assert_eq!(properties(good[0]), expected);
        assert_eq!((crm(good[2]).object_id.as_str(), &crm(good[2]).change), ("001*", &CrmChangeKind::Stale));
        let (reason, detail) = found[3].draft.as_ref().map(|_| ()).unwrap_err();
        assert_eq!(*reason, Reason::SchemaMismatch);
        assert!(detail.starts_with("/detail/payload/ChangeEventHeader/recordIds/3"), "{detail}");
    }

    #[test]
    fn both_relays_and_every_change_type_are_understood() {
        for (change_type, kind, change) in [
            ("DELETE", "cdc", CrmChangeKind::Deleted),
            ("UNDELETE", "cdc", CrmChangeKind::Restored),
            ("GAP_UPDATE", "cdc_gap", CrmChangeKind::Stale),
            ("GAP_OVERFLOW", "cdc_gap", CrmChangeKind::Stale),
        ] {
            let relayed = cdc(change_type);
            let mut appflow = relayed.clone();
            appflow["detail"] = relayed["detail"]["payload"].clone();
            for body in [relayed, appflow] {
                let Some(draft) = drafts(body.to_string().as_bytes()).into_iter().next() else {
                    panic!("{body}")
                };
                assert_eq!((draft.vendor_type.as_str(), &crm(&draft).change), (kind, &change));
            }
        }
        // With the mark that ends a deletion.
        assert_eq!(properties(&drafts(cdc("CREATE").to_string().as_bytes())[0])[0], (DELETED, Some("false")));
        assert_eq!(faults(cdc("MERGE").to_string().as_bytes())[0].0, Reason::UnknownType);
        let mut differences = cdc("UPDATE");
        differences["detail"]["payload"]["ChangeEventHeader"]["diffFields"] = json!(["Description"]);
        assert_eq!(crm(&drafts(differences.to_string().as_bytes())[0]).change, CrmChangeKind::Stale);
    }

    #[test]
    fn rce_4_platform_events_and_apex_callouts_are_notices() {
        let mut event = cdc("UPDATE");
        event["detail-type"] = json!("Lead_Moved__e");
        event["detail"]["payload"] = json!({"CreatedDate": 1_789_898_400_001_i64, "Record_Id__c": "0013000000AbCdE", "SessionId": "secret"});
        let draft = &drafts(event.to_string().as_bytes())[0];
        assert_eq!(
            (draft.vendor_type.as_str(), draft.id.as_str()),
            ("platform_event", "eb:5b0f0b1e-1111-4222-8333-000000000001")
        );
        assert_eq!(draft.occurred_at.map(Timestamp::millis), Some(1_789_898_400_001));
        let Fact::Notice(notice) = &draft.fact else { panic!("{:?}", draft.fact) };
        assert_eq!(notice.subject.as_deref(), Some(RECORD));
        assert!(!notice.data.to_string().contains("secret"));

        let apex = r#"{"event":"Deal.won","orgId":"00D7Q00000LmNoP","recordId":"0013000000abcdeaav","eventId":9007199254740993,
            "occurredAt":"2026-09-20T12:00:00.000+0200","a":{"sessionId":"secret","n":1.10}}"#;
        let draft = &drafts(apex.as_bytes())[0];
        assert_eq!(
            (draft.vendor_type.as_str(), draft.id.as_str()),
            ("apex_callout", "apex:9007199254740993")
        );
        assert_eq!(
            (draft.account.as_str(), draft.occurred_at.map(Timestamp::seconds)),
            (ORG, Some(1_789_898_400))
        );
        assert_eq!(draft.order_key, Some(format!("salesforce:{ORG}:deal:{RECORD}")));
        let Fact::Notice(notice) = &draft.fact else { panic!("{:?}", draft.fact) };
        assert_eq!(notice.data["a"], json!({"n": "1.10"}));
    }

    #[test]
    fn a_wrong_type_anywhere_is_refused_by_its_place_or_ignored() {
        let header = "/detail/payload/ChangeEventHeader";
        for (pointer, place) in [
            ("/source", "/source"),
            ("/detail/payload", "/detail/payload"),
            (header, header),
            (&format!("{header}/transactionKey"), "/transactionKey"),
            (&format!("{header}/sequenceNumber"), "/sequenceNumber"),
            (&format!("{header}/commitTimestamp"), "/commitTimestamp"),
            (&format!("{header}/commitNumber"), "/commitNumber"),
            (&format!("{header}/changeType"), "/changeType"),
            (&format!("{header}/entityName"), "/entityName"),
            (&format!("{header}/recordIds"), "/recordIds"),
            (&format!("{header}/nulledFields"), "/nulledFields"),
        ] {
            let mut body = cdc("UPDATE");
            *body.pointer_mut(pointer).unwrap() = json!(true);
            let found = faults(body.to_string().as_bytes());
            assert_eq!(found[0].0, Reason::SchemaMismatch, "{pointer}");
            assert!(found[0].1.contains(place), "{pointer}: {}", found[0].1);
        }
        for body in [
            "[]",
            "7",
            "{}",
            r#"{"eventId":{}}"#,
            r#"{"eventId":"a","orgId":7}"#,
            r#"{"eventId":"a","orgId":"00D"}"#,
        ] {
            assert_eq!(faults(body.as_bytes())[0].0, Reason::SchemaMismatch, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            items(&bytes);
        }

        #[test]
        fn no_mutation_makes_it_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<bool>(), xml in any::<bool>()) {
            let mut body = if xml { SOAP.as_bytes().to_vec() } else { cdc("UPDATE").to_string().into_bytes() };
            let at = at.index(body.len());
            if cut { body.truncate(at) } else { body[at] = with }
            items(&body);
        }
    }
}
