//! Messages that never become an event: forged, stale, unsigned, malformed, from nobody.

use serde_json::{Value, json};

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, done, rejected},
        whatsapp_wire::{ACME, ADA, SOURCE, draft, messages, text},
        workbench::Workbench,
    },
    domain::{envelope::HttpRequest, reason::Reason},
    sources::sign::SignedMessage,
};

const SENDER: &str = "Strangers and faults";

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = vendor_signatures(bench)?;
    samples.extend(seals(bench)?);
    samples.extend(shapes(bench)?);
    samples.extend(keys(bench)?);
    Ok(samples)
}

fn story(name: &'static str, reason: Reason, message: SignedMessage) -> Sample {
    let expect = rejected(&message, reason);
    Sample::new(SENDER, name, message, vec![expect])
}

/// A good WhatsApp request, signed with this key.
fn request(bench: &Workbench<'_>, id: &str, key: &str) -> anyhow::Result<HttpRequest> {
    let message = text(ADA, id, bench.ago(1), "Hello?");
    bench.request(&draft(id, &[messages(ACME, ADA, &[message])]), key, bench.base())
}

fn vendor_signatures(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let forged = request(bench, "forged", "stranger")?;
    let mut unsigned = request(bench, "unsigned", SOURCE)?;
    unsigned.headers.retain(|(name, _)| !name.contains("signature"));
    let mut altered = request(bench, "altered", SOURCE)?;
    altered.body = String::from_utf8_lossy(&altered.body).replace("Hello?", "Pay me").into_bytes();
    let sealed = |id: &str, request: &HttpRequest| bench.envelope(SOURCE, id, request, bench.base());
    Ok(vec![
        story("forged", Reason::SigInvalid, sealed("forged", &forged)?),
        story("altered on the way", Reason::SigInvalid, sealed("altered", &altered)?),
        story("no signature", Reason::SigMissing, sealed("unsigned", &unsigned)?),
    ])
}

fn seals(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let good = |id: &str| request(bench, id, SOURCE);
    let times = (bench.base(), bench.sealed_ago(0));
    let foreign = bench.envelope_by("edge-hubspot", SOURCE, "foreign", &good("foreign")?, times)?;
    let stale = bench.envelope_by(
        "edge",
        SOURCE,
        "old-seal",
        &good("old-seal")?,
        (bench.base(), bench.sealed_ago(3_600)),
    )?;
    let mut unsealed = bench.envelope(SOURCE, "unsealed", &good("unsealed")?, bench.base())?;
    unsealed.attributes.retain(|name, _| name != "webhook-signature");
    let mut broken = bench.envelope(SOURCE, "broken-seal", &good("broken-seal")?, bench.base())?;
    broken.body.push(' ');
    Ok(vec![
        story("sealed with a key for another source", Reason::UnknownSource, foreign),
        story("a seal of an hour ago", Reason::SigExpired, stale),
        story("no seal", Reason::SigMissing, unsealed),
        story("a seal of another body", Reason::SigInvalid, broken),
    ])
}

fn shapes(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let sealed = |id: &str| bench.envelope(SOURCE, id, &request(bench, id, SOURCE)?, bench.base());
    let with_form = |id: &str, form: Option<&str>| {
        let mut message = sealed(id)?;
        match form {
            Some(form) => drop(message.attributes.insert("longshore-form".to_owned(), form.to_owned())),
            None => drop(message.attributes.remove("longshore-form")),
        }
        anyhow::Ok(message)
    };
    let edited = |id: &str, edit: fn(&mut Value)| {
        let mut message = sealed(id)?;
        let mut body: Value = serde_json::from_str(&message.body)?;
        edit(&mut body);
        message.body = body.to_string();
        anyhow::Ok(message)
    };
    Ok(vec![
        story("no form at all", Reason::UnknownForm, with_form("formless", None)?),
        story(
            "a form that nobody knows",
            Reason::UnknownForm,
            with_form("carrier-pigeon", Some("pigeon.v1"))?,
        ),
        story("version 9 of a form", Reason::UnknownVersion, with_form("form-v9", Some("envelope.v9"))?),
        story(
            "version 2 inside",
            Reason::UnknownVersion,
            edited("envelope-v2", |body| body["v"] = json!(2))?,
        ),
        story(
            "wrong base64",
            Reason::EnvelopeMalformed,
            edited("base64", |body| body["request"]["body_base64"] = json!("%%%"))?,
        ),
        story(
            "a field that does not belong there",
            Reason::EnvelopeMalformed,
            edited("surprise", |body| body["surprise"] = json!(true))?,
        ),
    ])
}

fn keys(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let nobody =
        bench.envelope("nobody", "from-nobody", &request(bench, "from-nobody", SOURCE)?, bench.base())?;
    let keyless = bench.envelope("keyless", "keyless", &request(bench, "keyless", SOURCE)?, bench.base())?;
    let work = |id: &str| bench.cloud_event(id, "longshore.drill.v1", &json!({ "do": "work" }));
    let retired = bench.job_by("chat", "chat-retired", &work("retired"))?;
    let late = bench.job("late", &work("late-key"))?;
    let key = Workbench::job_key("late", "late-key");
    let waits = vec![Expect::PutBack(Reason::SecretUnavailable), done(&key)];
    Ok(vec![
        story("a source that nobody configured", Reason::UnknownSource, nobody),
        story("a source without a key", Reason::SigNoKey, keyless),
        story("signed with a retired key", Reason::SigInvalid, retired),
        Sample::new(SENDER, "a key that is delivered late", late, waits),
    ])
}
