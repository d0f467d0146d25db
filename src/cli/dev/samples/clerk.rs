//! Clerk sends through Svix. Its source has the edge check the signature, too.

use serde_json::json;

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::ids::{EventKey, SourceName},
};

const SENDER: &str = "Clerk";
const SOURCE: &str = "clerk";
/// The customer's instance.
pub(crate) const INSTANCE: &str = "ins_3Qd8LighthouseKeeper01";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let call = |id: &str, user: &str| {
        let body = json!({
            "type": "user.created",
            "object": "event",
            "instance_id": INSTANCE,
            "timestamp": bench.ago(5).millis(),
            "data": { "id": user, "first_name": "Jonas", "created_at": bench.ago(5).millis() },
        });
        bench.call(&Draft { source: SOURCE, id, body: body.to_string().into_bytes() })
    };
    let key = EventKey::new(&SourceName::from(SOURCE), INSTANCE, "msg_clerk1");
    let (first, forged) = (call("msg_clerk1", "user_3Qd8Jonas")?, call("msg_clerk2", "user_3Qd8Mallory")?);
    Ok(vec![
        Sample::new(SENDER, "a user made", first.clone(), vec![done(&key)]),
        Sample::new(
            SENDER,
            "the same again, as Svix repeats",
            first,
            vec![Expect::Duplicate { key, copy: 1 }],
        )
        .after(&["a user made"]),
        Sample::new(
            SENDER,
            "forged: the edge takes nothing of it",
            forged.forged(bench.strangers_key()?),
            vec![Expect::NoEvent],
        ),
    ])
}
