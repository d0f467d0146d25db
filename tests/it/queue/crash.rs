//! What was acknowledged is on the disk: a server is started on what another one had written, without
//! that one's knowledge.

use std::{path::Path, time::Duration};

use longshore::queue::{
    contract::{Depth, EntryResult, Queue as _},
    local::server::{Options, Server, ServerError},
};

use super::harness::{client, gather, serve, text};

const HOUR: Duration = Duration::from_secs(3_600);

/// What a killed process leaves: the file and its log as they are, nothing closed, nothing tidied up.
fn image(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in ["queue.sqlite", "queue.sqlite-wal"] {
        std::fs::copy(folder.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

async fn restart(folder: &Path) -> Server {
    Server::start(Options::new("127.0.0.1:0".parse().unwrap(), folder)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_leases_deletes_and_settings_survive() {
    let (server, folder) = serve(|_| ()).await;
    server.ensure_queue("q", &[("VisibilityTimeout", "77")]).await.unwrap();
    let queue = client(&server, "q").await;
    let batch: Vec<_> = (0..10).map(|number| text(&format!("m{number}"))).collect();
    queue.send(&batch).await.unwrap();
    let taken = queue.receive(4, Duration::ZERO, HOUR).await.unwrap();
    let receipts: Vec<_> = taken.iter().map(|delivery| delivery.receipt.clone()).collect();
    assert_eq!(queue.delete(&receipts[..2]).await.unwrap(), [EntryResult::Done, EntryResult::Done]);

    let crashed = image(folder.path());
    let after = restart(crashed.path()).await;
    let queue = client(&after, "q").await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 6, in_flight: 2, delayed: 0 });
    // Receipts given out before the crash still settle.
    assert_eq!(queue.delete(&receipts[2..]).await.unwrap(), [EntryResult::Done, EntryResult::Done]);
    assert_eq!(gather(&queue, 6).await.len(), 6);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 0, in_flight: 6, delayed: 0 });
    after.shutdown().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_log_loses_only_what_was_not_acknowledged() {
    let (server, folder) = serve(|_| ()).await;
    server.ensure_queue("q", &[]).await.unwrap();
    let queue = client(&server, "q").await;
    queue.send(&[text("safe")]).await.unwrap();
    let crashed = image(folder.path());
    queue.send(&[text("later")]).await.unwrap();
    // The next write had begun: half of it is in the log.
    let log = std::fs::read(folder.path().join("queue.sqlite-wal")).unwrap();
    let safe = std::fs::metadata(crashed.path().join("queue.sqlite-wal")).unwrap().len();
    let safe = usize::try_from(safe).unwrap();
    assert!(log.len() > safe, "the second send wrote to the log");
    std::fs::write(crashed.path().join("queue.sqlite-wal"), &log[..usize::midpoint(safe, log.len())])
        .unwrap();

    let after = restart(crashed.path()).await;
    let queue = client(&after, "q").await;
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 1, in_flight: 0, delayed: 0 });
    assert_eq!(gather(&queue, 1).await[0].body, "safe");
    after.shutdown().await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_never_share_a_file() {
    let (server, folder) = serve(|_| ()).await;
    let second = Server::start(Options::new("127.0.0.1:0".parse().unwrap(), folder.path())).await;
    assert!(matches!(second, Err(ServerError::InUse(_))), "{second:?}");
    server.shutdown().await;
    restart(folder.path()).await.shutdown().await;
}
