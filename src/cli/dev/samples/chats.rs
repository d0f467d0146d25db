//! Our own systems report what streamed chats used: as signed jobs, and as Standard Webhooks of a partner.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done, rejected},
        workbench::{Draft, Workbench},
    },
    domain::{
        ids::{EventKey, SourceName},
        reason::Reason,
    },
};

const SOURCE: &str = "chat";
const SENDER: &str = "Chat jobs";
const PARTNER: &str = "partner";
const PARTNER_SENDER: &str = "Standard Webhooks";
const USAGE: &str = "longshore.chat.usage.v1";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = reported(bench)?;
    samples.extend(refused(bench)?);
    samples.extend(in_time(bench)?);
    samples.extend(partner(bench)?);
    Ok(samples)
}

fn usage(bench: &Workbench<'_>, chat: &str, model: &str) -> Value {
    json!({
        "chat_id": chat,
        "user": "u_5f1d",
        "specialist": "pricing",
        "provider": "openai",
        "model": model,
        "usage": { "uncached_input": 812, "cache_read": 2_048, "output": 391, "reasoning": 120 },
        "latency_ms": 2_350,
        "ended_at": bench.base().to_string(),
    })
}

fn reported(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut cut = usage(bench, "chat-2", "gpt-6-sol");
    cut["aborted"] = json!(true);
    let job = |name, id: &str, data: Value| {
        let message = bench.job(SOURCE, &bench.cloud_event(id, USAGE, &data))?;
        anyhow::Ok(Sample::new(SENDER, name, message, vec![done(&Workbench::job_key(SOURCE, id))]))
    };
    Ok(vec![
        job("a chat, complete", "chat-complete", usage(bench, "chat-1", "gpt-6-sol"))?,
        job("a chat, cut short", "chat-cut", cut)?,
        job("a model without a known price", "chat-unpriced", usage(bench, "chat-3", "house-model-7b"))?,
    ])
}

fn refused(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let data = usage(bench, "chat-4", "gpt-6-sol");
    let mut negative = data.clone();
    negative["usage"]["output"] = json!(-1);
    let mut unlike = bench.cloud_event("chat-unlike", USAGE, &data);
    unlike["specversion"] = json!("0.3");
    let story = |name, reason, job: &Value| {
        let message = bench.job(SOURCE, job)?;
        let expects = vec![rejected(&message, reason)];
        anyhow::Ok(Sample::new(SENDER, name, message, expects))
    };
    let event = |id: &str, job_type: &str, data: &Value| bench.cloud_event(id, job_type, data);
    Ok(vec![
        story("tokens below zero", Reason::SchemaMismatch, &event("chat-negative", USAGE, &negative))?,
        story("not a CloudEvent of our version", Reason::SchemaMismatch, &unlike)?,
        story(
            "version 2 of a job",
            Reason::UnknownVersion,
            &event("chat-v2", "longshore.chat.usage.v2", &data),
        )?,
        story(
            "a job that nobody knows",
            Reason::UnknownType,
            &event("gossip", "longshore.chat.gossip.v1", &data),
        )?,
    ])
}

fn in_time(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut expired = bench.cloud_event("chat-expired", USAGE, &usage(bench, "chat-5", "gpt-6-sol"));
    expired["expiresat"] = json!(bench.ago(3_600).to_string());
    let key = Workbench::job_key(SOURCE, "chat-expired");
    let buried = crate::cli::dev::samples::sample::buried(&key, Reason::Expired, &[]);
    Ok(vec![Sample::new(SENDER, "worthless by now", bench.job(SOURCE, &expired)?, vec![buried])])
}

fn partner(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let payload = |chat: &str| {
        let data = usage(bench, chat, "claude-haiku-5-5");
        json!({ "type": USAGE, "timestamp": bench.base().to_string(), "data": data }).to_string().into_bytes()
    };
    let draft = |id, body| Draft { source: PARTNER, id, body };
    let key = EventKey::new(&SourceName::from(PARTNER), "", "msg_1");
    let first = bench.call(&draft("msg_1", payload("chat-p1")))?;
    // The sender's own retry: the same id, a new time and signature.
    let retry = first.clone();
    let long = [payload("chat-p2"), vec![b' '; 8_192]].concat();
    let large = bench.vendor(&draft("msg_2", long))?;
    let oversize = rejected(&large, Reason::Oversize);
    Ok(vec![
        Sample::new(PARTNER_SENDER, "a partner's chat", first, vec![done(&key)]),
        Sample::new(PARTNER_SENDER, "the partner's retry", retry, vec![Expect::Duplicate { key, copy: 1 }])
            .after(&["a partner's chat"]),
        Sample::new(PARTNER_SENDER, "larger than this source may be", large, vec![oversize]),
    ])
}
