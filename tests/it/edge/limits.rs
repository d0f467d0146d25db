//! Sizes, times and rates.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_util::sync::CancellationToken;

use super::harness::{PUBLIC, Unusual, World, answer, ask, body_of, post, signed, whatsapp};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_source_s_size_is_refused_however_it_comes() {
    let world = World::with(Unusual { whatsapp: "max_body = 1000", ..Unusual::default() }).await;
    assert_eq!(world.ask(&whatsapp(&[b'x'; 1_000])).await.status, 200);
    let large = world.ask(&whatsapp(&[b'x'; 1_001])).await;
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
    let piece = format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3);
    let chunked = format!(
        "POST /hooks/whatsapp HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{piece}0\r\n\r\n"
    );
    assert_eq!(world.ask(chunked.as_bytes()).await.status, 413);
    // It says how much would come and waits to be asked.
    let expecting = "POST /hooks/whatsapp HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n\
                     content-length: 99999999999\r\n\r\n";
    assert_eq!(world.ask(expecting.as_bytes()).await.status, 413);
    assert_eq!(world.messages().await.len(), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_through_up_to_what_one_message_carries() {
    let world = World::usual().await;
    let body = vec![b'x'; 750 * 1024];
    assert_eq!(world.ask(&whatsapp(&body)).await.status, 200);
    let large = world.ask(&whatsapp(&vec![b'x'; 800 * 1024])).await;
    assert_eq!((large.status, large.code().as_str()), (413, "too_large"));
    assert!(large.body.contains("one message"), "{}", large.body);
    assert!(body_of(&world.only().await.1) == body);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_not_waited_for() {
    let world = World::with(Unusual { intake: "body_timeout = \"100ms\"", ..Unusual::default() }).await;
    let started = Instant::now();
    let whole = whatsapp(b"{\"a\":1}");
    let slow = world.ask(&whole[..whole.len() - 1]).await;
    assert_eq!((slow.status, slow.code().as_str()), (408, "body_timeout"));
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(world.messages().await.len(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_over_its_rate_comes_again() {
    let world = World::with(Unusual { whatsapp: "requests_per_second = 1", ..Unusual::default() }).await;
    // The limit counts whole seconds of the machine's clock: two requests at once are one too many.
    let bytes = whatsapp(b"{}");
    let both = tokio::join!(world.ask(&bytes), world.ask(&bytes));
    let refused = if both.0.status == 200 { &both.1 } else { &both.0 };
    assert_eq!(both.0.status.min(both.1.status), 200);
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let other = post("/hooks/hubspot", &signed("hubspot", PUBLIC, b"[]"), "");
    assert_eq!(world.ask(&other).await.status, 200, "another source has its own");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_and_too_many_bytes_at_once_come_again() {
    let world = World::with(Unusual {
        intake: "max_waiting = 1\nmax_bytes = 1048576\ndrain = \"5s\"",
        ..Unusual::default()
    })
    .await;
    let address = world.address();
    let whole = whatsapp(b"{\"a\":1}");
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&whole[..whole.len() - 1]).await.unwrap();
    // The first one holds the only place as soon as its head was read.
    let refused = loop {
        let second = ask(address, &whole).await;
        if second.status != 200 {
            break second;
        }
    };
    assert_eq!((refused.status, refused.code().as_str()), (429, "busy"));
    assert!(refused.header("retry-after").is_some());
    first.write_all(&whole[whole.len() - 1..]).await.unwrap();
    assert_eq!(answer(&mut first).await.unwrap().status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_never_ends_does_not_hold_the_stop() {
    let world =
        World::with(Unusual { intake: "send_timeout = \"100ms\"\ndrain = \"1100ms\"", ..Unusual::default() })
            .await;
    let whole = whatsapp(b"{\"a\":1}");
    let mut slow = TcpStream::connect(world.address()).await.unwrap();
    slow.write_all(&whole[..whole.len() - 1]).await.unwrap();
    // An answered request on another connection shows that the edge has seen the first one.
    assert_eq!(world.ask(&whole).await.status, 200);
    let started = Instant::now();
    assert!(!world.intake.stop(CancellationToken::new()).await);
    assert!(started.elapsed() >= Duration::from_secs(1), "the drain is for requests that have begun");
    assert!(answer(&mut slow).await.is_none(), "no answer, and certainly no 2xx");
    world.server.shutdown().await;
}
