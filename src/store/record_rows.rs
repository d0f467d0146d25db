//! The rows that handlers ask for, sorted by table, in the order in which they were asked for.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    domain::{
        ids::{EventKey, TenantId},
        outcome::Held,
        record::{
            ContactWrite, ConversationWrite, EmbeddingWrite, EraseWrite, LedgerRow, MessageWrite,
            ResultWrite, StatusWrite, Write,
        },
    },
    store::{
        contract::Result,
        rows::{indexed, json, ledger_row, text},
        vectors::to_bytes,
    },
};

/// A contact that must exist.
#[derive(Debug, Serialize)]
pub(crate) struct ContactRow<'a> {
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) system: Cow<'a, str>,
    pub(crate) external_id: Cow<'a, str>,
}

/// A contact's property; wins only with a greater (at, tie).
#[derive(Debug, Serialize)]
pub(crate) struct PropertyRow<'a> {
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) system: Cow<'a, str>,
    pub(crate) external_id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) value: Option<Cow<'a, str>>,
    pub(crate) at: i64,
    pub(crate) tie: Cow<'a, str>,
}

/// A conversation; an older one changes nothing, one without a reading leaves the last reading.
#[derive(Debug, Serialize)]
pub(crate) struct ConversationRow<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) channel: &'static str,
    pub(crate) business_id: Cow<'a, str>,
    pub(crate) contact: Cow<'a, str>,
    pub(crate) last_inbound_at: i64,
    pub(crate) intent: Option<Cow<'a, str>>,
    pub(crate) lead_stage: Option<Cow<'a, str>>,
    pub(crate) sentiment: Option<Cow<'a, str>>,
    pub(crate) language: Option<Cow<'a, str>>,
    pub(crate) confidence: Option<f64>,
}

/// A message received; one that is there stays as it is.
#[derive(Debug, Serialize)]
pub(crate) struct MessageRow<'a> {
    pub(crate) channel: &'static str,
    pub(crate) vendor_id: Cow<'a, str>,
    pub(crate) tenant: &'a TenantId,
    pub(crate) conversation: Cow<'a, str>,
    pub(crate) message_type: Cow<'a, str>,
    pub(crate) text: Option<Cow<'a, str>>,
    /// JSON text.
    pub(crate) raw: String,
    pub(crate) sent_at: i64,
    pub(crate) event_key: &'a str,
}

/// A model's answer to one event's revision.
#[derive(Debug, Serialize)]
pub(crate) struct ResultRow<'a> {
    pub(crate) event_key: &'a str,
    pub(crate) revision: i32,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) tenant: &'a TenantId,
    /// JSON text.
    pub(crate) body: String,
    pub(crate) confidence: Option<f64>,
    pub(crate) model: &'a str,
    pub(crate) prompt: &'a str,
    pub(crate) prompt_hash: &'a str,
    pub(crate) quality: Option<f64>,
    pub(crate) identical: Option<bool>,
    pub(crate) truncated: bool,
    /// JSON text: ledger ids.
    pub(crate) calls: String,
}

/// A text with its vector; a later one of the same item and model stands in for it.
#[derive(Debug, Serialize)]
pub(crate) struct EmbeddingRow<'a> {
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) model: Cow<'a, str>,
    pub(crate) item: Cow<'a, str>,
    pub(crate) text: Cow<'a, str>,
    /// As it is stored.
    #[serde(skip)]
    pub(crate) vector: Vec<u8>,
    pub(crate) dimension: i32,
    pub(crate) event_key: &'a str,
}

/// How far a message of ours got; moves forward only.
#[derive(Debug, Serialize)]
pub(crate) struct DeliveryRow<'a> {
    pub(crate) channel: &'a str,
    pub(crate) vendor_id: Cow<'a, str>,
    pub(crate) state: &'static str,
    pub(crate) rank: i32,
    pub(crate) at: i64,
    pub(crate) error_code: Option<Cow<'a, str>>,
    pub(crate) command_id: Option<Cow<'a, str>>,
}

/// Everything that a group of outcomes asks for, by table.
#[derive(Debug, Default)]
pub(crate) struct RecordRows<'a> {
    pub(crate) contacts: Vec<ContactRow<'a>>,
    pub(crate) properties: Vec<PropertyRow<'a>>,
    pub(crate) conversations: Vec<ConversationRow<'a>>,
    pub(crate) messages: Vec<MessageRow<'a>>,
    pub(crate) results: Vec<ResultRow<'a>>,
    pub(crate) embeddings: Vec<EmbeddingRow<'a>>,
    pub(crate) deliveries: Vec<DeliveryRow<'a>>,
    pub(crate) ledger: Vec<Cow<'a, LedgerRow>>,
    /// Carried out after all others, each with the event that orders it.
    pub(crate) erasures: Vec<(&'a EventKey, &'a EraseWrite)>,
}

impl<'a> RecordRows<'a> {
    /// Takes apart one row that the holder of this claim asks for.
    pub(crate) fn add(&mut self, held: &'a Held, write: &'a Write) -> Result<()> {
        match write {
            Write::Contact(contact) => self.add_contact(contact),
            Write::Conversation(conversation) => self.conversations.push(conversation_row(conversation)),
            Write::Message(message) => self.messages.push(message_row(held, message)?),
            Write::Result(result) => self.results.push(result_row(held, result)?),
            Write::DeliveryStatus(status) => self.deliveries.push(delivery_row(status)),
            Write::Ledger(row) => self.ledger.push(ledger_row(row)),
            Write::Embedding(embedding) => self.embeddings.push(embedding_row(held, embedding)),
            Write::Erase(order) => self.erasures.push((&held.key, order)),
        }
        Ok(())
    }

    fn add_contact(&mut self, contact: &'a ContactWrite) {
        let tenant = || indexed(contact.tenant.as_str());
        let system = || indexed(&contact.system);
        let external_id = || indexed(&contact.external_id);
        self.contacts.push(ContactRow { tenant: tenant(), system: system(), external_id: external_id() });
        self.properties.extend(contact.properties.iter().map(|property| PropertyRow {
            tenant: tenant(),
            system: system(),
            external_id: external_id(),
            name: indexed(&property.name),
            value: property.value.as_deref().map(text),
            at: property.at.0,
            tie: text(&property.tie),
        }));
    }
}

fn conversation_row(write: &ConversationWrite) -> ConversationRow<'_> {
    let reading = write.reading.as_ref();
    ConversationRow {
        id: indexed(&write.id),
        tenant: &write.tenant,
        channel: write.channel.name(),
        business_id: text(&write.business_id),
        contact: text(&write.contact),
        last_inbound_at: write.last_inbound_at.0,
        intent: reading.map(|r| text(&r.intent)),
        lead_stage: reading.map(|r| text(&r.lead_stage)),
        sentiment: reading.map(|r| text(&r.sentiment)),
        language: reading.map(|r| text(&r.language)),
        confidence: reading.map(|r| r.confidence),
    }
}

fn message_row<'a>(held: &'a Held, write: &'a MessageWrite) -> Result<MessageRow<'a>> {
    Ok(MessageRow {
        channel: write.channel.name(),
        vendor_id: indexed(&write.vendor_id),
        tenant: &write.tenant,
        conversation: indexed(&write.conversation),
        message_type: text(&write.message_type),
        text: write.text.as_deref().map(text),
        raw: json(&write.raw)?,
        sent_at: write.sent_at.0,
        event_key: held.key.as_str(),
    })
}

fn result_row<'a>(held: &'a Held, write: &'a ResultWrite) -> Result<ResultRow<'a>> {
    Ok(ResultRow {
        event_key: held.key.as_str(),
        revision: held.revision.0,
        kind: indexed(&write.kind),
        tenant: &write.tenant,
        body: json(&write.body)?,
        confidence: write.confidence,
        model: &write.model,
        prompt: &write.prompt,
        prompt_hash: &write.prompt_hash,
        quality: write.quality,
        identical: write.identical,
        truncated: write.truncated,
        calls: json(&write.calls)?,
    })
}

fn embedding_row<'a>(held: &'a Held, write: &'a EmbeddingWrite) -> EmbeddingRow<'a> {
    EmbeddingRow {
        tenant: indexed(write.tenant.as_str()),
        kind: indexed(&write.kind),
        model: indexed(&write.model),
        item: indexed(&write.item),
        text: text(&write.text),
        vector: to_bytes(&write.vector),
        dimension: i32::try_from(write.vector.len()).unwrap_or(i32::MAX),
        event_key: held.key.as_str(),
    }
}

fn delivery_row(write: &StatusWrite) -> DeliveryRow<'_> {
    DeliveryRow {
        channel: write.channel.name(),
        vendor_id: indexed(&write.vendor_id),
        state: write.state.name(),
        rank: write.state.rank(),
        at: write.at.0,
        error_code: write.error_code.as_deref().map(text),
        command_id: write.command_id.as_deref().map(indexed),
    }
}
