//! Salesforce's change data capture: Event Relay, Amazon EventBridge, and a queue whose policy is all that vouches for
//! it. There is no signature, so nothing can be altered or stale; what counts is where it came from, and by which way.

use std::sync::Arc;

use longshore::{
    clock::Clock as _,
    config::{SourceSettings, Trust},
    domain::envelope::HttpRequest,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    flows::{
        DAYS, SOON,
        cases::{ORGANIZATION, PUBLIC_URL, TENANT, change_event, of_change_event},
        first,
    },
    world::{Kind, Knobs, LateClock, World, call},
};

const SOURCE: &str = "salesforce-cdc";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rce_4_rce_12_a_change_event_counts_by_the_policy_of_its_queue_once_and_after_three_days() {
    let clock = LateClock::behind(DAYS);
    let mut world = World::by_clock(Kind::Sqlite, Knobs::default(), Arc::new(clock.clone())).await;
    world.settings.queue.trust = Some(Trust::Queue);
    world.settings.sources.insert(SOURCE.to_owned(), source());
    world.settings.intake.listen = "127.0.0.1:0".parse().unwrap();
    let told = first(clock.now());
    let (id, rows) = of_change_event(&told);
    let key = format!("{SOURCE}:{ORGANIZATION}:{id}");
    world.expected.events.insert(key.clone(), None);

    world.raw(change_event(&told, ORGANIZATION).to_string(), &[]);
    // EventBridge delivers at least once.
    world.again();
    world.raw(change_event(&told, "00D8c00000HbRqVEAV").to_string(), &[]);
    world.send().await;
    nobody_speaks_for_it_over_http(&world).await;
    clock.catch_up();
    let worker = world.inside().await;
    world.settled(SOON).await;

    let inbox = format!(
        "inbox WHERE key = '{key}' AND tenant = '{TENANT}' AND account = '{ORGANIZATION}' AND kind = 'crm_change'
             AND state = 'done'"
    );
    for row in rows.iter().chain([&inbox]) {
        assert_eq!(world.database.count(row).await, 1, "{row}");
    }
    for (what, rows) in [("the stranger's", "inbox"), ("the copy", "audit_log WHERE action = 'done'")] {
        assert_eq!(world.database.count(rows).await, 1, "{what} was worked");
    }
    assert_eq!(world.database.count("dead_letters WHERE reason = 'unknown_source'").await, 1);
    worker.stop().await;
    world.finish().await;
}

fn source() -> SourceSettings {
    let origin = format!("aws.partner/salesforce.com/{ORGANIZATION}/*");
    let settings = json!({
        "vendor": "salesforce", "scheme": "queue", "origins": [origin], "accounts": { ORGANIZATION: TENANT },
    });
    serde_json::from_value(settings).unwrap()
}

async fn nobody_speaks_for_it_over_http(world: &World) {
    let intake = world.intake().await;
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: format!("{PUBLIC_URL}/hooks/{SOURCE}"),
        headers: Vec::new(),
        body: b"{}".to_vec(),
    };
    assert_eq!(call(intake.address(), &request).await.status, 404);
    intake.stop(CancellationToken::new()).await;
}
