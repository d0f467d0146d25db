//! The whole way of every vendor's requests: signed over HTTP at an edge, the embedded queue, a worker, rows. One
//! world for all vendors, since a world is dear.

mod attacks;
pub(crate) mod cases;
mod change_data_capture;
mod expectations;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore::{
    app::intake::Intake,
    clock::{Clock as _, SystemClock},
    domain::{envelope::HttpRequest, timestamp::Timestamp},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::world::{Kind, Knobs, LateClock, World, call};
use cases::{CASES, Case, PUBLIC_URL, Proof, Told};

/// For everything that was sent at once to be worked.
const SOON: Duration = Duration::from_secs(60);
/// How long a queue may have been stopped.
const DAYS: Duration = Duration::from_secs(3 * 24 * 3_600);

/// Adds the sources of all vendors.
fn configure(world: &mut World) {
    world.settings.intake.listen = "127.0.0.1:0".parse().unwrap();
    world.settings.intake.public_url = Some(PUBLIC_URL.to_owned());
    for case in &CASES {
        world.settings.sources.insert(case.source.to_owned(), case.settings());
    }
}

fn first(at: Timestamp) -> Told {
    Told { number: 1, at }
}

/// The good request of every vendor, as it will be sent again and again.
fn good(at: Timestamp) -> Vec<(&'static Case, HttpRequest)> {
    CASES.iter().map(|case| (case, case.request(&first(at)))).collect()
}

/// An edge that has a request on the queue says so, in the vendor's own way.
async fn is_taken(address: SocketAddr, case: &Case, request: &HttpRequest) {
    let answer = call(address, request).await;
    assert_eq!(answer.status, 200, "{}: {answer:?}", case.source);
    let acknowledged = matches!(case.proof, Proof::Organization { .. });
    assert_eq!(answer.body.contains("<Ack>true</Ack>"), acknowledged, "{}: {answer:?}", case.source);
    assert_eq!(answer.body.is_empty(), !acknowledged, "{}: {answer:?}", case.source);
}

async fn stop(intake: Intake) {
    assert!(intake.stop(CancellationToken::new()).await, "an idle edge stops in time");
}

/// Sends every good request and waits until it has been worked.
async fn work_all_good(world: &mut World, address: SocketAddr, good: &[(&'static Case, HttpRequest)]) {
    for (case, request) in good {
        is_taken(address, case, request).await;
    }
    world.settled(SOON).await;
}

/// (b): the vendor's own retry, byte for byte: taken again, and nothing changes.
async fn replay_all(world: &mut World, address: SocketAddr, good: &[(&'static Case, HttpRequest)]) {
    let (rows, calls) = (world.snapshot().await, world.outside.log().len());
    work_all_good(world, address, good).await;
    assert_eq!(world.snapshot().await, rows, "a replay left its mark in the tables");
    assert_eq!(world.outside.log().len(), calls, "a replay had an effect outside");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn df_2_wa_25_wa_26_rce_4_rce_4b_rce_12_bv_9c_every_vendor_goes_from_the_edge_to_the_rows_once() {
    let mut world = World::new(Kind::Sqlite).await;
    configure(&mut world);
    let at = SystemClock.now();
    let good = good(at);
    world.expect_all(at);
    let intake = world.intake().await;
    let worker = world.inside().await;
    work_all_good(&mut world, intake.address(), &good).await;
    world.all_as_expected(at, false).await;
    assert_eq!(world.replies(), 1, "one reply to one person");
    replay_all(&mut world, intake.address(), &good).await;

    // (c), (d), (e): the edge takes what it was not told to check, and no handler ever sees it.
    let calls = world.outside.log().len();
    for case in &CASES {
        for attack in case.attacks(at) {
            is_taken(intake.address(), case, &attack.request).await;
        }
    }
    world.settled(SOON).await;
    world.all_as_expected(at, true).await;
    assert_eq!(world.outside.log().len(), calls, "a forgery had an effect outside");
    no_session_is_kept(&world).await;
    stop(intake).await;
    an_edge_that_checks_refuses_forgeries(&mut world, at, &good).await;
    assert!(worker.stop().await, "an idle worker stops in time");
    world.finish().await;
}

/// (g): with `verify_at_edge` what is forged or stale gets a 401, and the queue never sees it.
async fn an_edge_that_checks_refuses_forgeries(
    world: &mut World,
    at: Timestamp,
    good: &[(&'static Case, HttpRequest)],
) {
    for source in world.settings.sources.values_mut() {
        source.verify_at_edge = true;
    }
    let intake = world.intake().await;
    let sends = |world: &World| world.calls("SendMessage") + world.calls("SendMessageBatch");
    let (rows, before) = (world.snapshot().await, sends(world));
    for case in &CASES {
        for attack in case.attacks(at) {
            let (answer, what) = (call(intake.address(), &attack.request).await, attack.what);
            assert_eq!(answer.status, 401, "{} {what}: {answer:?}", case.source);
            let said: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(said["error"], attack.reason.code(), "{} {what}", case.source);
        }
    }
    assert_eq!(sends(world), before, "something forged was put on the queue");
    assert_eq!(world.snapshot().await, rows);
    replay_all(world, intake.address(), good).await;
    stop(intake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wa_26_rce_4_rce_4b_every_vendor_leaves_the_same_rows_on_postgres() {
    let mut world = World::new(Kind::Postgres).await;
    configure(&mut world);
    let at = SystemClock.now();
    let good = good(at);
    world.expect_all(at);
    let intake = world.intake().await;
    let worker = world.inside().await;
    work_all_good(&mut world, intake.address(), &good).await;
    world.all_as_expected(at, false).await;
    replay_all(&mut world, intake.address(), &good).await;
    stop(intake).await;
    worker.stop().await;
    world.finish().await;
}

/// (f): no worker for three days. What was right when the edge received it is right; what was not is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn df_2_rce_12_a_signature_is_judged_by_the_day_of_its_receipt_after_three_days_on_the_queue() {
    let clock = LateClock::behind(DAYS);
    let mut world = World::by_clock(Kind::Sqlite, Knobs::default(), Arc::new(clock.clone())).await;
    configure(&mut world);
    let at = clock.now();
    world.expect_all(at);
    let edge = world.intake_by(Arc::new(clock.clone())).await;
    for (case, request) in good(at) {
        is_taken(edge.address(), case, &request).await;
        for attack in case.attacks(at) {
            is_taken(edge.address(), case, &attack.request).await;
        }
    }
    assert!(edge.stop(SOON, CancellationToken::new()).await);
    clock.catch_up();
    let worker = world.inside().await;
    world.settled(SOON).await;
    world.all_as_expected(at, true).await;
    assert_eq!(world.replies(), 0, "WhatsApp's window for a reply closed two days ago");
    worker.stop().await;
    world.finish().await;
}

/// Salesforce puts the credential of a user into its messages: neither events nor dead letters hold it.
async fn no_session_is_kept(world: &World) {
    let letters = world.database.rows("SELECT body FROM dead_letters WHERE source = 'salesforce'").await;
    let decoded = letters.iter().map(|row| {
        let envelope: Value = serde_json::from_str(row[0].as_deref().unwrap()).unwrap();
        STANDARD.decode(envelope["request"]["body_base64"].as_str().unwrap()).unwrap()
    });
    let mut kept: Vec<String> = decoded.map(|body| String::from_utf8(body).unwrap()).collect();
    assert!(!kept.is_empty(), "the message of the other organisation is kept");
    for row in world.database.rows("SELECT CAST(body AS TEXT) FROM events").await {
        kept.extend(row.into_iter().flatten());
    }
    for text in kept {
        assert!(!text.contains(cases::SESSION), "{text}");
    }
}

/// The reasons that the attacks of a case are refused for, sorted.
fn reasons(case: &Case, at: Timestamp) -> Vec<String> {
    let attacks = case.attacks(at);
    let mut reasons: Vec<String> = attacks.iter().map(|attack| attack.reason.code().to_owned()).collect();
    reasons.sort();
    reasons
}
