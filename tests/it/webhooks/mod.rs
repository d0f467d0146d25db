//! Signed requests to our own systems, as their receiver sees them: proved by the house's own schemes, recognisable
//! when they are repeated, and never sent to a place that nobody named.

mod dead_letters;
mod outage;
mod receiver;

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command as Process, Stdio},
    sync::Arc,
    time::Duration,
};

use longshore::{
    clock::{Clock, SystemClock},
    config::{WebhookSettings, secret::SecretRef},
    domain::{
        command::{Action, Command, Pause, Sent, WebhookTarget},
        envelope::HttpRequest,
        event::{Drill, Event, Fact},
        ids::{CommandId, EventKey, SourceName},
        outcome::{Fence, Outcome, Settled, Verdict},
        reason::Reason,
    },
    http::Http,
    messaging::webhook::{Posted, WebhookSender},
    store::contract::{Claim, ClaimRequest},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    webhooks::receiver::{Receiver, verdict},
    world::{Kind, Knobs, World, on_both},
};

pub(crate) const SECRET: &str = "whsec_d2ViaG9vay1rZXktb2YtdGhlLXRlc3RzLTAxMjM=";
const OTHER: &str = "whsec_c3RyYW5nZXItMDEyMzQ1Njc4OTAxMjM0NTY3ODk=";
const SOON: Duration = Duration::from_secs(30);

/// A sender and its key, which lies in a file.
struct Bench {
    sender: WebhookSender,
    key: tempfile::NamedTempFile,
}

fn bench(alert_url: Option<String>, callbacks: Vec<String>) -> Bench {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), SECRET).unwrap();
    let settings = WebhookSettings {
        alert_url,
        callbacks,
        key_id: "k-1".to_owned(),
        secret: Some(SecretRef(format!("file:{}", key.path().display()))),
        timeout: Duration::from_millis(400),
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Bench { sender: WebhookSender::new(&settings, Http::new().unwrap(), clock).unwrap(), key }
}

impl Bench {
    async fn send(&self, id: &str, to: &WebhookTarget) -> Sent {
        let data = json!({ "tenant": "acme", "percent": 80, "text": "Größe 👋" });
        self.sender.send(&CommandId::from(id), to, "longshore.budget.alert.v1", &data).await
    }
}

#[tokio::test]
async fn nx_58_the_receiver_proves_it_with_the_key_and_nothing_that_was_altered() {
    let receiver = Receiver::answering(204).await;
    let bench = bench(Some(receiver.base.clone() + "/alerts"), Vec::new());
    assert_eq!(bench.send("alert-1", &WebhookTarget::Alerts).await, Sent::Sent { vendor_id: None });

    let request = receiver.seen().remove(0);
    assert_eq!((request.url.as_str(), request.header("webhook-id").as_deref()), ("/alerts", Some("alert-1")));
    assert_eq!(request.header("webhook-key-id").as_deref(), Some("k-1"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["id"], &body["type"]), (&json!("alert-1"), &json!("longshore.budget.alert.v1")));
    assert_eq!((&body["specversion"], &body["data"]["text"]), (&json!("1.0"), &json!("Größe 👋")));
    assert!(body["time"].as_str().unwrap().ends_with('Z'), "{body}");

    for scheme in ["standard-webhooks", "longshore"] {
        assert_eq!(verdict(scheme, SECRET, &request), Ok(()), "{scheme}");
        assert_eq!(verdict(scheme, OTHER, &request), Err(Reason::SigInvalid), "{scheme}: another key");
        for place in 0..request.body.len() {
            let mut altered = request.clone();
            altered.body[place] ^= 1;
            assert_eq!(verdict(scheme, SECRET, &altered), Err(Reason::SigInvalid), "{scheme}: byte {place}");
        }
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut altered = request.clone();
            let value = &mut altered.headers.iter_mut().find(|(found, _)| found == name).unwrap().1;
            let last = value.pop().unwrap();
            value.push(if last == '1' { '2' } else { '1' });
            assert_eq!(verdict(scheme, SECRET, &altered), Err(Reason::SigInvalid), "{scheme}: {name}");
        }
    }
}

/// The example in the page for those who receive, as it stands there.
#[tokio::test]
async fn nx_58_the_example_for_receivers_tells_a_good_request_from_an_altered_one() {
    let receiver = Receiver::answering(200).await;
    let bench = bench(Some(receiver.base.clone()), Vec::new());
    bench.send("wa:1:x.y@0#0", &WebhookTarget::Alerts).await;
    let request = receiver.seen().remove(0);
    assert_eq!(example_accepts(SECRET, &request), Some(0));
    assert_eq!(example_accepts(OTHER, &request), Some(1), "another key");
    let mut altered = request.clone();
    altered.body[20] ^= 1;
    assert_eq!(example_accepts(SECRET, &altered), Some(1), "an altered body");
    let mut old = request;
    let time = old.headers.iter_mut().find(|(name, _)| name == "webhook-timestamp").unwrap();
    time.1 = (time.1.parse::<i64>().unwrap() - 301).to_string();
    assert_eq!(example_accepts(SECRET, &old), Some(1), "an old one");
}

fn example_accepts(key: &str, request: &HttpRequest) -> Option<i32> {
    let page = include_str!("../../../docs/MESSAGES.md");
    let (_, code) = page.split_once("<!-- example: python-verify -->\n```python\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let mut python = Process::new("python3");
    python.args(["-c", code]).env("WEBHOOK_KEY", key).stdin(Stdio::piped());
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        python.env(name.to_uppercase().replace('-', "_"), request.header(name).unwrap());
    }
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    child.wait().unwrap().code()
}

#[tokio::test]
async fn every_repetition_of_a_command_has_the_same_id_and_a_new_key_counts_at_once() {
    let receiver =
        Receiver::start(&[(503, &[("retry-after", "7")], Duration::ZERO), (200, &[], Duration::ZERO)]).await;
    let bench = bench(Some(receiver.base.clone()), Vec::new());
    let id = "wa:2099:wamid.HBgL==@0#1";
    let first = bench.send(id, &WebhookTarget::Alerts).await;
    assert_eq!(
        first,
        Sent::NotSent {
            code: "503".to_owned(),
            detail: "HTTP 503".to_owned(),
            wait: Some(Duration::from_secs(7)),
            pause: Pause::Lane
        }
    );
    std::fs::write(bench.key.path(), OTHER).unwrap();
    assert!(matches!(bench.send(id, &WebhookTarget::Alerts).await, Sent::Sent { .. }));
    let seen = receiver.seen();
    let ids: Vec<_> = seen.iter().map(|request| request.header("webhook-id").unwrap()).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(!ids[0].contains('.'), "{}: id.timestamp.body could be cut in two ways", ids[0]);
    assert_eq!(verdict("longshore", SECRET, &seen[0]), Ok(()));
    assert_eq!(verdict("longshore", OTHER, &seen[1]), Ok(()));
}

fn kind(sent: &Sent) -> (&'static str, Option<u64>) {
    let wait = match sent {
        Sent::NotSent { wait, .. } => wait.map(|wait| wait.as_secs()),
        _ => None,
    };
    (sent.outcome(), wait)
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    type Row = (u16, &'static [(&'static str, &'static str)], &'static str, Option<u64>);
    let rows: &[Row] = &[
        (200, &[], "sent", None),
        (202, &[], "sent", None),
        (410, &[], "dropped", None),
        (429, &[("retry-after", "120")], "not_sent", Some(120)),
        (429, &[], "not_sent", None),
        (408, &[], "not_sent", None),
        (500, &[], "not_sent", None),
        (
            503,
            &[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), ("date", "Wed, 21 Oct 2026 07:28:00 GMT")],
            "not_sent",
            Some(30),
        ),
        (504, &[], "not_sent", None),
        (400, &[], "refused", None),
        (401, &[], "refused", None),
        (404, &[], "refused", None),
        (422, &[], "refused", None),
        (302, &[("location", "http://127.0.0.1:1/")], "refused", None),
    ];
    for (status, headers, outcome, wait) in rows {
        let receiver = Receiver::start(&[(*status, headers, Duration::ZERO)]).await;
        let bench = bench(Some(receiver.base.clone()), Vec::new());
        let sent = bench.send("c", &WebhookTarget::Alerts).await;
        assert_eq!(kind(&sent), (*outcome, *wait), "{status}: {sent:?}");
        assert_eq!(receiver.seen().len(), 1, "{status}: one attempt");
    }
}

#[tokio::test]
async fn who_cannot_be_reached_or_does_not_answer_is_asked_again() {
    let slow = Receiver::start(&[(200, &[], Duration::from_secs(30))]).await;
    let late = bench(Some(slow.base.clone()), Vec::new());
    assert_eq!(late.send("c", &WebhookTarget::Alerts).await.outcome(), "unknown");

    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    assert_eq!(
        bench(Some(url.clone()), Vec::new()).send("c", &WebhookTarget::Alerts).await.outcome(),
        "not_sent"
    );

    // A key that is not there is somebody's to repair, not a reason to lose the request.
    let keyless = bench(Some(slow.base.clone()), Vec::new());
    std::fs::set_permissions(keyless.key.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(kind(&keyless.send("c", &WebhookTarget::Alerts).await), ("not_sent", Some(60)));
    std::fs::set_permissions(keyless.key.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(keyless.key.path(), "whpk_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
    assert_eq!(kind(&keyless.send("c", &WebhookTarget::Alerts).await), ("not_sent", Some(60)));
    assert_eq!(slow.seen().len(), 1, "nothing is sent unsigned");
}

#[tokio::test]
async fn without_an_alert_url_alerts_are_dropped_and_say_so() {
    let sent = bench(None, Vec::new()).send("c", &WebhookTarget::Alerts).await;
    assert_eq!(sent, Sent::Dropped { why: "no_alert_url".to_owned() });
}

#[tokio::test]
async fn only_a_named_place_gets_a_callback() {
    let receiver = Receiver::answering(200).await;
    let evil = Receiver::answering(200).await;
    let (good, other) = (receiver.base.clone(), evil.base.clone());
    let bench = bench(None, vec![format!("{good}/chats/")]);
    let send = |url: String| {
        let to = WebhookTarget::Callback(url);
        let bench = &bench;
        async move { bench.send("c", &to).await }
    };
    assert_eq!(send(format!("{good}/chats/7?key=1")).await.outcome(), "sent");
    let host = good.trim_start_matches("http://");
    let evil_host = other.trim_start_matches("http://");
    for bad in [
        format!("{other}/chats/7"),
        format!("{good}/other"),
        format!("{good}/chats"),
        format!("{good}/chats/../admin"),
        format!("{good}/chats/%2e%2e/admin"),
        format!("{good}/chats/..%2fadmin"),
        format!("http://{host}@{evil_host}/chats/7"),
        format!("http://user:pw@{host}/chats/7"),
        format!("https://{host}/chats/7"),
        "http://".to_owned(),
    ] {
        let sent = send(bad.clone()).await;
        assert!(matches!(&sent, Sent::Refused { code, .. } if code == "callback"), "{bad}: {sent:?}");
        let data = json!({});
        let posted = bench.sender.post_now(&bad, "p-1", "longshore.chat.piece.v1", &data).await;
        assert!(matches!(posted, Posted::Failed(_)), "{bad}: {posted:?}");
    }
    assert_eq!((receiver.seen().len(), evil.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_piece_is_posted_once_and_says_whether_anybody_reads() {
    let post = |status: u16, wait: Duration, id: &'static str| async move {
        let receiver = Receiver::start(&[(status, &[], wait)]).await;
        let bench = bench(None, vec![receiver.base.clone()]);
        let url = format!("{}/chat", receiver.base);
        let data = json!({ "text": "Hel", "position": 0 });
        let posted = bench.sender.post_now(&url, id, "longshore.chat.piece.v1", &data).await;
        (posted, receiver.seen())
    };
    let (posted, seen) = post(200, Duration::ZERO, "chat-1-0").await;
    assert_eq!(posted, Posted::Delivered);
    assert_eq!(verdict("standard-webhooks", SECRET, &seen[0]), Ok(()));
    assert_eq!(seen[0].header("webhook-id").as_deref(), Some("chat-1-0"));
    assert_eq!(post(410, Duration::ZERO, "p").await.0, Posted::Gone);
    for status in [400, 404, 429, 500, 503] {
        let (posted, seen) = post(status, Duration::ZERO, "p").await;
        assert!(matches!(posted, Posted::Failed(_)) && seen.len() == 1, "{status}: {posted:?}");
    }
    let (posted, _) = post(200, Duration::from_secs(30), "p").await;
    assert!(matches!(posted, Posted::Failed(_)), "{posted:?}");
    let (posted, seen) = post(200, Duration::ZERO, "with.dot").await;
    assert!(matches!(posted, Posted::Failed(_)) && seen.is_empty(), "{posted:?}");
}

on_both! {
    rce_24_a_committed_alert_reaches_its_receiver_through_the_outbox
}

/// The whole way: committed with an event, taken by a worker, refused twice, signed and delivered.
async fn rce_24_a_committed_alert_reaches_its_receiver_through_the_outbox(database: Kind) {
    let mut receiver = Receiver::start(&[(500, &[], Duration::ZERO), (200, &[], Duration::ZERO)]).await;
    let folder = tempfile::tempdir().unwrap();
    let more = webhook_settings(&receiver.base, folder.path());
    let world = World::with(database, Knobs { more, ..Knobs::default() }).await;
    let inside = world.inside().await;
    let webhook = |to: WebhookTarget, lane: &str| Command {
        tenant: "acme".into(),
        correlation_id: "c".into(),
        lane: lane.to_owned(),
        expires_at: None,
        action: Action::Webhook {
            to,
            event_type: "longshore.budget.alert.v1".to_owned(),
            data: json!({ "percent": 80 }),
        },
    };
    let commands = vec![
        webhook(WebhookTarget::Alerts, "alerts"),
        webhook(WebhookTarget::Callback("https://chat.example.com.evil.test/x".to_owned()), "chat:1"),
    ];
    let event = drill();
    let claims =
        inside.store().claim(&[ClaimRequest { event, seal: None, start: true }], SOON).await.unwrap();
    let [Claim::Mine(work)] = &claims[..] else { panic!("not claimed: {claims:?}") };
    let verdict_of = Verdict::Done(Outcome { writes: Vec::new(), commands });
    let settled = [Settled { held: work.held.clone(), verdict: verdict_of }];
    assert_eq!(inside.store().settle(&settled).await.unwrap(), [Fence::Committed]);

    let ended = || async {
        let rows =
            world.database.rows("SELECT state, detail FROM outbox WHERE kind = 'webhook' ORDER BY id").await;
        let states: Vec<_> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
        if states == ["sent", "refused"] { Ok(()) } else { Err(format!("{rows:?}")) }
    };
    world.until(SOON, ended).await;
    // The third tells of the refused command, which is a dead letter now.
    let seen = receiver.until(3).await;
    assert_eq!(seen.len(), 3);
    let mut ids: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for request in &seen {
        assert_eq!(request.url, "/alerts");
        assert_eq!(verdict("longshore", SECRET, request), Ok(()));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        ids.entry(body["type"].as_str().unwrap().to_owned()).or_default().push(request.header("webhook-id"));
    }
    let budget = &ids["longshore.budget.alert.v1"];
    assert_eq!((ids.len(), budget.len()), (2, 2), "{ids:?}");
    assert_eq!(budget[0], budget[1], "the repetition is recognisable");
    assert!(inside.stop().await);
    world.finish().await;
}

/// Settings that send alerts to this receiver, and the key that they name.
pub(crate) fn webhook_settings(base: &str, folder: &Path) -> String {
    let key = folder.join("webhook-key");
    std::fs::write(&key, SECRET).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = key.display();
    format!(
        "[webhooks]\nalert_url = \"{base}/alerts\"\ncallbacks = [\"{base}/chats/\"]\nkey_id = \"k-1\"\nsecret = \"file:{key}\"\n"
    )
}

fn drill() -> Event {
    let now = SystemClock.now();
    Event {
        vendor_type: "rehearsal".to_owned(),
        key: EventKey::new(&SourceName::from("jobs"), "account", "alert.1"),
        source: "jobs".into(),
        account: "account".to_owned(),
        tenant: "acme".into(),
        occurred_at: Some(now),
        received_at: now,
        due_at: None,
        expires_at: None,
        order_key: None,
        correlation_id: "c".into(),
        fact: Fact::Drill(Drill::Work { millis: 0 }),
    }
}
