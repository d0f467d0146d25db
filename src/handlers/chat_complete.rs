//! A person waits in a chat: the answer is streamed to a callback while it is made, and follows whole, for certain.

use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{
        command::{Action, Command, WebhookTarget},
        event::Event,
        job::{ChatComplete, ChatMessage, ChatRole},
        money::Money,
        outcome::{Failure, Outcome},
        reason::{Class, Reason},
        record::{ResultWrite, Write},
    },
    handlers::{
        chat_relay::{Reader, Relay},
        tools::{Tools, prompt_failure, step_context, store_failure},
    },
    llm::{
        contract::{Answered, Person, Question, Turn},
        prompts::fence::harmless,
    },
    store::contract::Work,
};

/// The prompt and the step.
const PROMPT: &str = "chat_complete";
/// Kind of the result.
const RESULT: &str = "chat_answer";
/// What the whole answer is posted as.
const COMPLETED: &str = "longshore.chat.completed.v1";
/// After this nobody waits for an answer any more.
const WORTHLESS_AFTER: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);

pub(super) async fn handle(
    tools: &Tools,
    work: &Work,
    event: &Event,
    chat: &ChatComplete,
) -> Result<Outcome, Failure> {
    let callback = callback(tools, chat)?;
    let mut question = question(tools, chat)?;
    let relay = relay(tools, work, event, chat, callback.as_ref());
    question.pieces = relay.as_ref().map(Relay::pieces);
    let person = Person { user: chat.user.clone(), specialist: chat.specialist.clone() };
    let asked = tools.gateway.ask(&step_context(work, event, Some(person)), &question).await;
    if let Some(relay) = relay {
        let fatal = asked.as_ref().err().map(|failure| failure.reason).filter(|r| r.class() == Class::Fatal);
        relay.finish(fatal).await;
    }
    outcome(tools, event, chat, asked?, callback).await
}

fn callback(tools: &Tools, chat: &ChatComplete) -> Result<Option<Url>, Failure> {
    let allowed = |text: &String| {
        let wrong = |why| Failure::new(Reason::SchemaMismatch, format!("/data/callback_url: {why}"));
        tools.callbacks.allowed(text).map_err(wrong)
    };
    chat.callback_url.as_ref().map(allowed).transpose()
}

fn relay(
    tools: &Tools,
    work: &Work,
    event: &Event,
    chat: &ChatComplete,
    callback: Option<&Url>,
) -> Option<Relay> {
    let reader = Reader {
        url: callback?.to_string(),
        chat_id: chat.chat_id.clone(),
        key: event.key.clone(),
        ticket: work.held.ticket,
    };
    Some(Relay::start(tools.pieces.clone()?, reader))
}

/// The prompt makes the instructions and the last turn; what was said before stands before it, two turns of one speaker
/// as one.
fn question(tools: &Tools, chat: &ChatComplete) -> Result<Question, Failure> {
    let mut turns: Vec<Turn> = Vec::new();
    for ChatMessage { role, content } in &chat.messages {
        let turn = match role {
            ChatRole::User => Turn::user(harmless(content)),
            ChatRole::Assistant => Turn::assistant(harmless(content)),
        };
        match turns.last_mut().filter(|last| last.role == turn.role) {
            Some(last) => last.text = format!("{}\n\n{}", last.text, turn.text),
            None => turns.push(turn),
        }
    }
    let last = turns.pop().map(|turn| turn.text).unwrap_or_default();
    let values = json!({ "specialist": chat.specialist, "message": last });
    let mut question = tools.prompt(PROMPT)?.question(values).map_err(prompt_failure)?;
    turns.append(&mut question.turns);
    question.turns = turns;
    question.max_output = chat.max_output.unwrap_or(question.max_output);
    Ok(question)
}

async fn outcome(
    tools: &Tools,
    event: &Event,
    chat: &ChatComplete,
    answer: Answered,
    callback: Option<Url>,
) -> Result<Outcome, Failure> {
    let text = answer.value.as_str().unwrap_or_default();
    let mut data = json!({
        "chat_id": chat.chat_id,
        "user": chat.user,
        "specialist": chat.specialist,
        "text": text,
        "truncated": answer.truncated,
    });
    let write = ResultWrite {
        tenant: event.tenant.clone(),
        kind: RESULT.to_owned(),
        body: data.clone(),
        confidence: None,
        model: answer.model.clone(),
        prompt: answer.prompt.to_string(),
        prompt_hash: answer.prompt.hash.clone(),
        quality: Some(answer.quality),
        identical: None,
        truncated: answer.truncated,
        calls: answer.calls,
    };
    let mut commands = Vec::new();
    if let Some(url) = callback {
        data["model"] = json!(answer.model);
        data["usage"] = usage(tools, event).await?;
        commands.push(completed(event, chat, url, data));
    }
    Ok(Outcome { writes: vec![Write::Result(write)], commands })
}

/// What the answer took, repairs and continuations included, as the ledger has it.
async fn usage(tools: &Tools, event: &Event) -> Result<Value, Failure> {
    let history = tools.store.event_history(&event.key).await.map_err(store_failure)?;
    let calls = history.map(|history| history.calls).unwrap_or_default();
    let known: Option<Vec<Money>> =
        calls.iter().filter(|call| call.input + call.output > 0).map(|c| c.cost).collect();
    Ok(json!({
        "calls": calls.len(),
        "input": calls.iter().map(|call| call.input).sum::<i64>(),
        "output": calls.iter().map(|call| call.output).sum::<i64>(),
        // Null where a price is not known, which is not the same as nothing.
        "cost_usd": known.map(|costs| costs.into_iter().sum::<Money>().to_string()),
    }))
}

fn completed(event: &Event, chat: &ChatComplete, url: Url, data: Value) -> Command {
    Command {
        tenant: event.tenant.clone(),
        correlation_id: event.correlation_id.clone(),
        // Answers of one chat arrive in order.
        lane: format!("callback:{}:{}", url.host_str().unwrap_or_default(), chat.chat_id),
        expires_at: Some(event.received_at.plus(WORTHLESS_AFTER)),
        action: Action::Webhook {
            to: WebhookTarget::Callback(url.into()),
            event_type: COMPLETED.to_owned(),
            data,
        },
    }
}
