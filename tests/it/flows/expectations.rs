//! What must be in the tables.

use longshore::{
    cli::dev::outside::script::Service,
    domain::{
        event::Event,
        ids::{EventKey, SourceName},
        timestamp::Timestamp,
    },
};

use crate::{
    flows::{
        cases::{CASES, Case, TENANT},
        first, reasons,
    },
    world::World,
};

/// One event as its row shows it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: String,
    tenant: String,
    account: String,
    kind: String,
    state: String,
    vendor_type: String,
}

impl World {
    /// The good request of every vendor will be worked.
    pub(super) fn expect_all(&mut self, at: Timestamp) {
        for case in &CASES {
            for row in case.expected(at) {
                self.expected.events.insert(row.key, None);
            }
        }
    }

    /// Every vendor's good request is done, with its rows, and nothing else is there. `attacked`: what was forged is
    /// kept as dead letters.
    pub(super) async fn all_as_expected(&self, at: Timestamp, attacked: bool) {
        for case in &CASES {
            let source = case.source;
            assert_eq!(self.inbox(source).await, case.expected(at), "{source}");
            for row in (case.rows)(&first(at)) {
                assert_eq!(self.database.count(&row).await, 1, "{source}: {row}");
            }
            let expected = if attacked { reasons(case, at) } else { Vec::new() };
            assert_eq!(self.refused(source).await, expected, "{source}");
        }
        let events = self.database.count("inbox").await;
        assert_eq!(events, i64::try_from(self.expected.events.len()).unwrap());
        let done = "audit_log WHERE action = 'done'";
        assert_eq!(self.database.count(done).await, events, "each was worked once");
    }

    /// Messages that the stand-in for WhatsApp got.
    pub(super) fn replies(&self) -> usize {
        self.outside.log().iter().filter(|seen| seen.service == Service::Whatsapp).count()
    }

    async fn inbox(&self, source: &str) -> Vec<Row> {
        let rows = format!(
            "SELECT i.key, i.tenant, i.account, i.kind, i.state, CAST(e.body AS TEXT)
             FROM inbox i JOIN events e ON e.key = i.key WHERE i.source = '{source}'"
        );
        let rows = self.database.rows(&rows).await.into_iter().map(|row| {
            let [key, tenant, account, kind, state, body] =
                <[_; 6]>::try_from(row).unwrap().map(Option::unwrap);
            let event: Event = serde_json::from_str(&body).unwrap();
            assert_eq!((event.key.as_str(), event.account.as_str()), (key.as_str(), account.as_str()));
            Row { key, tenant, account, kind, state, vendor_type: event.vendor_type }
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort();
        rows
    }

    /// Why whole deliveries of this source were refused, sorted.
    pub(super) async fn refused(&self, source: &str) -> Vec<String> {
        let letters = format!(
            "SELECT reason FROM dead_letters WHERE kind = 'delivery' AND source = '{source}' ORDER BY reason"
        );
        self.database.rows(&letters).await.into_iter().flatten().flatten().collect()
    }
}

impl Case {
    fn expected(&self, at: Timestamp) -> Vec<Row> {
        let rows = (self.events)(&first(at)).into_iter().map(|event| Row {
            key: EventKey::new(&SourceName::from(self.source), self.account, &event.id).to_string(),
            tenant: TENANT.to_owned(),
            account: self.account.to_owned(),
            kind: event.kind.to_owned(),
            state: "done".to_owned(),
            vendor_type: event.vendor_type.to_owned(),
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort();
        rows
    }
}
