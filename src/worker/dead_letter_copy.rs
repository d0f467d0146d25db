//! Dead letters as messages: copied to the DLQ, where other tools can see them, and put back on the queue
//! by a replay. The store is the record, the DLQ a copy.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use serde_json::{Value, json};

use crate::{
    crash_point,
    domain::{
        command::{Pause, Sent},
        dead_letter::{DeadLetter, DeadLetterFilter},
        delivery::Attribute,
    },
    queue::contract::{EntryResult, LARGEST_MESSAGE, OutgoingMessage, Queue},
    worker::{parts::Context, pipeline::DEAD_ATTRIBUTE},
};

/// Attribute with reason and detail of a dead letter, as JSON.
const ABOUT_ATTRIBUTE: &str = "longshore-dead-letter";
/// Attributes that one message may have.
const MOST_ATTRIBUTES: usize = 10;
/// Longest detail that travels with a copy, in bytes.
const LONGEST_DETAIL: usize = 1_024;

/// Copies a dead letter to the DLQ.
pub(super) async fn copy(context: &Context, id: &str) -> Sent {
    let letter = match find(context, id).await {
        Ok(Some(letter)) => letter,
        Ok(None) => return gone(),
        Err(not_sent) => return not_sent,
    };
    crash_point::reach("before_dlq_copy");
    let sent = send(&*context.parts.dead_letter_queue, as_copy(&letter)).await;
    crash_point::reach("dlq_copied");
    sent
}

/// Puts a message that never became an event back on the queue, as it came.
pub(super) async fn requeue(context: &Context, id: &str) -> Sent {
    match find(context, id).await {
        Ok(Some(letter)) => {
            let attributes = attributes_from_json(&letter.attributes);
            let message = OutgoingMessage { body: letter.body, attributes, ..OutgoingMessage::default() };
            context.closed.store(true, Ordering::SeqCst);
            send(&*context.parts.queue, message).await
        }
        Ok(None) => gone(),
        Err(not_sent) => not_sent,
    }
}

async fn find(context: &Context, id: &str) -> Result<Option<DeadLetter>, Sent> {
    let filter =
        DeadLetterFilter { ids: vec![id.to_owned()], closed: true, limit: 1, ..DeadLetterFilter::default() };
    match context.parts.store.dead_letters(&filter).await {
        Ok(letters) => Ok(letters.into_iter().next()),
        Err(error) => Err(not_sent("store", error.to_string())),
    }
}

fn gone() -> Sent {
    Sent::Refused { code: "gone".to_owned(), detail: "the dead letter is not there any more".to_owned() }
}

fn not_sent(code: &str, detail: String) -> Sent {
    Sent::NotSent { code: code.to_owned(), detail, wait: None, pause: Pause::Lane }
}

async fn send(queue: &dyn Queue, message: OutgoingMessage) -> Sent {
    match queue.send(&[message]).await {
        Ok(results) => match results.into_iter().next() {
            Some(EntryResult::Done) => Sent::Sent { vendor_id: None },
            Some(EntryResult::Gone(detail)) => Sent::Refused { code: "queue".to_owned(), detail },
            Some(EntryResult::Again(detail)) => not_sent("queue", detail),
            None => not_sent("queue", "no answer for the message".to_owned()),
        },
        Err(error) => not_sent("queue", error.to_string()),
    }
}

/// The whole body with its own attributes and the reason; a reference where they do not fit together.
fn as_copy(letter: &DeadLetter) -> OutgoingMessage {
    let about = json!({
        "id": letter.id,
        "reason": letter.reason,
        "detail": cut(&letter.detail, LONGEST_DETAIL),
        "source": letter.source,
        "event_key": letter.event_key,
        "seen": letter.seen,
        "first_at": letter.first_at.to_string(),
    });
    let ours = BTreeMap::from([
        (DEAD_ATTRIBUTE.to_owned(), Attribute::Text(letter.id.clone())),
        (ABOUT_ATTRIBUTE.to_owned(), Attribute::Text(about.to_string())),
    ]);
    let theirs = attributes_from_json(&letter.attributes);
    let mut attributes = ours.clone();
    if theirs.len() + ours.len() <= MOST_ATTRIBUTES {
        attributes.extend(theirs);
    }
    let message = OutgoingMessage { body: letter.body.clone(), attributes, ..OutgoingMessage::default() };
    if fits(&message) {
        return message;
    }
    let reference = json!({ "longshore_dead_letter": letter.id, "body": "in the store" });
    OutgoingMessage { body: reference.to_string(), attributes: ours, ..OutgoingMessage::default() }
}

fn fits(message: &OutgoingMessage) -> bool {
    let attribute = |(name, value): (&String, &Attribute)| {
        // Name, type name and value count.
        name.len()
            + "String".len()
            + match value {
                Attribute::Text(text) => text.len(),
                Attribute::Binary(bytes) => bytes.len(),
            }
    };
    let size = message.body.len() + message.attributes.iter().map(attribute).sum::<usize>();
    size <= LARGEST_MESSAGE && !message.body.is_empty() && message.body.chars().all(allowed)
}

/// Characters that SQS takes (SendMessage reference).
fn allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn cut(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// The reverse of `attributes_to_json`; what is not in its shape is left out.
fn attributes_from_json(attributes: &Value) -> BTreeMap<String, Attribute> {
    let value = |value: &Value| {
        let text = value.get("text").and_then(Value::as_str).map(|text| Attribute::Text(text.to_owned()));
        let binary = || value.get("binary").and_then(Value::as_str).and_then(|b| hex::decode(b).ok());
        text.or_else(|| binary().map(Attribute::Binary))
    };
    let entries = attributes.as_object().into_iter().flatten();
    entries.filter_map(|(name, v)| Some((name.clone(), value(v)?))).collect()
}
