//! `longshore queue serve` killed with SIGKILL under load: nothing that was acknowledged is lost, nothing
//! that was deleted comes back.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName;
use longshore::queue::{
    contract::{EntryResult, OutgoingMessage, Queue as _},
    sqs::SqsQueue,
};

use super::harness::{sdk, settings, text, until};

/// Short, so that what was taken before the kill comes back within the test.
const LEASE: Duration = Duration::from_secs(2);

/// The server's process; killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn kill(&mut self) {
        self.0.kill().expect("it ran until now");
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> (Process, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_longshore"))
        .args(["queue", "serve", "--listen", "127.0.0.1:0", "--state-dir"])
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.split_whitespace().find(|word| word.starts_with("http://"));
    (Process(child), endpoint.expect("it says where it serves").to_owned())
}

/// What the clients know for sure.
#[derive(Default)]
struct Known {
    sent: BTreeSet<String>,
    /// Asked to be deleted, acknowledged or not.
    maybe_deleted: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

/// Sends until the server is gone.
async fn send(queue: SqsQueue, known: Arc<Mutex<Known>>, sender: usize) {
    for batch in 0.. {
        let bodies: Vec<String> = (0..10).map(|at| format!("{sender}-{batch}-{at}")).collect();
        let messages: Vec<OutgoingMessage> = bodies.iter().map(|body| text(body)).collect();
        let Ok(results) = queue.send(&messages).await else { return };
        let done = bodies.into_iter().zip(results).filter(|(_, result)| *result == EntryResult::Done);
        known.lock().unwrap().sent.extend(done.map(|(body, _)| body));
    }
}

/// Takes and deletes until the server is gone.
async fn consume(queue: SqsQueue, known: Arc<Mutex<Known>>) {
    while let Ok(got) = queue.receive(10, Duration::ZERO, LEASE).await {
        let bodies: Vec<String> = got.iter().map(|delivery| delivery.body.clone()).collect();
        let receipts: Vec<_> = got.into_iter().map(|delivery| delivery.receipt).collect();
        known.lock().unwrap().maybe_deleted.extend(bodies.iter().cloned());
        let Ok(results) = queue.delete(&receipts).await else { return };
        assert!(results.iter().all(|result| *result == EntryResult::Done), "{results:?}");
        known.lock().unwrap().deleted.extend(bodies);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, endpoint) = serve(folder.path());
    let created = sdk(&endpoint).create_queue().queue_name("q");
    let created = created.attributes(QueueAttributeName::VisibilityTimeout, "2").send().await.unwrap();
    let url = created.queue_url.unwrap();
    let queue = SqsQueue::connect(&settings(&endpoint, &url), &url).await;
    let known = Arc::new(Mutex::new(Known::default()));
    let mut clients: Vec<_> =
        (0..4).map(|sender| tokio::spawn(send(queue.clone(), Arc::clone(&known), sender))).collect();
    clients.push(tokio::spawn(consume(queue, Arc::clone(&known))));
    until("there is traffic both ways", async || {
        let known = known.lock().unwrap();
        known.sent.len() >= 300 && known.deleted.len() >= 50
    })
    .await;
    server.kill();
    for client in clients {
        client.await.unwrap();
    }

    let (mut server, endpoint) = serve(folder.path());
    let queue = SqsQueue::connect(&settings(&endpoint, &url), &url).await;
    let known = Arc::into_inner(known).unwrap().into_inner().unwrap();
    let must_come: BTreeSet<String> = known.sent.difference(&known.maybe_deleted).cloned().collect();
    let mut came = BTreeSet::new();
    while let Ok(got) = queue.receive(10, LEASE * 2, Duration::from_secs(600)).await {
        if got.is_empty() {
            break;
        }
        came.extend(got.into_iter().map(|delivery| delivery.body));
    }
    let lost: Vec<_> = must_come.difference(&came).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), must_come.len());
    let undead: Vec<_> = known.deleted.intersection(&came).collect();
    assert!(undead.is_empty(), "deleted and back: {undead:?}");
    server.kill();
}
