//! Pipedrive shows user and password, and speaks two versions.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::ids::{EventKey, SourceName},
};

const SENDER: &str = "Pipedrive";
const SOURCE: &str = "pipedrive";
/// The customer's company.
pub(crate) const COMPANY: &str = "8114207";
const PERSON: &str = "2051";
const DEAL: u64 = 377;
const WEBHOOK: u64 = 90_417;
const CHANGE: &str = "6d1e6c8a-41f3-4f0d-9a53-7b0c2f5e9d14";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let story = |name, id: &str, body: &Value, key: &EventKey| {
        let body = body.to_string().into_bytes();
        let call = bench.call(&Draft { source: SOURCE, id, body })?;
        anyhow::Ok(Sample::new(SENDER, name, call, vec![done(key)]))
    };
    let key = |id: &str| EventKey::new(&SourceName::from(SOURCE), COMPANY, id);
    let deal = format!("{WEBHOOK}:updated.deal:{DEAL}:{}", bench.ago(6).0);
    let name = Expect::Property {
        tenant: "acme",
        system: SOURCE,
        id: format!("{COMPANY}/{PERSON}"),
        name: "name",
        value: "Iris Quay",
    };
    Ok(vec![
        story("version 2: a person made", "pipedrive-2", &version_2(bench), &key(CHANGE))?.and(name),
        story("version 2: the same again, second attempt", "pipedrive-2-again", &again(bench), &key(CHANGE))
            .map(|sample| duplicate(sample, &key(CHANGE)))?
            .after(&["version 2: a person made"]),
        story("version 1: a deal changed", "pipedrive-1", &version_1(bench), &key(&deal))?,
    ])
}

fn duplicate(mut sample: Sample, key: &EventKey) -> Sample {
    sample.expects[0] = Expect::Duplicate { key: key.clone(), copy: 1 };
    sample
}

fn version_2(bench: &Workbench<'_>) -> Value {
    json!({
        "data": { "id": 2_051, "name": "Iris Quay", "emails": [{ "value": "iris@example.com", "primary": true }] },
        "previous": null,
        "meta": {
            "action": "create",
            "entity": "person",
            "entity_id": PERSON,
            "company_id": COMPANY,
            "id": CHANGE,
            "timestamp": bench.ago(7).to_string(),
            "attempt": 1,
            "version": "2.0",
        },
    })
}

/// `attempt` grows, the id stays.
fn again(bench: &Workbench<'_>) -> Value {
    let mut body = version_2(bench);
    body["meta"]["attempt"] = json!(2);
    body
}

fn version_1(bench: &Workbench<'_>) -> Value {
    let at = bench.ago(6);
    json!({
        "v": 1,
        "event": "updated.deal",
        "retry": 0,
        "current": { "id": DEAL, "title": "Berth 12", "stage_id": 4 },
        "previous": { "id": DEAL, "title": "Berth 12", "stage_id": 3 },
        "meta": {
            "v": 1,
            "action": "updated",
            "object": "deal",
            "id": DEAL,
            "company_id": 8_114_207,
            "webhook_id": WEBHOOK,
            "timestamp": at.seconds(),
            "timestamp_micro": at.0,
        },
    })
}
