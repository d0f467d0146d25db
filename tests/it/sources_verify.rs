//! DF-2, WA-25: of every vendor one good request, and the ways in which a bad one is bad.

use longshore::{config::KeyState, domain::envelope::HttpRequest};

use crate::senders::{NOW, STRANGER, URL, World, at, enveloped, header, signed};

const VENDORS: [(&str, &str); 4] = [
    ("whatsapp", "x-hub-signature-256"),
    ("hubspot", "x-hubspot-signature-v3"),
    ("standard-webhooks", "webhook-signature"),
    ("jobs", "webhook-signature"),
];

fn request(vendor: &str) -> HttpRequest {
    signed(vendor, br#"{"a":"1"}"#.to_vec(), NOW)
}

fn judged(vendor: &str, change: impl FnOnce(&mut HttpRequest)) -> Option<String> {
    let mut request = request(vendor);
    change(&mut request);
    World::new().verdict(&enveloped(vendor, &request, NOW))
}

#[test]
fn df_2_a_good_request_counts_whatever_the_case_of_its_headers() {
    for (vendor, _) in VENDORS {
        assert_eq!(judged(vendor, |_| {}), None, "{vendor}");
        let upper = |request: &mut HttpRequest| {
            request.headers.iter_mut().for_each(|(name, _)| *name = name.to_uppercase());
        };
        assert_eq!(judged(vendor, upper), None, "{vendor}");
    }
}

#[test]
fn df_2_wa_25_forged_and_damaged_requests_are_refused() {
    for (vendor, name) in VENDORS {
        let good = request(vendor).header(name).unwrap();
        let bad: [(&str, String); 6] = [
            ("truncated", good[..good.len() - 8].to_owned()),
            ("joined from two lines", format!("{good}, {good}")),
            (
                "without its prefix",
                good.trim_start_matches("sha256=").trim_start_matches("v1,")[1..].to_owned(),
            ),
            ("of an older version", format!("v0,{good}")),
            ("in another encoding", good.replace(['+', '/', 'a', 'b'], "_")),
            ("prefix only", "sha256=".to_owned()),
        ];
        for (how, value) in bad {
            let verdict = judged(vendor, |request| header(request, name, Some(&value)));
            assert_eq!(verdict.as_deref(), Some("sig_invalid"), "{vendor}: {how}");
        }
        let altered = judged(vendor, |request| request.body[6] ^= 1);
        assert_eq!(altered.as_deref(), Some("sig_invalid"), "{vendor}: one bit of the body");
        for absent in [None, Some("")] {
            let verdict = judged(vendor, |request| header(request, name, absent));
            assert_eq!(verdict.as_deref(), Some("sig_missing"), "{vendor}: {absent:?}");
        }
    }
}

#[test]
fn df_2_a_weaker_signature_never_stands_in() {
    let sha1 = judged("whatsapp", |request| {
        header(request, "x-hub-signature", Some("sha1=0000000000000000000000000000000000000000"));
        header(request, "x-hub-signature-256", None);
    });
    assert_eq!(sha1.as_deref(), Some("sig_missing"));
    let v1 = judged("hubspot", |request| {
        let good = request.header("x-hubspot-signature-v3").unwrap();
        header(request, "x-hubspot-signature-v3", None);
        header(request, "x-hubspot-signature", Some(&good));
    });
    assert_eq!(v1.as_deref(), Some("sig_missing"));
}

#[test]
fn df_2_what_is_signed_besides_the_body_counts() {
    for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", "1795175999")] {
        for vendor in ["standard-webhooks", "jobs"] {
            let verdict = judged(vendor, |request| header(request, name, Some(value)));
            assert_eq!(verdict.as_deref(), Some("sig_invalid"), "{vendor} {name}");
        }
    }
    for bad in ["+1795176000", "1795176000.0", " 1795176000", "1.8e9", "99999999999999999999"] {
        let verdict = judged("standard-webhooks", |request| header(request, "webhook-timestamp", Some(bad)));
        assert_eq!(verdict.as_deref(), Some("sig_invalid"), "{bad}");
        let verdict = judged("hubspot", |request| header(request, "x-hubspot-request-timestamp", Some(bad)));
        assert_eq!(verdict.as_deref(), Some("sig_invalid"), "{bad}");
    }
    for (from, to) in [("https:", "http:"), ("/in", "/out"), ("%2Fx", "%2Fy")] {
        let verdict = judged("hubspot", |request| request.url = request.url.replace(from, to));
        assert_eq!(verdict.as_deref(), Some("sig_invalid"), "{to}");
    }
    assert_eq!(
        judged("hubspot", |request| request.method = "PUT".to_owned()).as_deref(),
        Some("sig_invalid")
    );
}

#[test]
fn df_2_a_vendors_clock_may_be_off_by_the_tolerance_and_no_more() {
    let world = World::new();
    for vendor in ["hubspot", "standard-webhooks", "jobs"] {
        for (off, verdict) in
            [(-300, None), (300, None), (-301, Some("sig_expired?")), (302, Some("sig_expired?"))]
        {
            let request = signed(vendor, b"[]".to_vec(), at(off));
            assert_eq!(
                world.verdict(&enveloped(vendor, &request, NOW)).as_deref(),
                verdict,
                "{vendor} {off}"
            );
        }
        // The signature is judged first, so that `sig_expired` always means authentic.
        let mut forged = signed(vendor, b"[]".to_vec(), at(-900));
        forged.body = b"[ ]".to_vec();
        assert_eq!(
            world.verdict(&enveloped(vendor, &forged, NOW)).as_deref(),
            Some("sig_invalid"),
            "{vendor}"
        );
    }
}

#[test]
fn df_28_every_active_key_is_tried_and_others_are_not() {
    for (vendor, _) in VENDORS {
        let mut world = World::new();
        let other = world.key("new", STRANGER);
        world.source(vendor).keys.insert(0, other);
        let delivery = enveloped(vendor, &request(vendor), NOW);
        assert_eq!(world.verdict(&delivery), None, "{vendor}: the second of two keys");

        let keys = &mut world.source(vendor).keys;
        keys[1].state = KeyState::Revoked;
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_invalid"), "{vendor}: revoked");
        world.source(vendor).keys[1].state = KeyState::ReplayOnly;
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_invalid?"), "{vendor}: replay-only");

        let key = &mut world.source(vendor).keys[1];
        key.state = KeyState::Active;
        key.not_after = Some("2026-11-20T11:59:59Z".to_owned());
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_invalid?"), "{vendor}: past its time");
        world.source(vendor).keys[1].not_after = Some("2026-11-20T12:00:00Z".to_owned());
        assert_eq!(world.verdict(&delivery), None, "{vendor}: in its last second");
        world.source(vendor).keys[1].not_before = Some("2026-11-20T12:00:01Z".to_owned());
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_invalid"), "{vendor}: not yet");
        world.source(vendor).keys[1].not_before = Some("tomorrow".to_owned());
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_invalid"), "{vendor}: unreadable date");

        world.source(vendor).keys.clear();
        assert_eq!(world.verdict(&delivery).as_deref(), Some("sig_no_key"), "{vendor}");
    }
}

#[test]
fn nx_40_a_secret_that_cannot_be_read_defers_unless_another_key_matches() {
    for (vendor, _) in VENDORS {
        let mut world = World::new();
        let mut lost = world.key("lost", "x");
        lost.secret = Some(longshore::config::secret::SecretRef("file:/nowhere/at/all".to_owned()));
        world.source(vendor).keys.push(lost);
        assert_eq!(world.verdict(&enveloped(vendor, &request(vendor), NOW)), None, "{vendor}");
        let mut forged = request(vendor);
        forged.body.push(b' ');
        let rejection = world.check(&enveloped(vendor, &forged, NOW)).unwrap_err();
        assert_eq!(rejection.reason.code(), "secret_unavailable", "{vendor}");
        assert_eq!(rejection.source.unwrap().as_str(), vendor);
    }
}

#[test]
fn a_body_larger_than_the_source_allows_is_refused_before_it_is_hashed() {
    let mut world = World::new();
    world.source("whatsapp").max_body = 8;
    assert_eq!(world.verdict(&enveloped("whatsapp", &request("whatsapp"), NOW)).as_deref(), Some("oversize"));
}

#[test]
fn hubspot_signs_the_public_url() {
    let mut world = World::new();
    world.source("hubspot").public_url = Some(URL.split('?').next().unwrap().to_owned());
    let mut request = request("hubspot");
    request.url = request.url.replace("https://hooks.example.test/in", "http://10.0.0.7:8080/behind");
    assert_eq!(world.verdict(&enveloped("hubspot", &request, NOW)), None);
}

#[test]
fn only_the_first_sixteen_signatures_of_a_list_are_looked_at() {
    let at_position = |position: usize| {
        judged("standard-webhooks", |request| {
            let good = request.header("webhook-signature").unwrap();
            let mut list = vec!["v1,AAAA"; 40];
            list[position] = &good;
            header(request, "webhook-signature", Some(&list.join(" ")));
        })
    };
    assert_eq!(at_position(15), None);
    assert_eq!(at_position(16).as_deref(), Some("sig_invalid"));
}
