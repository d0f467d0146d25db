//! A person wrote: read once by a model, stored, answered at most once.

use serde_json::json;

use crate::{
    domain::{
        command::{Action, Command},
        event::{Channel, Event, InboundMessage},
        outcome::{Failure, Outcome},
        reason::Reason,
        record::{
            ContactWrite, ConversationWrite, MessageWrite, OPTED_OUT, PropertyWrite, REPLY_WINDOW, Reading,
            ResultWrite, Write,
        },
    },
    handlers::{
        opt_out::{Wish, wish},
        tools::{Tools, prompt_failure, step_context, store_failure},
    },
    llm::contract::{Answered, Question},
    store::contract::Work,
};

/// The step within the event.
const STEP: &str = "message_reading";
/// What of a message is read: WhatsApp's own limit for text.
const LONGEST_TEXT: usize = 4_096;
/// What the schema calls the wish not to be written to.
const OPT_OUT_INTENT: &str = "opt_out";

/// Text, buttons and choices are read by a model; everything else is stored.
pub(super) async fn handle(
    tools: &Tools,
    work: &Work,
    event: &Event,
    message: &InboundMessage,
) -> Result<Outcome, Failure> {
    match wish(message) {
        Some(wish) => Ok(stored(event, message, None, Some(wish))),
        None if is_read(message) => {
            let answer =
                tools.gateway.ask(&step_context(work, event, None), &question(tools, message)?).await?;
            let reading = to_reading(&answer)?;
            let may_reply = may_reply(tools, event, message).await?;
            Ok(read_and_answered(event, message, answer, reading, may_reply))
        }
        None => Ok(stored(event, message, None, None)),
    }
}

fn is_read(message: &InboundMessage) -> bool {
    let readable = matches!(message.message_type.as_str(), "text" | "button" | "interactive");
    readable && message.text.as_deref().is_some_and(|text| !text.trim().is_empty())
}

/// The person's words stand in fences and nowhere else: they cannot pass for instructions of ours. No name and no
/// address goes to the model.
fn question(tools: &Tools, message: &InboundMessage) -> Result<Question, Failure> {
    let cut = |text: &String| text.chars().take(LONGEST_TEXT).collect::<String>();
    let values = json!({
        "channel": message.channel,
        "message": message.text.as_ref().map(cut).unwrap_or_default(),
        "choice": message.choice.as_ref().map(cut),
    });
    tools.prompt(STEP)?.question(values).map_err(prompt_failure)
}

/// The gateway has held the answer against the schema already.
fn to_reading(answer: &Answered) -> Result<Reading, Failure> {
    serde_json::from_value(answer.value.clone())
        .map_err(|_| Failure::new(Reason::InvalidOutput, "the answer meets its schema and is no reading"))
}

/// Asked again by the outbox before it sends: this only saves planning what would be dropped, or refused for want of
/// a sender.
async fn may_reply(tools: &Tools, event: &Event, message: &InboundMessage) -> Result<bool, Failure> {
    if !tools.channels.contains(&message.channel) {
        return Ok(false);
    }
    let system = message.channel.name();
    let opted_out =
        tools.store.opted_out(&event.tenant, system, &message.from).await.map_err(store_failure)?;
    Ok(!opted_out && tools.store.auto_replies(&event.tenant).await.map_err(store_failure)?)
}

fn read_and_answered(
    event: &Event,
    message: &InboundMessage,
    answer: Answered,
    reading: Reading,
    may_reply: bool,
) -> Outcome {
    let leaves = reading.intent == OPT_OUT_INTENT;
    let reply = reading.reply.trim().to_owned();
    let result = ResultWrite {
        tenant: event.tenant.clone(),
        kind: STEP.to_owned(),
        body: answer.value,
        confidence: Some(reading.confidence),
        model: answer.model,
        prompt: answer.prompt.to_string(),
        prompt_hash: answer.prompt.hash,
        quality: Some(answer.quality),
        identical: None,
        truncated: false,
        calls: answer.calls,
    };
    let mut outcome = stored(event, message, Some(reading), leaves.then_some(Wish::Stop));
    outcome.writes.push(Write::Result(result));
    if may_reply && !leaves && !reply.is_empty() {
        outcome.commands.push(reply_command(event, message, reply));
    }
    outcome
}

/// The rows that every message leaves.
fn stored(event: &Event, message: &InboundMessage, reading: Option<Reading>, wish: Option<Wish>) -> Outcome {
    let conversation = conversation_id(event, message);
    let contact = contact(event, message, reading.as_ref(), wish);
    let writes = vec![
        Write::Contact(contact),
        Write::Conversation(ConversationWrite {
            id: conversation.clone(),
            tenant: event.tenant.clone(),
            channel: message.channel,
            business_id: message.business_id.clone(),
            contact: message.from.clone(),
            last_inbound_at: message.sent_at,
            reading,
        }),
        Write::Message(MessageWrite {
            tenant: event.tenant.clone(),
            channel: message.channel,
            vendor_id: message.vendor_id.clone(),
            conversation,
            message_type: message.message_type.clone(),
            text: message.text.clone(),
            raw: message.raw.clone(),
            sent_at: message.sent_at,
        }),
    ];
    Outcome { writes, commands: Vec::new() }
}

/// `tenant/channel/business/person`.
fn conversation_id(event: &Event, message: &InboundMessage) -> String {
    [event.tenant.as_str(), message.channel.name(), &message.business_id, &message.from].join("/")
}

fn contact(
    event: &Event,
    message: &InboundMessage,
    reading: Option<&Reading>,
    wish: Option<Wish>,
) -> ContactWrite {
    let opted_out = wish.map(|wish| if wish == Wish::Stop { "true" } else { "false" });
    let known = [
        ("name", message.profile_name.clone()),
        ("lead_stage", reading.map(|reading| reading.lead_stage.clone())),
        ("language", reading.map(|reading| reading.language.clone())),
        (OPTED_OUT, opted_out.map(str::to_owned)),
    ];
    let property = |(name, value): (&str, Option<String>)| {
        Some(PropertyWrite {
            name: name.to_owned(),
            value: Some(value?),
            at: message.sent_at,
            tie: message.vendor_id.clone(),
        })
    };
    ContactWrite {
        tenant: event.tenant.clone(),
        system: message.channel.name().to_owned(),
        external_id: message.from.clone(),
        properties: known.into_iter().filter_map(property).collect(),
    }
}

fn reply_command(event: &Event, message: &InboundMessage, text: String) -> Command {
    let channel = message.channel;
    Command {
        tenant: event.tenant.clone(),
        correlation_id: event.correlation_id.clone(),
        lane: lane(channel, &message.business_id, &message.from),
        expires_at: Some(message.sent_at.plus(REPLY_WINDOW)),
        action: Action::Message {
            channel,
            business_id: message.business_id.clone(),
            to: message.from.clone(),
            text,
            reply_to: Some(message.vendor_id.clone()),
            automatic: true,
        },
    }
}

/// Messages to one person from one number of ours leave in order.
fn lane(channel: Channel, business_id: &str, to: &str) -> String {
    [channel.name(), business_id, to].join(":")
}
