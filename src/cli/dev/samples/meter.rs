//! A sender of lists, found by pointers and proved as Slack does, that is faster than its settings allow.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        reason::Reason,
    },
};

const SENDER: &str = "By pointers";
const SOURCE: &str = "meter";
const STATION: &str = "pier-9";
/// Events that the station may have worked in a minute: the next one waits for two seconds.
pub(crate) const PER_MINUTE: usize = 30;

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let ids: Vec<String> = (0..=PER_MINUTE).map(|number| format!("reading-{number}")).collect();
    let reading = |id: &String| json!({ "id": id, "station": STATION, "at": bench.ago(3).millis() });
    let body = json!({ "readings": ids.iter().map(reading).collect::<Vec<Value>>() });
    let call = bench.call(&Draft { source: SOURCE, id: "readings", body: body.to_string().into_bytes() })?;
    let keys: Vec<EventKey> =
        ids.iter().map(|id| EventKey::new(&SourceName::from(SOURCE), STATION, id)).collect();
    let mut expects: Vec<Expect> = keys.iter().map(done).collect();
    expects.extend(
        keys.into_iter().next().map(|with| Expect::OneWaits { with, reason: Reason::SenderRateLimited }),
    );
    Ok(vec![Sample::new(SENDER, "one reading more than its sender may have", call, expects)])
}
