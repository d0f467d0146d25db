//! The contract over `aws-sdk-sqs`: Amazon's queues, and any server that speaks their protocol.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{
    primitives::Blob,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
        SendMessageBatchRequestEntry,
    },
};

use crate::{
    config::QueueSettings,
    domain::{
        delivery::{Attribute, Delivery, Receipt},
        timestamp::Timestamp,
    },
    queue::{
        clients::{Counted, SqsClients, receive_timeout},
        contract::{Depth, EntryResult, LARGEST_MESSAGE, OutgoingMessage, Queue, QueueError},
        refusal,
    },
};

/// Longest visibility timeout, delay and long poll, in seconds (SQS API reference).
const LONGEST_VISIBILITY: u64 = 43_200;
const LONGEST_DELAY: u64 = 900;
const LONGEST_WAIT: u64 = 20;

/// One queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    clients: SqsClients,
    url: String,
}

impl SqsQueue {
    /// A queue by its URL, over clients of its own. Nothing is sent yet.
    pub async fn connect(settings: &QueueSettings, url: &str) -> Self {
        Self::new(SqsClients::connect(settings).await, url)
    }

    /// A queue by its URL, over clients that others use too.
    #[must_use]
    pub fn new(clients: SqsClients, url: &str) -> Self {
        Self { clients, url: url.to_owned() }
    }

    async fn attributes(
        &self,
        names: &[QueueAttributeName],
    ) -> Result<BTreeMap<QueueAttributeName, String>, QueueError> {
        let call = self.clients.settling.get_queue_attributes().queue_url(&self.url);
        let call = call.set_attribute_names(Some(names.to_vec())).customize();
        let answer = call.interceptor(Counted("GetQueueAttributes")).send().await;
        let answer = answer.map_err(|error| refusal::of_call(&error))?;
        Ok(answer.attributes.unwrap_or_default().into_iter().collect())
    }

    async fn send_one_batch(&self, messages: &[&OutgoingMessage]) -> Result<Vec<EntryResult>, QueueError> {
        let entries = messages.iter().enumerate().map(|(at, message)| outgoing(at, message));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let call = self.clients.settling.send_message_batch().queue_url(&self.url);
        let call = call.set_entries(Some(entries)).customize().interceptor(Counted("SendMessageBatch"));
        let answer = call.send().await.map_err(|error| refusal::of_call(&error))?;
        Ok(in_order(messages.len(), answer.successful().iter().map(|done| done.id()), answer.failed()))
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        let call = self
            .clients
            .polling
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .wait_time_seconds(whole(wait.as_secs(), LONGEST_WAIT))
            .visibility_timeout(whole(rounded_up(visibility), LONGEST_VISIBILITY))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .customize()
            .config_override(receive_timeout(wait))
            .interceptor(Counted("ReceiveMessage"));
        let answer = call.send().await.map_err(|error| refusal::of_call(&error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(delivery).collect())
    }

    async fn delete(&self, receipts: &[Receipt]) -> Result<Vec<EntryResult>, QueueError> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |(at, receipt): (usize, &Receipt)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(at.to_string());
            entry.receipt_handle(&receipt.0).build().map_err(unbuildable)
        };
        let entries = receipts.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let call = self.clients.settling.delete_message_batch().queue_url(&self.url);
        let call = call.set_entries(Some(entries)).customize().interceptor(Counted("DeleteMessageBatch"));
        let answer = call.send().await.map_err(|error| refusal::of_call(&error))?;
        Ok(in_order(receipts.len(), answer.successful().iter().map(|done| done.id()), answer.failed()))
    }

    async fn change_visibility(
        &self,
        changes: &[(Receipt, Duration)],
    ) -> Result<Vec<EntryResult>, QueueError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |(at, (receipt, visibility)): (usize, &(Receipt, Duration))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(at.to_string());
            let entry = entry.visibility_timeout(whole(rounded_up(*visibility), LONGEST_VISIBILITY));
            entry.receipt_handle(&receipt.0).build().map_err(unbuildable)
        };
        let entries = changes.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
        let call = self.clients.settling.change_message_visibility_batch().queue_url(&self.url);
        let call = call.set_entries(Some(entries)).customize();
        let call = call.interceptor(Counted("ChangeMessageVisibilityBatch"));
        let answer = call.send().await.map_err(|error| refusal::of_call(&error))?;
        Ok(in_order(changes.len(), answer.successful().iter().map(|done| done.id()), answer.failed()))
    }

    /// In as many calls as the limit of 1 MiB for a whole batch makes necessary. An error means that
    /// nothing was sent; when a later call fails its messages are `Again`.
    async fn send(&self, messages: &[OutgoingMessage]) -> Result<Vec<EntryResult>, QueueError> {
        let mut results = Vec::with_capacity(messages.len());
        let mut sent = false;
        for batch in batches(messages) {
            match batch {
                Batch::Oversize(size) => results.push(EntryResult::Gone(format!(
                    "the message has {size} bytes, more than the {LARGEST_MESSAGE} that the queue takes"
                ))),
                Batch::Together(messages) => match self.send_one_batch(&messages).await {
                    Ok(entries) => {
                        sent = true;
                        results.extend(entries);
                    }
                    Err(error) if !sent => return Err(error),
                    Err(error) => {
                        results.extend(messages.iter().map(|_| EntryResult::Again(error.to_string())));
                    }
                },
            }
        }
        Ok(results)
    }

    async fn depth(&self) -> Result<Depth, QueueError> {
        use QueueAttributeName as Name;
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let attributes = self.attributes(&names).await?;
        let [visible, in_flight, delayed] =
            names.map(|name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or(0));
        Ok(Depth { visible, in_flight, delayed })
    }

    async fn max_receive_count(&self) -> Result<Option<u32>, QueueError> {
        let attributes = self.attributes(&[QueueAttributeName::RedrivePolicy]).await?;
        Ok(attributes.get(&QueueAttributeName::RedrivePolicy).and_then(|policy| max_receives(policy)))
    }
}

/// Servers write the number as a number or as text.
fn max_receives(policy: &str) -> Option<u32> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    let number = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    u32::try_from(number).ok()
}

/// Whole seconds within what SQS takes.
fn whole(seconds: u64, longest: u64) -> i32 {
    i32::try_from(seconds.min(longest)).unwrap_or(i32::MAX)
}

/// A lease or a delay must not come out shorter than asked.
fn rounded_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Every entry's answer at the place where it was asked. An entry that the answer leaves out is worth
/// another try: whether it was done is not known.
fn in_order<'a>(
    count: usize,
    successful: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<EntryResult> {
    let mut results = vec![EntryResult::Again("the answer leaves this entry out".to_owned()); count];
    let done = successful.map(|id| (id, EntryResult::Done));
    let failed = failed.iter().map(|entry| (entry.id(), refusal::of_entry(entry)));
    for (id, result) in done.chain(failed) {
        if let Some(place) = id.parse::<usize>().ok().and_then(|at| results.get_mut(at)) {
            *place = result;
        }
    }
    results
}

/// Messages that fit into one call.
enum Batch<'a> {
    Together(Vec<&'a OutgoingMessage>),
    /// One that fits into none, with its size.
    Oversize(usize),
}

fn batches(messages: &[OutgoingMessage]) -> Vec<Batch<'_>> {
    let mut batches = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let size = size(message);
        match batches.last_mut() {
            _ if size > LARGEST_MESSAGE => batches.push(Batch::Oversize(size)),
            Some(Batch::Together(together)) if bytes + size <= LARGEST_MESSAGE => {
                bytes += size;
                together.push(message);
            }
            _ => {
                bytes = size;
                batches.push(Batch::Together(vec![message]));
            }
        }
    }
    batches
}

/// As SQS counts: body plus names, types and values of the attributes.
fn size(message: &OutgoingMessage) -> usize {
    let one = |(name, value): (&String, &Attribute)| {
        name.len()
            + match value {
                Attribute::Text(text) => "String".len() + text.len(),
                Attribute::Binary(bytes) => "Binary".len() + bytes.len(),
            }
    };
    message.body.len() + message.attributes.iter().map(one).sum::<usize>()
}

fn outgoing(at: usize, message: &OutgoingMessage) -> Result<SendMessageBatchRequestEntry, QueueError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(at.to_string())
        .message_body(&message.body)
        .set_message_group_id(message.group.clone())
        .set_message_deduplication_id(message.deduplication.clone())
        .set_delay_seconds(message.delay.map(|delay| whole(rounded_up(delay), LONGEST_DELAY)));
    for (name, value) in &message.attributes {
        let value = match value {
            Attribute::Text(text) => MessageAttributeValue::builder().data_type("String").string_value(text),
            Attribute::Binary(bytes) => {
                MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(bytes.clone()))
            }
        };
        entry = entry.message_attributes(name, value.build().map_err(unbuildable)?);
    }
    entry.build().map_err(unbuildable)
}

/// The builders miss a field only when this file forgets one.
fn unbuildable(error: aws_sdk_sqs::error::BuildError) -> QueueError {
    QueueError::Refused { code: "RequestIncomplete".to_owned(), message: error.to_string() }
}

fn delivery(message: Message) -> Delivery {
    let system = message.attributes.unwrap_or_default();
    let number =
        |name: MessageSystemAttributeName| system.get(&name).and_then(|text| text.parse::<i64>().ok());
    let sent_at = number(MessageSystemAttributeName::SentTimestamp);
    let receives = number(MessageSystemAttributeName::ApproximateReceiveCount);
    Delivery {
        sent_at: Timestamp::from_millis(sent_at.unwrap_or_default()),
        receive_count: receives.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        group: system.get(&MessageSystemAttributeName::MessageGroupId).cloned(),
        message_id: message.message_id.unwrap_or_default(),
        receipt: Receipt(message.receipt_handle.unwrap_or_default()),
        body: message.body.unwrap_or_default(),
        attributes: message
            .message_attributes
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, attribute(value)))
            .collect(),
    }
}

fn attribute(value: MessageAttributeValue) -> Attribute {
    match (value.string_value, value.binary_value) {
        (None, Some(bytes)) => Attribute::Binary(bytes.into_inner()),
        (text, _) => Attribute::Text(text.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> OutgoingMessage {
        OutgoingMessage { body: "x".repeat(bytes), ..OutgoingMessage::default() }
    }

    #[test]
    fn batches_keep_to_one_mebibyte_and_to_the_order() {
        let messages = [message(600_000), message(400_000), message(100_000), message(LARGEST_MESSAGE + 1)];
        let sizes: Vec<Vec<usize>> = batches(&messages)
            .iter()
            .map(|batch| match batch {
                Batch::Together(messages) => messages.iter().map(|message| size(message)).collect(),
                Batch::Oversize(size) => vec![*size],
            })
            .collect();
        assert_eq!(sizes, [vec![600_000, 400_000], vec![100_000], vec![LARGEST_MESSAGE + 1]]);
    }

    #[test]
    fn answers_come_back_in_the_order_asked() {
        let failed = BatchResultErrorEntry::builder().id("0").code("X").sender_fault(true).build().unwrap();
        let results = in_order(4, ["3", "1", "77", "?"].into_iter(), &[failed]);
        assert_eq!(results[0], EntryResult::Gone("X: no text".to_owned()));
        assert_eq!(results[1], EntryResult::Done);
        assert!(matches!(&results[2], EntryResult::Again(_)));
        assert_eq!(results[3], EntryResult::Done);
    }

    #[test]
    fn receive_counts_of_both_spellings() {
        assert_eq!(max_receives(r#"{"maxReceiveCount":"5"}"#), Some(5));
        assert_eq!(max_receives(r#"{"maxReceiveCount":100}"#), Some(100));
        assert_eq!(max_receives("nonsense"), None);
    }

    #[test]
    fn part_seconds_are_rounded_up() {
        assert_eq!(rounded_up(Duration::from_millis(1_001)), 2);
        assert_eq!(rounded_up(Duration::from_secs(3)), 3);
        assert_eq!(whole(99_999, LONGEST_VISIBILITY), 43_200);
    }
}
