//! A sender without code of its own: its fields are found by pointers of the settings, its signature is Stripe's.

use serde_json::json;

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done},
        workbench::{Draft, Workbench},
    },
    domain::ids::{EventKey, SourceName},
};

const SENDER: &str = "By pointers";
const SOURCE: &str = "billing";
/// The customer's account there.
pub(crate) const SHOP: &str = "acct_chandlery";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let body = json!({
        "id": "evt_rope_1",
        "type": "invoice.paid",
        "created": bench.ago(6).seconds(),
        "account": SHOP,
        "data": { "object": { "id": "in_rope_1", "amount_paid": 4_200, "currency": "eur" } },
    });
    let paid = bench.call(&Draft { source: SOURCE, id: "paid", body: body.to_string().into_bytes() })?;
    let key = EventKey::new(&SourceName::from(SOURCE), SHOP, "evt_rope_1");
    Ok(vec![
        Sample::new(SENDER, "an invoice paid", paid.clone(), vec![done(&key)]),
        Sample::new(SENDER, "the same invoice again", paid, vec![Expect::Duplicate { key, copy: 1 }])
            .after(&["an invoice paid"]),
    ])
}
