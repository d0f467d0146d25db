//! Dynamics 365 (Dataverse) webhooks: the serialised `RemoteExecutionContext` of one operation.

mod attributes;

use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        event::{CrmChange, CrmChangeKind, Fact},
        timestamp::Timestamp,
    },
    sources::{
        contract::{Draft, Item, Reading, Vendor},
        exact_json, fields,
        records::{Properties, changed, created},
        rejection::{Fault, mismatch},
        vendors::dynamics::attributes::{date, guid, input, properties},
    },
};

/// Name of the system in facts.
const SYSTEM: &str = "dynamics";
/// Set when a body of more than 256 KB lost its parameters and images.
const SIZE_EXCEEDED: &str = "x-ms-dynamics-msg-size-exceeded";
/// Host name of the organisation.
const ORGANIZATION: &str = "x-ms-dynamics-organization";

/// The row of the table. The headers are information, no credentials.
pub(super) const VENDOR: Vendor = Vendor {
    name: "dynamics",
    scheme: Some("dataverse"),
    headers: &[
        ORGANIZATION,
        "x-ms-dynamics-entity-name",
        "x-ms-dynamics-request-name",
        "x-ms-correlation-request-id",
        SIZE_EXCEEDED,
    ],
    jobs: false,
    tenant_by_account: true,
    read,
};

fn read(reading: &Reading<'_>) -> Vec<Item> {
    let body = reading.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(reading.body);
    match exact_json::body(body) {
        Ok(context) => vec![Item::alone(event(&context, reading))],
        Err(fault) => Item::unreadable(fault),
    }
}

fn event(context: &Value, reading: &Reading<'_>) -> Result<Draft, Fault> {
    if !context.is_object() {
        return Err(mismatch("", "an object is expected"));
    }
    let message = fields::text(context, "/MessageName")?;
    let entity = fields::text(context, "/PrimaryEntityName")?;
    let record = guid(context, "/PrimaryEntityId")?
        .ok_or_else(|| mismatch("/PrimaryEntityId", "a GUID is required"))?;
    let organization = organization(context, reading)?;
    let correlation = guid(context, "/CorrelationId")?.filter(|id| !id.is_nil());
    // Synchronous steps have no operation of their own.
    let operation = guid(context, "/OperationId")?
        .filter(|id| !id.is_nil())
        .or(correlation)
        .ok_or_else(|| mismatch("/OperationId", "a GUID is required, here or as CorrelationId"))?;
    let stage = match context.get("Stage") {
        None | Some(Value::Null) => String::new(),
        Some(_) => fields::whole_number(context, "/Stage")?,
    };
    let occurred_at = match context.get("OperationCreatedOn") {
        None | Some(Value::Null) => None,
        Some(value) => Some(happened(value)?),
    };
    let object = entity.to_lowercase();
    let order_key = format!("{SYSTEM}:{organization}:{object}:{record}");
    let fact = Fact::CrmChange(CrmChange {
        system: SYSTEM.to_owned(),
        object,
        object_id: record.to_string(),
        change: change(context, &message, reading)?,
        at: occurred_at.unwrap_or(reading.received_at),
        tie: tie(context, operation),
    });
    let id = format!("{operation}:{message}:{record}:{stage}");
    let mut draft = Draft::new(format!("{message}.{entity}"), organization, id, occurred_at, fact);
    draft.order_key = Some(order_key);
    draft.correlation = correlation.map(|id| id.to_string());
    Ok(draft)
}

/// The organisation's id; where the body has none, its host name.
fn organization(context: &Value, reading: &Reading<'_>) -> Result<String, Fault> {
    if let Some(id) = guid(context, "/OrganizationId")? {
        return Ok(id.to_string());
    }
    reading
        .request
        .header(ORGANIZATION)
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !name.is_empty())
        .ok_or_else(|| mismatch("/OrganizationId", "a GUID is required, here or as a header"))
}

fn happened(value: &Value) -> Result<Timestamp, Fault> {
    value
        .as_str()
        .and_then(date)
        .filter(|at| *at >= Timestamp::default())
        .ok_or_else(|| mismatch("/OperationCreatedOn", "a date such as /Date(0)/ is expected"))
}

/// What was done to the record. A body that lost its parameters tells only that something was.
fn change(context: &Value, message: &str, reading: &Reading<'_>) -> Result<CrmChangeKind, Fault> {
    let told = || -> Result<Option<Properties>, Fault> {
        if reading.request.header(SIZE_EXCEEDED).is_some() {
            return Ok(None);
        }
        Ok(properties(context)?.filter(|properties| !properties.is_empty()))
    };
    match message {
        "Create" => Ok(told()?.map_or(CrmChangeKind::Stale, |properties| created(Some(properties)))),
        "Update" | "Upsert" => Ok(changed(told()?)),
        "Delete" => Ok(CrmChangeKind::Deleted),
        "Restore" => Ok(CrmChangeKind::Restored),
        _ => Ok(CrmChangeKind::Other(message.to_owned())),
    }
}

/// The row's version, where told, counts up; padded, so that ties are broken in the order of the numbers.
fn tie(context: &Value, operation: Uuid) -> String {
    let version = input(context, "Target")
        .and_then(|target| fields::optional_text(target, "/RowVersion"))
        .filter(|version| version.len() <= 20 && version.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or_default();
    format!("{version:0>20}:{operation}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{SIZE_EXCEEDED, read};
    use crate::{
        config::SourceSettings,
        domain::{
            envelope::HttpRequest,
            event::{CrmChange, CrmChangeKind, Fact},
            reason::Reason,
            timestamp::Timestamp,
        },
        sources::{
            contract::{Draft, Reading},
            rejection::Fault,
        },
    };

    const RECORD: &str = "11111111-2222-3333-4444-55555555aaaa";

    fn event(body: &[u8], headers: &[(&str, &str)]) -> Result<Draft, Fault> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let request = HttpRequest { method: "POST".into(), url: String::new(), headers, body: vec![] };
        let settings = SourceSettings::of_vendor("dynamics").unwrap();
        let received_at = Timestamp::from_seconds(1_790_000_000);
        let reading = Reading { request: &request, body, received_at, settings: &settings, drills: false };
        read(&reading).pop().unwrap().draft
    }

    fn draft(body: &str, headers: &[(&str, &str)]) -> Draft {
        event(body.as_bytes(), headers).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    fn crm(draft: &Draft) -> &CrmChange {
        match &draft.fact {
            Fact::CrmChange(change) => change,
            other => panic!("{other:?}"),
        }
    }

    fn context(message: &str) -> Value {
        json!({
            "MessageName": message, "PrimaryEntityName": "Contact", "PrimaryEntityId": "{11111111-2222-3333-4444-55555555AAAA}",
            "OrganizationId": "0A0A0A0A0B0B0C0C0D0D0E0E0E0E0E0E", "OperationId": "00000000-0000-0000-0000-000000000000",
            "CorrelationId": "99999999-8888-7777-6666-555555555555", "Stage": 40,
            "OperationCreatedOn": "/Date(1789898400123-0700)/",
            "InputParameters": [{"key": "Other", "value": 1}, {"key": "Target", "value": {"RowVersion": "77", "Attributes": [
                {"key": "lastname", "value": "Ünal"}, {"key": "fax", "value": null}, {"key": "birthdate", "value": "/Date(-86400000)/"},
                {"key": "parent", "value": {"__type": "EntityReference:x", "Id": "{AAAAAAAA-0000-0000-0000-000000000001}", "LogicalName": "account"}},
                {"key": "state", "value": {"Value": 3}}, {"key": "income", "value": {"Value": 0.5}}, {"key": "alive", "value": true},
                {"key": "kinds", "value": [{"Value": 1}, {"Value": 2}]}, {"key": "big", "value": 9_007_199_254_740_993_u64},
            ]}}],
        })
    }

    #[test]
    fn nx_5_an_update_tells_its_attributes() {
        let body = context("Update")
            .to_string()
            .replace("0.5", "12.50")
            .replace("/Date", "\\/Date")
            .replace(")/", ")\\/");
        let found = draft(&body, &[]);
        let org = "0a0a0a0a-0b0b-0c0c-0d0d-0e0e0e0e0e0e";
        assert_eq!((found.vendor_type.as_str(), found.account.as_str()), ("Update.Contact", org));
        assert_eq!(found.id, format!("99999999-8888-7777-6666-555555555555:Update:{RECORD}:40"));
        assert_eq!(found.occurred_at.map(Timestamp::millis), Some(1_789_898_400_123));
        assert_eq!(found.order_key, Some(format!("dynamics:{org}:contact:{RECORD}")));
        let CrmChangeKind::Changed(properties) = &crm(&found).change else { panic!("{:?}", found.fact) };
        let properties: Vec<_> = properties.iter().map(|(n, v)| (n.as_str(), v.as_deref())).collect();
        let expected = [
            ("alive", Some("true")),
            ("big", Some("9007199254740993")),
            ("birthdate", Some("1969-12-31T00:00:00Z")),
            ("fax", None),
            ("income", Some("12.50")),
            ("kinds", Some(r#"["1","2"]"#)),
            ("lastname", Some("Ünal")),
            ("parent", Some("aaaaaaaa-0000-0000-0000-000000000001")),
            ("state", Some("3")),
        ];
        assert_eq!(properties, expected);
        assert_eq!(crm(&found).tie, "00000000000000000077:99999999-8888-7777-6666-555555555555");
    }

    #[test]
    fn what_a_body_does_not_tell_must_be_read_again() {
        let mut bare = context("Create");
        bare["InputParameters"] = Value::Null;
        let stale = &CrmChangeKind::Stale;
        assert_eq!(&crm(&draft(&bare.to_string(), &[])).change, stale);
        assert_eq!(&crm(&draft(&context("Update").to_string(), &[(SIZE_EXCEEDED, "true")])).change, stale);
        for (message, change) in [
            ("Delete", CrmChangeKind::Deleted),
            ("Restore", CrmChangeKind::Restored),
            ("Assign", CrmChangeKind::Other("Assign".to_owned())),
        ] {
            assert_eq!(crm(&draft(&context(message).to_string(), &[(SIZE_EXCEEDED, "true")])).change, change);
        }
    }

    #[test]
    fn the_header_names_the_organisation_where_the_body_does_not() {
        let mut body = context("Delete");
        body["OrganizationId"] = Value::Null;
        assert!(event(body.to_string().as_bytes(), &[]).is_err());
        assert_eq!(
            draft(&body.to_string(), &[(super::ORGANIZATION, "Org.CRM.example")]).account,
            "org.crm.example"
        );
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_place() {
        for (pointer, value) in [
            ("/MessageName", json!("")),
            ("/PrimaryEntityName", json!(7)),
            ("/PrimaryEntityId", json!("11111111")),
            ("/OrganizationId", json!([])),
            ("/OperationId", json!(1)),
            ("/CorrelationId", json!("x")),
            ("/Stage", json!("40")),
            ("/OperationCreatedOn", json!("/Date(99999999999999999999)/")),
            ("/OperationCreatedOn", json!("/Date(-1)/")),
            ("/OperationCreatedOn", json!("/Date(1+Ä123)/")),
            ("/OperationCreatedOn", json!(5)),
            ("/InputParameters", json!({})),
            ("/InputParameters/1/value/Attributes", json!("x")),
            ("/InputParameters/1/value/Attributes/0", json!(null)),
        ] {
            let mut body = context("Update");
            *body.pointer_mut(pointer).unwrap() = value;
            let (reason, detail) = event(body.to_string().as_bytes(), &[]).map(|_| ()).unwrap_err();
            assert_eq!(reason, Reason::SchemaMismatch, "{pointer}");
            assert!(detail.starts_with(pointer.get(..10).unwrap_or(pointer)), "{pointer}: {detail}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_and_no_mutation_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), with in any::<u8>(), date in ".{0,12}"
        ) {
            let _ = event(&bytes, &[]);
            let mut body = context("Update").to_string().into_bytes();
            let at = at.index(body.len());
            body[at] = with;
            let _ = event(&body, &[]);
            let _ = super::attributes::date(&format!("/Date({date})/"));
        }
    }
}
