//! Who vouches for what, and when: seals, key ids, wakes, and copies that come back.

use longshore::{
    config::{KeyState, SealKeySettings},
    domain::{
        envelope::Peer,
        ids::{EventKey, Revision, SourceName},
    },
    sources::{
        sign::{SealKey, seal_envelope, seal_wake, sign_job},
        verified::{Checked, Verified},
    },
};
use serde_json::json;

use crate::senders::{EDGE, NOW, STRANGER, WAKER, World, at, delivery, enveloped, secret_of, set, signed};

fn envelope() -> longshore::domain::delivery::Delivery {
    enveloped("whatsapp", &signed("whatsapp", b"{}".to_vec(), NOW), NOW)
}

fn wake(key: SealKey<'_>) -> longshore::domain::delivery::Delivery {
    delivery(&seal_wake(key, &EventKey::from("jobs:a:1"), Revision(2), NOW).unwrap(), NOW)
}

#[test]
fn df_2_a_seal_is_judged_by_the_time_it_was_sent_and_the_vendor_by_the_time_it_was_received() {
    let world = World::new();
    // The edge received it three days ago and could only send it now.
    let received_at = at(-3 * 86_400);
    let request = signed("hubspot", b"[]".to_vec(), received_at);
    let key = SealKey { id: Some("edge"), secret: EDGE };
    let late = seal_envelope(
        &SourceName::from("hubspot"),
        key,
        "ing_2",
        (&request, &Peer::default()),
        received_at,
        NOW,
    )
    .unwrap();
    assert_eq!(world.verdict(&delivery(&late, NOW)), None);
    // A vendor's signature that was stale on arrival stays so.
    let stale =
        seal_envelope(&SourceName::from("hubspot"), key, "ing_3", (&request, &Peer::default()), NOW, NOW)
            .unwrap();
    assert_eq!(world.verdict(&delivery(&stale, NOW)).as_deref(), Some("sig_expired?"));
}

#[test]
fn a_seal_that_is_absent_forged_or_by_a_stranger_is_refused() {
    let world = World::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        let mut bare = envelope();
        bare.attributes.remove(name);
        assert_eq!(world.verdict(&bare).as_deref(), Some("sig_missing"), "{name}");
    }
    for (name, value) in
        [("webhook-id", "ing.1"), ("webhook-timestamp", "+1"), ("webhook-signature", "v1,AAAA")]
    {
        let mut bad = envelope();
        set(&mut bad, name, value);
        assert_eq!(world.verdict(&bad).as_deref(), Some("sig_invalid"), "{name}");
    }
    let mut altered = envelope();
    altered.body = altered.body.replace("ing_1", "ing_9");
    assert_eq!(world.verdict(&altered).as_deref(), Some("sig_invalid"));
}

#[test]
fn a_key_id_selects_one_key_and_an_unknown_one_selects_none() {
    let world = World::new();
    let mut without = envelope();
    without.attributes.remove("webhook-key-id");
    assert_eq!(world.verdict(&without), None, "all active keys are tried");
    for wrong in ["waker", "nobody", "edge!"] {
        let mut named = envelope();
        set(&mut named, "webhook-key-id", wrong);
        assert_eq!(world.verdict(&named).as_deref(), Some("sig_invalid"), "{wrong}");
    }
}

#[test]
fn a_sealing_key_speaks_only_for_the_sources_that_it_lists() {
    let mut world = World::new();
    world.seal.keys[0].sources = vec!["hubspot".to_owned()];
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("unknown_source"));
    world.seal.keys[0].sources.push("whatsapp".to_owned());
    assert_eq!(world.verdict(&envelope()), None);
    world.sources.remove("whatsapp");
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("unknown_source"));
    world.seal.keys.clear();
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("sig_no_key"));
}

#[test]
fn a_wake_needs_a_key_that_lists_wakes_by_name() {
    let world = World::new();
    let Ok(Checked::Trusted(Verified::Wake(due))) =
        world.check(&wake(SealKey { id: Some("waker"), secret: WAKER }))
    else {
        panic!("not a wake")
    };
    assert_eq!((due.key().as_str(), due.revision()), ("jobs:a:1", Revision(2)));
    let by_edge = wake(SealKey { id: Some("edge"), secret: EDGE });
    assert_eq!(world.verdict(&by_edge).as_deref(), Some("unknown_source"), "`*` does not include wakes");
    let by_stranger = wake(SealKey { id: None, secret: STRANGER });
    assert_eq!(world.verdict(&by_stranger).as_deref(), Some("sig_invalid"));
    let mut waker_for_a_source = World::new();
    waker_for_a_source.seal.keys.remove(0);
    assert_eq!(waker_for_a_source.verdict(&envelope()).as_deref(), Some("sig_invalid"));
}

/// DF-2: a replay inside the window is a duplicate by its key; outside it is stale, unless the store knows the copy.
#[test]
fn df_2_a_copy_that_comes_back_counts_only_if_the_store_knows_it() {
    let world = World::new();
    let job = json!({ "id": "j_1" });
    let key = SealKey { id: None, secret: secret_of("jobs") };
    let message = sign_job(&SourceName::from("jobs"), key, &job, NOW).unwrap();
    let first = delivery(&message, NOW);
    let seal = world.message(&first).seal_hash().to_owned();

    // A redrive: the same body and attributes, a new time.
    let redriven = delivery(&message, at(9 * 86_400));
    let doubtful = |delivery| match world.check(delivery) {
        Ok(Checked::IfKnown(doubtful)) => doubtful,
        other => panic!("{other:?}"),
    };
    assert_eq!(doubtful(&redriven).seal_hash(), seal);
    assert_eq!(doubtful(&redriven).content_hash(), first.content_hash());
    assert_eq!(doubtful(&redriven).resolve(false).unwrap_err().reason.code(), "sig_expired");
    assert!(doubtful(&redriven).resolve(true).is_ok());

    // Another id, another body or another source is another seal.
    let other = sign_job(&SourceName::from("jobs"), key, &json!({ "id": "j_2" }), NOW).unwrap();
    assert_ne!(world.message(&delivery(&other, NOW)).seal_hash(), seal);
}

#[test]
fn df_28_a_retired_edge_key_still_opens_what_the_store_knows() {
    let mut world = World::new();
    let key = world.key("edge-2", STRANGER);
    world.seal.keys.push(SealKeySettings { key, sources: vec!["*".to_owned()] });
    world.seal.keys[0].key.state = KeyState::ReplayOnly;
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("sig_invalid?"));
    world.seal.keys[0].key.state = KeyState::Active;
    world.seal.keys[0].key.not_after = Some("2026-11-01T00:00:00Z".to_owned());
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("sig_invalid?"));
    world.seal.keys[0].key.state = KeyState::Revoked;
    assert_eq!(world.verdict(&envelope()).as_deref(), Some("sig_invalid"));
}

#[test]
fn a_vendors_source_takes_no_jobs() {
    let key = SealKey { id: None, secret: secret_of("whatsapp") };
    let signed =
        sign_job(&SourceName::from("hubspot"), SealKey { secret: EDGE, ..key }, &json!({ "id": "j" }), NOW);
    assert_eq!(World::new().verdict(&delivery(&signed.unwrap(), NOW)).as_deref(), Some("unknown_source"));
}

#[test]
fn df_4_nothing_secret_shows_in_debug_output() {
    let world = World::new();
    let checked = format!("{:?} {:?}", world.check(&envelope()), world.senders());
    for hidden in [secret_of("whatsapp"), EDGE, WAKER, "x-hub-signature-256"] {
        assert!(!checked.contains(hidden), "{hidden} in {checked}");
    }
}
