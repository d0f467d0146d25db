//! How a worker, the real binary, behaves towards a vendor that knows nothing of it: asks again when that may help and
//! not before it may, never where it cannot help, and believes nothing that is not whole. One world for each kind of
//! provider and kind of trouble; the settings are those that a user would write.

use std::{collections::HashMap, time::Duration};

use longshore::domain::reason::Reason;

use super::{
    dialects::{ANTHROPIC, BEDROCK, Dialect, GEMINI, OPENAI, OPENAI_RESPONSES},
    vendor::{Act, Asked, Vendor},
};
use crate::world::{Kind, Knobs, World};

const SOON: Duration = Duration::from_secs(30);
/// Long enough for a client without manners to show it.
const WATCHED: Duration = Duration::from_secs(4);
/// A second less a tick of the clock.
const ONE_SECOND: Duration = Duration::from_millis(995);
/// What slow answers take: longer than the settings allow.
const LATE: Duration = Duration::from_millis(1_500);

macro_rules! well_mannered {
    ($($name:ident: $dialect:expr;)+) => {$(
        mod $name {
            use super::*;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn asks_again_in_time_and_believes_only_what_is_whole() {
                Box::pin(troubles_that_pass($dialect)).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn never_repeats_what_cannot_help() {
                Box::pin(troubles_that_stay($dialect)).await;
            }
        }
    )+};
}

well_mannered! {
    openai: OPENAI;
    openai_responses: OPENAI_RESPONSES;
    anthropic: ANTHROPIC;
    gemini: GEMINI;
    bedrock: BEDROCK;
}

/// A world whose tenant asks this vendor.
async fn world(dialect: Dialect, vendor: &Vendor, more: &str) -> World {
    let (kind, base, settings) = (dialect.kind, &vendor.base_url, dialect.settings);
    let model = match kind {
        "anthropic" => "claude-sonnet-5-5",
        "gemini" => "gemini-2.5-flash",
        "bedrock" => "amazon.nova-micro-v1:0",
        _ => "gpt-4o-mini",
    };
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "sk-test").unwrap();
    let (_, key) = key.keep().unwrap();
    let more = format!(
        "[llm.providers.vendor]\nkind = \"{kind}\"\nbase_url = \"{base}\"\nmodel = \"{model}\"\n\
         api_key = \"file:{}\"\ntimeout = \"800ms\"\nidle_timeout = \"800ms\"\nattempts = 3\nbackoff = \"50ms\"\n\
         {settings}\n{more}\n[tenants.acme]\nllm = \"vendor\"\n",
        key.display()
    );
    World::with(Kind::Sqlite, Knobs { more, ..Knobs::default() }).await
}

fn cases(dialect: Dialect) -> HashMap<&'static str, Vec<Act>> {
    let error = |status: u16, headers: &[(&'static str, &'static str)]| {
        Act::Answer(status, headers.to_vec(), (dialect.error)(status))
    };
    HashMap::from([
        ("case-asked-to-wait", vec![error(429, &[("retry-after", "1")])]),
        ("case-down-with-a-hint", vec![error(503, &[("retry-after", "1")])]),
        ("case-broken", vec![error(500, &[]), error(500, &[])]),
        ("case-overloaded", vec![error(529, &[])]),
        ("case-late", vec![Act::Late(LATE)]),
        ("case-malformed", vec![Act::Answer(200, Vec::new(), "{\"choices\": [{\"mess".to_owned())]),
        ("case-page", vec![Act::Answer(200, Vec::new(), "<html>all is well</html>".to_owned())]),
        ("case-torn", vec![Act::Torn]),
        ("case-bad-request", vec![error(400, &[])]),
    ])
}

async fn troubles_that_pass(dialect: Dialect) {
    let vendor = Vendor::start(dialect, cases(dialect)).await;
    let mut world = world(dialect, &vendor, "breaker_failures = 100").await;
    for case in cases(dialect).into_keys() {
        if case == "case-bad-request" {
            world.whatsapp_buried("4915300001", case, Reason::VendorRefused);
        } else {
            world.whatsapp(&format!("49153{}", case.len()), case);
        }
    }
    world.whatsapp("4915300009", "all goes well");
    world.send().await;
    let worker = world.worker(&[]);
    world.settled(SOON).await;
    let times = |case: &str| vendor.asked(case).iter().map(|asked| asked.status).collect::<Vec<_>>();
    assert_eq!(times("case-bad-request"), [400], "a bad request is not asked again");
    for (case, answers) in [
        ("case-asked-to-wait", vec![429, 200]),
        ("case-down-with-a-hint", vec![503, 200]),
        ("case-broken", vec![500, 500, 200]),
        ("case-overloaded", vec![529, 200]),
        ("case-late", vec![200, 200]),
        ("case-malformed", vec![200, 200]),
        ("case-page", vec![200, 200]),
        ("case-torn", vec![0, 200]),
    ] {
        assert_eq!(times(case), answers, "{case}\n{}", worker.log());
    }
    for case in ["case-asked-to-wait", "case-down-with-a-hint"] {
        let waited = waits(&vendor.asked(case))[0];
        assert!(waited >= ONE_SECOND, "{case}: asked again after {waited:?}");
    }
    ends_as_expected(&world).await;
    worker.stop(SOON).await;
    world.finish().await;
    if !(dialect.events)("whole").is_empty() {
        Box::pin(cut_streams(dialect)).await;
    }
}

/// Every kind of stream ends with something that proves it whole; here that is missing, twice.
async fn cut_streams(dialect: Dialect) {
    let dialect = Dialect { streams: |_| true, ..dialect };
    let scripts = HashMap::from([("case-cut", vec![Act::CutStream, Act::CutStream])]);
    let vendor = Vendor::start(dialect, scripts).await;
    let mut world = world(dialect, &vendor, "breaker_failures = 100\nstream = true").await;
    world.whatsapp("4915300001", "case-cut");
    world.send().await;
    let worker = world.worker(&[]);
    world.settled(SOON).await;
    assert_eq!(vendor.asked("case-cut").len(), 3, "a cut stream is not an answer\n{}", worker.log());
    let partial = world.database.count("llm_ledger WHERE status = 'answered'").await;
    let rows = world.database.count("llm_ledger").await;
    assert_eq!((partial, rows), (1, 3), "what came of a cut stream is billed, too");
    ends_as_expected(&world).await;
    worker.stop(SOON).await;
    world.finish().await;
}

/// A wrong key, and an account without money: asked once, and the event waits.
async fn troubles_that_stay(dialect: Dialect) {
    let (status, body) = (dialect.no_money)();
    for (case, act) in [
        ("case-wrong-key", Act::Answer(401, Vec::new(), (dialect.error)(401))),
        ("case-no-money", Act::Answer(status, Vec::new(), body)),
    ] {
        let vendor = Vendor::start(dialect, HashMap::from([(case, vec![act; 100])])).await;
        let mut world = world(dialect, &vendor, "").await;
        for person in 0..3 {
            world.whatsapp(&format!("491530000{person}"), case);
        }
        world.send().await;
        let worker = world.worker(&[]);
        let waiting = || async {
            let waiting = world.database.count("inbox WHERE state IN ('waiting', 'parked')").await;
            if waiting == 3 { Ok(()) } else { Err(format!("{waiting} of 3 events wait")) }
        };
        world.until(SOON, waiting).await;
        tokio::time::sleep(WATCHED).await;
        let asked = vendor.asked(case);
        // Those that had begun before the first answer came may have asked, too; nobody asks twice.
        assert!((1..=3).contains(&asked.len()), "{case}: {asked:?}");
        assert_eq!(world.database.count("dead_letters").await, 0, "{case}");
        worker.stop(SOON).await;
        world.finish().await;
    }
}

fn waits(asked: &[Asked]) -> Vec<Duration> {
    asked.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

async fn ends_as_expected(world: &World) {
    let rows = world.database.rows("SELECT key, state, reason FROM inbox").await;
    for row in rows {
        let [Some(key), Some(state), reason] = &row[..] else { panic!("{row:?}") };
        match world.expected.events[key] {
            None => assert_eq!(state, "done", "{row:?}"),
            Some(expected) => assert_eq!(reason.as_deref(), Some(expected.code()), "{row:?}"),
        }
    }
}
