//! Signatures that somebody else made are accepted: the constructions are the vendors', not merely our own.

use longshore::domain::envelope::HttpRequest;
use serde_json::Value;

use crate::senders::{NOW, World, enveloped, fixture};

fn known(vendor: &str) -> Value {
    let all: Value = serde_json::from_slice(&fixture("known_answers.json")).unwrap();
    assert_eq!(all["at"], NOW.seconds());
    all[vendor].clone()
}

fn accepts(vendor: &str, body: &str, url: &str) {
    let known = known(vendor);
    let mut world = World::new();
    let key = world.key("known", known["secret"].as_str().unwrap());
    world.source(vendor).keys = vec![key];
    let headers = known.as_object().unwrap().iter().filter(|(name, _)| name.contains('-'));
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: known["url"].as_str().unwrap_or(url).to_owned(),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        body: fixture(body),
    };
    assert_eq!(world.verdict(&enveloped(vendor, &request, NOW)), None, "{vendor}");
    let altered = HttpRequest { body: [request.body.as_slice(), b" "].concat(), ..request };
    assert_eq!(world.verdict(&enveloped(vendor, &altered, NOW)).as_deref(), Some("sig_invalid"), "{vendor}");
}

#[test]
fn wa_25_whatsapp_escaped_body() {
    accepts("whatsapp", "whatsapp_text.json", "https://hooks.example.test/wa");
}

#[test]
fn df_2_hubspot_v3_with_the_escapes_of_its_table() {
    accepts("hubspot", "hubspot_batch.json", "");
}

#[test]
fn df_2_standard_webhooks_ed25519_among_other_entries() {
    accepts("standard-webhooks", "standard_webhook.json", "https://hooks.example.test/sw");
}

#[test]
fn df_2_a_signed_job_also_over_http() {
    accepts("jobs", "chat_usage_job.json", "https://hooks.example.test/jobs");
}
