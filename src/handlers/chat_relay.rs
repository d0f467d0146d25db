//! Posts an answer piece by piece while it is made. Best effort: a reader that goes away, refuses or is slow gets no
//! more pieces, and the answer does not wait for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

use crate::{
    domain::{
        ids::{EventKey, Ticket, sha256_hex},
        reason::Reason,
    },
    handlers::tools::PiecePost,
    llm::contract::Pieces,
    store::contract::FIRST_TICKET,
};

/// What a piece is posted as.
const PIECE: &str = "longshore.chat.piece.v1";
/// What is posted when no answer will come.
const FAILED: &str = "longshore.chat.failed.v1";
/// Text is gathered for this long ...
const GATHER: Duration = Duration::from_millis(100);
/// ... or until there is so much of it, in bytes.
const ENOUGH: usize = 1_024;
/// A reader that is so far behind, in bytes, is given up.
const TOO_FAR_BEHIND: usize = 64 * 1_024;
/// A post that takes longer gives the reader up.
const SLOW: Duration = Duration::from_secs(3);
/// After the answer is whole, its last pieces have so long.
const LAST_PIECES: Duration = Duration::from_secs(2);

/// Who reads along.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) url: String,
    pub(super) chat_id: String,
    pub(super) key: EventKey,
    /// Of the claim under which the answer is made: a later one begins anew.
    pub(super) ticket: Ticket,
}

/// A relay at work. Dropped, it stops.
pub(super) struct Relay {
    line: Arc<Line>,
    pump: JoinHandle<()>,
    post: Arc<dyn PiecePost>,
    reader: Reader,
}

/// Between the one who fills and the one who posts.
#[derive(Default)]
struct Line {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    text: String,
    /// What was posted before is void.
    restart: bool,
    /// Something was put into the line since it began.
    begun: bool,
    /// Nothing follows.
    closed: bool,
    /// Nobody reads.
    given_up: bool,
}

impl Relay {
    pub(super) fn start(post: Arc<dyn PiecePost>, reader: Reader) -> Self {
        let line = Arc::new(Line::default());
        // An earlier claim may have posted pieces of an answer that never became whole.
        line.waiting().restart = reader.ticket > FIRST_TICKET;
        let pump = tokio::spawn(pump(Arc::clone(&line), Arc::clone(&post), reader.clone()));
        Self { line, pump, post, reader }
    }

    /// Takes the pieces; an empty one says that the answer begins anew.
    pub(super) fn pieces(&self) -> Pieces {
        let line = Arc::clone(&self.line);
        Pieces(Arc::new(move |piece| line.put(piece)))
    }

    /// Posts what is left, within bounds; says so when no answer will come.
    pub(super) async fn finish(mut self, failed: Option<Reason>) {
        self.line.waiting().closed = true;
        self.line.changed.notify_one();
        // Too late is as good as not at all: the whole answer follows.
        let _ = timeout(LAST_PIECES, &mut self.pump).await;
        if let Some(reason) = failed.filter(|_| !self.line.waiting().given_up) {
            let data = json!({
                "chat_id": self.reader.chat_id,
                "attempt": self.reader.ticket.0,
                "reason": reason.code(),
                "text": reason.user_text(),
            });
            let _ = timeout(SLOW, self.post.post(&self.reader.url, &self.reader.id("failed"), FAILED, &data))
                .await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Reader {
    /// Unique for each post, and the same whoever works it out.
    fn id(&self, what: &str) -> String {
        let hash = sha256_hex(&[self.key.as_str().as_bytes()]);
        format!("piece_{}_{}_{what}", hash.get(..16).unwrap_or(&hash), self.ticket.0)
    }
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, piece: &str) {
        let mut waiting = self.waiting();
        if waiting.given_up {
            return;
        }
        if piece.is_empty() {
            waiting.restart |= waiting.begun;
            waiting.text.clear();
            return;
        }
        waiting.begun = true;
        waiting.text.push_str(piece);
        if waiting.text.len() > TOO_FAR_BEHIND {
            waiting.give_up();
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// What is to be posted next; `None` when nothing will be.
    async fn next(&self) -> Option<(String, bool)> {
        let mut gathered = false;
        loop {
            {
                let mut waiting = self.waiting();
                let done = waiting.closed || gathered || waiting.text.len() >= ENOUGH;
                if waiting.given_up || (waiting.closed && waiting.text.is_empty()) {
                    return None;
                }
                if done && !waiting.text.is_empty() {
                    return Some((std::mem::take(&mut waiting.text), std::mem::take(&mut waiting.restart)));
                }
            }
            self.changed.notified().await;
            // The first word opens a short time in which others join it.
            let more = async {
                while !self.is_enough() {
                    self.changed.notified().await;
                }
            };
            gathered = timeout(GATHER, more).await.is_err();
        }
    }

    fn is_enough(&self) -> bool {
        let waiting = self.waiting();
        waiting.closed || waiting.given_up || waiting.text.len() >= ENOUGH
    }
}

impl Waiting {
    fn give_up(&mut self) {
        self.given_up = true;
        self.text = String::new();
    }
}

async fn pump(line: Arc<Line>, post: Arc<dyn PiecePost>, reader: Reader) {
    let mut sequence = 0_u64;
    while let Some((text, restart)) = line.next().await {
        let data = json!({
            "chat_id": reader.chat_id,
            "attempt": reader.ticket.0,
            "sequence": sequence,
            "restart": restart,
            "text": text,
        });
        let posted =
            timeout(SLOW, post.post(&reader.url, &reader.id(&sequence.to_string()), PIECE, &data)).await;
        let why = match posted {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("it takes too long".to_owned()),
        };
        if let Some(why) = why {
            tracing::info!(event_key = %reader.key, sequence, %why, "the reader of a chat gets no more pieces");
            line.waiting().give_up();
            return;
        }
        sequence += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use serde_json::Value;
    use tokio::sync::watch;

    use super::{FAILED, Line, PIECE, Reader, Relay, TOO_FAR_BEHIND};
    use crate::{
        domain::{
            ids::{EventKey, Ticket},
            reason::Reason,
        },
        handlers::tools::PiecePost,
    };

    /// A reader who refuses from one post on.
    struct Taker {
        taken: Mutex<Vec<(String, String, Value)>>,
        posts: watch::Sender<usize>,
        patience: usize,
    }

    #[async_trait]
    impl PiecePost for Taker {
        async fn post(&self, _: &str, id: &str, event_type: &str, data: &Value) -> Result<(), String> {
            let before = *self.posts.borrow();
            if before < self.patience {
                self.taken.lock().unwrap().push((id.to_owned(), event_type.to_owned(), data.clone()));
            }
            self.posts.send_replace(before + 1);
            if before < self.patience { Ok(()) } else { Err("410".to_owned()) }
        }
    }

    impl Taker {
        async fn until(&self, posts: usize) {
            self.posts.subscribe().wait_for(|so_far| *so_far >= posts).await.unwrap();
        }
    }

    fn taker(patience: usize) -> Arc<Taker> {
        Arc::new(Taker { taken: Mutex::default(), posts: watch::Sender::new(0), patience })
    }

    fn relay(taker: &Arc<Taker>, ticket: i64) -> Relay {
        let reader = Reader {
            url: "http://127.0.0.1:9/".into(),
            chat_id: "c1".into(),
            key: EventKey::from("k"),
            ticket: Ticket(ticket),
        };
        Relay::start(taker.clone(), reader)
    }

    /// What the reader holds at the end, by the rules of the page for senders.
    fn shown(taker: &Taker) -> String {
        let mut text = String::new();
        for (at, (_, event_type, data)) in taker.taken.lock().unwrap().iter().enumerate() {
            assert_eq!((event_type.as_str(), data["sequence"].as_u64()), (PIECE, Some(at as u64)));
            if data["restart"] == true {
                text.clear();
            }
            text += data["text"].as_str().unwrap();
        }
        text
    }

    #[tokio::test]
    async fn bv_2_pieces_arrive_gathered_in_order_and_all() {
        let taker = taker(usize::MAX);
        let relay = relay(&taker, 1);
        let pieces = relay.pieces().begin();
        let mut whole = String::new();
        for word in 0..500 {
            let word = format!("word{word} ");
            (pieces.0)(&word);
            whole += &word;
            if word == "word200 " {
                taker.until(1).await;
            }
        }
        relay.finish(None).await;
        assert_eq!(shown(&taker), whole);
        let posts = *taker.posts.borrow();
        assert!((2..10).contains(&posts), "{posts} posts");
        let ids: std::collections::BTreeSet<_> =
            taker.taken.lock().unwrap().iter().map(|t| t.0.clone()).collect();
        assert_eq!(ids.len(), posts);
    }

    #[tokio::test]
    async fn an_attempt_that_was_cut_is_taken_back() {
        let taker = taker(usize::MAX);
        let relay = relay(&taker, 1);
        (relay.pieces().begin().0)("The first half");
        taker.until(1).await;
        (relay.pieces().begin().0)("Anew, and whole.");
        relay.finish(None).await;
        assert_eq!(shown(&taker), "Anew, and whole.");
        let restarts: Vec<_> = taker.taken.lock().unwrap().iter().map(|t| t.2["restart"] == true).collect();
        assert_eq!(restarts, [false, true]);
    }

    #[tokio::test]
    async fn a_later_claim_takes_back_what_an_earlier_one_may_have_posted() {
        let taker = taker(usize::MAX);
        let relay = relay(&taker, 2);
        (relay.pieces().begin().0)("x");
        relay.finish(None).await;
        assert_eq!(taker.taken.lock().unwrap()[0].2["restart"], true);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_gets_no_more_and_holds_nothing_up() {
        let taker = taker(1);
        let relay = relay(&taker, 1);
        (relay.pieces().0)("taken");
        taker.until(1).await;
        (relay.pieces().0)("refused");
        taker.until(2).await;
        (relay.pieces().0)("and nobody is there");
        relay.finish(Some(Reason::LlmRefused)).await;
        assert_eq!(*taker.posts.borrow(), 2, "one taken, one refused, none after");
    }

    #[tokio::test]
    async fn a_failure_for_good_is_told() {
        let taker = taker(usize::MAX);
        relay(&taker, 1).finish(Some(Reason::LlmRefused)).await;
        let told = taker.taken.lock().unwrap().remove(0);
        assert_eq!((told.1.as_str(), &told.2["reason"]), (FAILED, &Value::from("llm_refused")));
    }

    #[test]
    fn a_line_without_a_reader_does_not_grow() {
        let line = Line::default();
        for _ in 0..1_000 {
            line.put(&"x".repeat(1_000));
        }
        assert!(line.waiting().given_up && line.waiting().text.capacity() < TOO_FAR_BEHIND);
    }
}
