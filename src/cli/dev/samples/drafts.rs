//! Our own systems order work of models: e-mails to draft, chats to answer, texts to keep by their meaning.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, buried, done, rejected},
        workbench::Workbench,
    },
    domain::{command::CommandState, reason::Reason},
};

const SENDER: &str = "Work of models";
const SOURCE: &str = "chat";
const DRAFT: &str = "longshore.email.draft.v1";
const CHAT: &str = "longshore.chat.complete.v1";
const EMBEDDING: &str = "longshore.embedding.store.v1";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = drafts(bench)?;
    samples.extend(chats(bench)?);
    samples.extend(texts(bench)?);
    Ok(samples)
}

/// A job that is done.
fn good(
    bench: &Workbench<'_>,
    name: &'static str,
    id: &str,
    job: &str,
    data: &Value,
) -> anyhow::Result<Sample> {
    let message = bench.job(SOURCE, &bench.cloud_event(id, job, data))?;
    Ok(Sample::new(SENDER, name, message, vec![done(&Workbench::job_key(SOURCE, id))]))
}

/// The same job once more.
fn again(
    bench: &Workbench<'_>,
    name: &'static str,
    after: &'static [&'static str],
    (id, job, data): (&str, &str, &Value),
) -> anyhow::Result<Sample> {
    let message = bench.job(SOURCE, &bench.cloud_event(id, job, data))?;
    let expect = Expect::Duplicate { key: Workbench::job_key(SOURCE, id), copy: 1 };
    Ok(Sample::new(SENDER, name, message, vec![expect]).after(after))
}

/// A job that breaks its schema.
fn bad(
    bench: &Workbench<'_>,
    name: &'static str,
    id: &str,
    job: &str,
    data: &Value,
) -> anyhow::Result<Sample> {
    let message = bench.job(SOURCE, &bench.cloud_event(id, job, data))?;
    let expect = rejected(&message, Reason::SchemaMismatch);
    Ok(Sample::new(SENDER, name, message, vec![expect]))
}

fn drafts(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let order = json!({
        "purpose": "Tell them that their berth contract ends soon and offer to renew it.",
        "recipient": { "name": "Dana Whitfield", "company": "Whitfield Sailing" },
        "sender": { "name": "Harbour Office", "company": "Longshore Marina" },
        "language": "en",
        "tone": "friendly",
        "facts": [
            { "id": "f1", "text": "The contract ends on 31 December." },
            { "id": "f2", "text": "Renewing before 1 December keeps the price." },
        ],
        "similar": true,
    });
    let mut once_more = order.clone();
    once_more["regenerate"] = json!({ "of": "draft-1", "nonce": "n1" });
    let mut lost = order.clone();
    lost["regenerate"] = json!({ "of": "draft-never-made", "nonce": "n1" });
    let mut aimless = order.clone();
    aimless["purpose"] = json!("");
    let lost_key = Workbench::job_key(SOURCE, "draft-lost");
    let lost = bench.job(SOURCE, &bench.cloud_event("draft-lost", DRAFT, &lost))?;
    Ok(vec![
        good(bench, "an e-mail drafted from facts", "draft-1", DRAFT, &order)?,
        again(
            bench,
            "the same e-mail ordered again",
            &["an e-mail drafted from facts"],
            ("draft-1", DRAFT, &order),
        )?,
        good(bench, "drafted once more, on request", "draft-2", DRAFT, &once_more)?
            .after(&["an e-mail drafted from facts"]),
        Sample::new(
            SENDER,
            "once more what was never made",
            lost,
            vec![buried(&lost_key, Reason::SchemaMismatch, &[])],
        ),
        bad(bench, "an e-mail without a purpose", "draft-aimless", DRAFT, &aimless)?,
    ])
}

fn chats(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let asked = json!([
        { "role": "user", "content": "Hello" },
        { "role": "assistant", "content": "Hello! How can we help?" },
        { "role": "user", "content": "What is the price of a berth?" },
    ]);
    let chat = |id: &str, callback: Option<String>| {
        let mut data = json!({ "chat_id": id, "user": "u_5f1d", "specialist": "harbour", "messages": asked });
        if let Some(url) = callback {
            data["callback_url"] = json!(url);
        }
        data
    };
    let (kept, posted) = (chat("c-1", None), chat("c-2", Some(bench.callback("c-2")?)));
    let stranger = chat("c-3", Some("https://elsewhere.example.com/c-3".to_owned()));
    let mut unasked = chat("c-4", None);
    unasked["messages"] = json!([{ "role": "assistant", "content": "Anyone there?" }]);
    let key = |id| Workbench::job_key(SOURCE, id);
    let refused = bench.job(SOURCE, &bench.cloud_event("chat-elsewhere", CHAT, &stranger))?;
    Ok(vec![
        good(bench, "a chat answered, and kept", "chat-kept", CHAT, &kept)?
            .and(Expect::NoCommand(key("chat-kept"))),
        again(bench, "the same chat again", &["a chat answered, and kept"], ("chat-kept", CHAT, &kept))?,
        good(bench, "a chat answered to its callback", "chat-posted", CHAT, &posted)?
            .and(Expect::Command { key: key("chat-posted"), state: CommandState::Sent }),
        Sample::new(
            SENDER,
            "a callback that nobody configured",
            refused,
            vec![buried(&key("chat-elsewhere"), Reason::SchemaMismatch, &[])],
        ),
        bad(bench, "a chat in which nobody asks", "chat-unasked", CHAT, &unasked)?,
    ])
}

fn texts(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let text = json!({
        "kind": "email_draft",
        "item": "newsletter-7",
        "text": "Your winter storage\n\nDear Mr Okafor, your boat is safe in hall 2. Harbour Office",
    });
    let mut kindless = text.clone();
    kindless["kind"] = json!("E-Mail Draft");
    Ok(vec![
        good(bench, "a text kept by its meaning", "text-1", EMBEDDING, &text)?,
        again(bench, "the same text again", &["a text kept by its meaning"], ("text-1", EMBEDDING, &text))?,
        bad(bench, "a text of no kind", "text-kindless", EMBEDDING, &kindless)?,
    ])
}
