//! WhatsApp against the stand-in: what is sent, how often, and what every answer is taken for.

use std::{io::Write as _, time::Duration};

use longshore::{
    cli::dev::outside::{
        Outside,
        script::{Fault, Gate, Script, Service},
    },
    config::{WhatsappSettings, secret::SecretRef},
    domain::{
        command::{Action, Command, Pause, Sent},
        event::Channel,
        ids::CommandId,
    },
    http::Http,
    messaging::{contract::ChannelSender as _, whatsapp::Whatsapp},
};
use serde_json::json;
use tempfile::NamedTempFile;

struct Bench {
    outside: Outside,
    whatsapp: Whatsapp,
    token: NamedTempFile,
}

fn whatsapp(base_url: &str, token: Option<SecretRef>, timeout: Duration) -> Whatsapp {
    let settings = WhatsappSettings { base_url: base_url.to_owned(), access_token: token, timeout };
    Whatsapp::new(&settings, Http::new().unwrap()).unwrap()
}

fn token_file() -> (NamedTempFile, SecretRef) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(b"test-token").unwrap();
    let reference = SecretRef(format!("file:{}", file.path().display()));
    (file, reference)
}

impl Bench {
    async fn start() -> Self {
        Self::patient(Duration::from_secs(20)).await
    }

    async fn patient(timeout: Duration) -> Self {
        let outside = Outside::start().await.unwrap();
        let (token, reference) = token_file();
        let whatsapp = whatsapp(&outside.whatsapp_base_url(), Some(reference), timeout);
        Self { outside, whatsapp, token }
    }

    fn fault(&self, fault: Fault, times: u32) {
        self.outside.script(Script { service: Service::Whatsapp, contains: String::new(), fault, times });
    }

    async fn send(&self, to: &str) -> Sent {
        self.whatsapp.send(&CommandId::from("k@0#0"), &message(to)).await
    }
}

fn message(to: &str) -> Command {
    Command {
        tenant: "t".into(),
        correlation_id: "c".into(),
        lane: format!("whatsapp:2099:{to}"),
        expires_at: None,
        action: Action::Message {
            channel: Channel::Whatsapp,
            business_id: "2099".into(),
            to: to.into(),
            text: "Hello 👋".into(),
            reply_to: Some("wamid.IN".into()),
            automatic: true,
        },
    }
}

fn code_of(sent: &Sent) -> (&'static str, String, Option<Duration>, Option<Pause>) {
    match sent {
        Sent::Sent { .. } => ("sent", String::new(), None, None),
        Sent::Refused { code, .. } => ("refused", code.clone(), None, None),
        Sent::NotSent { code, wait, pause, .. } => ("not_sent", code.clone(), *wait, Some(*pause)),
        Sent::Unknown { .. } => ("unknown", String::new(), None, None),
        Sent::Dropped { .. } => ("dropped", String::new(), None, None),
    }
}

#[tokio::test]
async fn a_message_is_sent_once_with_everything_in_it() {
    let bench = Bench::start().await;
    let Sent::Sent { vendor_id: Some(id) } = bench.send("14155550101").await else { panic!("not sent") };
    let log = bench.outside.log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].message_id.as_deref(), Some(id.as_str()));
    assert_eq!((log[0].path.as_str(), log[0].command_id()), ("/v23.0/2099/messages", Some("k@0#0")));
    assert_eq!(
        log[0].body,
        json!({
            "messaging_product": "whatsapp", "recipient_type": "individual", "to": "14155550101",
            "type": "text", "text": { "preview_url": false, "body": "Hello 👋" },
            "context": { "message_id": "wamid.IN" }, "biz_opaque_callback_data": "k@0#0"
        })
    );
    bench.outside.shutdown().await;
}

#[tokio::test]
async fn every_error_code_means_the_same_on_the_wire() {
    let bench = Bench::start().await;
    let (lane, sender) = (Some(Pause::Lane), Some(Pause::Sender));
    type Row = (&'static [i64], &'static str, Option<u64>, Option<Pause>);
    let rows: &[Row] = &[
        (&[190, 131_031, 368, 131_042], "not_sent", Some(900), sender),
        (&[0, 3, 10, 200, 299, 131_005], "refused", None, None),
        (&[131_047, 131_049, 131_026, 130_472, 131_050], "refused", None, None),
        (&[131_051, 100, 131_008, 131_009, 132_000, 132_001, 132_005], "refused", None, None),
        (&[132_007, 132_012, 132_015, 132_016, 777_777], "refused", None, None),
        (&[131_048], "not_sent", Some(6 * 3600), sender),
        (&[1, 2, 131_000, 131_016], "not_sent", None, lane),
    ];
    for (codes, kind, wait, pause) in rows {
        for code in *codes {
            bench.fault(Fault::Code(*code), 1);
            let expected = (*kind, code.to_string(), wait.map(Duration::from_secs), *pause);
            assert_eq!(code_of(&bench.send("14155550101").await), expected);
        }
    }
}

#[tokio::test]
async fn pauses_grow_until_a_message_goes_through() {
    let bench = Bench::start().await;
    let lane =
        |seconds| ("not_sent", "131056".to_owned(), Some(Duration::from_secs(seconds)), Some(Pause::Lane));
    bench.fault(Fault::Code(131_056), 3);
    for seconds in [1, 4, 16] {
        assert_eq!(code_of(&bench.send("14155550101").await), lane(seconds));
    }
    assert_eq!(code_of(&bench.send("14155550101").await).0, "sent");
    bench.fault(Fault::Code(131_056), 2);
    assert_eq!(code_of(&bench.send("14155550101").await), lane(1), "relieved by the success");
    assert_eq!(code_of(&bench.send("14155550102").await), lane(1), "another person starts anew");
    bench.fault(Fault::Code(130_429), 2);
    for (to, seconds) in [("14155550103", 1), ("14155550104", 2)] {
        let (_, _, wait, pause) = code_of(&bench.send(to).await);
        assert_eq!((wait, pause), (Some(Duration::from_secs(seconds)), Some(Pause::Sender)), "one number");
    }
}

#[tokio::test]
async fn a_cut_connection_is_unknown_and_never_repeated() {
    let bench = Bench::start().await;
    assert_eq!(code_of(&bench.send("14155550101").await).0, "sent");
    // The second request goes out on the connection kept from the first: no layer may repeat it.
    assert_eq!(code_of(&bench.send("14155559999").await).0, "unknown");
    bench.fault(Fault::CutBefore, 1);
    assert_eq!(code_of(&bench.send("14155550101").await).0, "unknown");
    let log = bench.outside.log();
    assert_eq!(log.len(), 3);
    assert_eq!(log.iter().map(|seen| seen.message_id.is_some()).collect::<Vec<_>>(), [true, true, false]);
}

#[tokio::test]
async fn no_answer_in_time_is_unknown() {
    let bench = Bench::patient(Duration::from_millis(300)).await;
    let gate = Gate::default();
    bench.fault(Fault::Hold(gate.clone()), 1);
    assert_eq!(code_of(&bench.send("14155550101").await).0, "unknown");
    gate.open();
    assert_eq!(bench.outside.log().len(), 1);
}

#[tokio::test]
async fn a_status_alone_decides_nothing() {
    let bench = Bench::start().await;
    let answers = [
        (200, "{}".to_owned()),
        (200, "<html></html>".to_owned()),
        (202, r#"{"messages":[]}"#.to_owned()),
        (307, String::new()),
        (403, "<html>denied</html>".to_owned()),
        (429, String::new()),
        (500, String::new()),
        (502, "<html>Bad Gateway</html>".to_owned()),
        (200, format!("{{\"messages\":[{{\"id\":\"x\"}}],\"pad\":\"{}\"}}", "x".repeat(9 * 1024 * 1024))),
    ];
    for (status, body) in answers {
        let headers = vec![("location", "/v23.0/2099/messages".to_owned())];
        bench.fault(Fault::Answer { status, headers, body }, 1);
        assert_eq!(code_of(&bench.send("14155550101").await).0, "unknown", "HTTP {status}");
    }
    assert_eq!(bench.outside.log().len(), 9, "one request each: no redirect is followed");
    let told = r#"{"error":{"message":"m","code":131047}}"#.to_owned();
    bench.fault(Fault::Answer { status: 200, headers: Vec::new(), body: told }, 1);
    assert_eq!(code_of(&bench.send("14155550101").await).0, "refused", "an error stays one with HTTP 200");
}

#[tokio::test]
async fn who_cannot_be_reached_got_nothing() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (_file, token) = token_file();
    let whatsapp = whatsapp(&format!("http://{address}/v23.0"), Some(token), Duration::from_secs(5));
    let sent = whatsapp.send(&CommandId::from("k@0#0"), &message("14155550101")).await;
    assert_eq!(code_of(&sent), ("not_sent", "connect".to_owned(), None, Some(Pause::Lane)));
}

#[tokio::test]
async fn a_time_out_while_still_connecting_is_not_sent() {
    // A full queue of connections that nobody accepts: the next one hangs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    let connect = || tokio::net::TcpStream::connect(address);
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), connect()).await {
        queued.push(stream.unwrap());
    }
    let (_file, token) = token_file();
    let whatsapp = whatsapp(&format!("http://{address}/v23.0"), Some(token), Duration::from_millis(300));
    let sent = whatsapp.send(&CommandId::from("k@0#0"), &message("14155550101")).await;
    assert_eq!(code_of(&sent).0, "not_sent", "{sent:?}");
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_a_new_one_counts_at_once() {
    let bench = Bench::start().await;
    let none = whatsapp(&bench.outside.whatsapp_base_url(), None, Duration::from_secs(5));
    let sent = none.send(&CommandId::from("k@0#0"), &message("14155550101")).await;
    let wait = Some(Duration::from_secs(60));
    assert_eq!(code_of(&sent), ("not_sent", "no_token".to_owned(), wait, Some(Pause::Sender)));
    bench.token.as_file().set_len(0).unwrap();
    assert_eq!(code_of(&bench.send("14155550101").await).1, "no_token");
    assert!(bench.outside.log().is_empty());
    std::fs::write(bench.token.path(), "another").unwrap();
    assert_eq!(code_of(&bench.send("14155550101").await).0, "sent");
}

#[tokio::test]
async fn a_sender_id_stays_one_path_segment() {
    let bench = Bench::start().await;
    let mut command = message("14155550101");
    if let Action::Message { business_id, .. } = &mut command.action {
        *business_id = "../2099/x?y".to_owned();
    }
    bench.whatsapp.send(&CommandId::from("k@0#0"), &command).await;
    assert_eq!(bench.outside.log()[0].path, "/v23.0/..%2F2099%2Fx%3Fy/messages");
}
