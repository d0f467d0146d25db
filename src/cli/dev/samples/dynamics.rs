//! Dynamics 365 shows a shared value and sends the whole context of an operation.

use serde_json::json;

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::ids::{EventKey, SourceName},
};

const SENDER: &str = "Dynamics 365";
const SOURCE: &str = "dynamics";
/// The customer's organisation.
pub(crate) const TENANT_ORGANIZATION: &str = "4f1c9a52-7d3e-4b86-a0f5-2c8e6d917b30";
const RECORD: &str = "b27d5e14-90ac-4f63-8e1b-5a7c3d2f6019";
const OPERATION: &str = "1e8f7a6b-5c4d-4e3f-9a2b-1c0d9e8f7a6b";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let context = json!({
        "MessageName": "Update",
        "PrimaryEntityName": "contact",
        "PrimaryEntityId": RECORD,
        "OrganizationId": TENANT_ORGANIZATION,
        "OperationId": OPERATION,
        "CorrelationId": "77c0b9a8-9f8e-4d7c-b6a5-94e3d2c1b0af",
        "Stage": 40,
        "OperationCreatedOn": format!("/Date({})/", bench.ago(5).millis()),
        "InputParameters": [{
            "key": "Target",
            "value": { "Attributes": [
                { "key": "lastname", "value": "Rasmussen" },
                { "key": "fax", "value": null },
            ] },
        }],
    });
    let call =
        bench.call(&Draft { source: SOURCE, id: "dynamics", body: context.to_string().into_bytes() })?;
    let key = EventKey::new(
        &SourceName::from(SOURCE),
        TENANT_ORGANIZATION,
        &format!("{OPERATION}:Update:{RECORD}:40"),
    );
    let name = Expect::Property {
        tenant: "acme",
        system: SOURCE,
        id: format!("{TENANT_ORGANIZATION}/{RECORD}"),
        name: "lastname",
        value: "Rasmussen",
    };
    Ok(vec![Sample::new(SENDER, "a contact changed", call, vec![done(&key), name])])
}
