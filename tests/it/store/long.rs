//! Text that somebody else wrote, in a column with an index: Postgres refuses long ones there. Whatever its
//! length, it is stored, found again, and told apart from its neighbours.

use longshore::{
    domain::{
        command::{Action, Command, CommandEndState},
        dead_letter::{DeadDelivery, DeadLetterFilter},
        event::DeliveryState,
        ids::{CommandId, sha256_hex},
        outcome::{Outcome, Verdict},
        reason::Reason,
        record::{ContactWrite, LedgerRow, OPTED_OUT, ResultWrite, Write},
    },
    store::contract::{Replayed, Resolution},
};

use super::{fixtures::*, harness::Harness};

/// Two long texts that differ in their last letter only. What looks random cannot be packed to fit after all.
fn long_pair() -> [String; 2] {
    let noise: String = (0..128_u8).map(|n| sha256_hex(&[&[n]])).collect();
    [format!("ä{noise}a"), format!("ä{noise}b")]
}

pub(super) async fn long_names_of_contacts_are_found_again(h: &Harness) {
    let [one, two] = long_pair();
    for place in 0..4 {
        let names = |text: &str| {
            let mut names = ["acme", "crm", "7", "email"].map(str::to_owned);
            names[place] = text.to_owned();
            names
        };
        let writes = [&one, &two].map(|text| {
            let [tenant, system, external_id, name] = names(text);
            let properties = vec![property(&name, Some(text), 0, "e")];
            Write::Contact(ContactWrite { tenant: tenant.as_str().into(), system, external_id, properties })
        });
        settled(h, &format!("e{place}"), done(writes.to_vec())).await;
        for text in [&one, &two] {
            let [tenant, system, id, name] = names(text);
            let value = h.store.contact_property(&tenant.as_str().into(), &system, &id, &name).await.unwrap();
            assert_eq!(value.as_ref(), Some(text), "place {place}");
        }
    }
}

pub(super) async fn long_ids_of_records_stay_distinct(h: &Harness) {
    let writes = |text: &String| {
        let Write::Message(mut message) = inbound(text, "hello") else { unreachable!() };
        message.conversation.clone_from(text);
        let Write::Result(reading) = result(serde_json::json!(1)) else { unreachable!() };
        vec![
            conversation(text, 0, None),
            Write::Message(message),
            Write::Result(ResultWrite { kind: text.clone(), ..reading }),
            Write::Ledger(Box::new(LedgerRow { id: text.clone(), ..ledger("", "e") })),
            status(text, DeliveryState::Delivered, Some(&CommandId(text.clone()))),
        ]
    };
    let all: Vec<Write> = long_pair().iter().flat_map(writes).collect();
    settled(h, "once", done(all.clone())).await;
    settled(h, "twice", done(all)).await;
    let counts = h.store.table_counts().await.unwrap();
    let rows =
        ["conversations", "messages", "llm_ledger", "deliveries", "results"].map(|table| counts[table]);
    assert_eq!(rows, [2, 2, 2, 2, 4], "a result is its event's own, the others are there already");
}

pub(super) async fn long_lanes_and_persons_are_served(h: &Harness) {
    let [one, two] = long_pair();
    let lanes = [format!("wa:1555:{one}"), format!("wa:1555:{two}")];
    let commands: Vec<_> =
        [&lanes[0], &lanes[0], &lanes[1]].into_iter().map(|lane| message(lane, &one)).collect();
    settled(h, "a", planned(commands.clone())).await;
    let until = h.store.now().await.unwrap().plus(MINUTE);
    for prefix in ["wa:1555:", &format!("wa:1555:{}", &one[..4000]), &lanes[0]] {
        h.store.outbox_pause(prefix, until).await.unwrap();
        assert!(h.store.outbox_take(10, LEASE).await.unwrap().is_empty(), "held back");
        h.elapse(MINUTE * 2).await;
        h.store.maintain().await.unwrap();
    }
    let taken = h.store.outbox_take(10, LEASE).await.unwrap();
    assert_eq!([&taken[0].command, &taken[1].command], [&commands[0], &commands[2]], "two lanes, in order");
    super::outbox::end(h, &taken[0].id, CommandEndState::Sent { vendor_id: Some(one.clone()) }).await;
    super::outbox::end(h, &taken[1].id, CommandEndState::Unknown { detail: one.clone() }).await;
    settled(h, "s", done(vec![status(&one, DeliveryState::Read, None)])).await;
    settled(h, "t", done(vec![status(&two, DeliveryState::Read, Some(&taken[1].id))])).await;
    assert_eq!(h.rows_of("deliveries WHERE state = 'read' AND command_id IS NOT NULL").await, 2);
    assert_eq!(h.rows_of("outbox WHERE state = 'sent'").await, 2);
    // Opted out and switched off are looked up by the same names.
    settled(h, "stop", done(vec![contact(&one, vec![property(OPTED_OUT, Some("true"), 0, "e")])])).await;
    assert!(h.store.opted_out(&tenant(), "whatsapp", &one).await.unwrap());
    assert!(!h.store.opted_out(&tenant(), "whatsapp", &two).await.unwrap());
    h.store.set_auto_replies(&one.as_str().into(), false, &one).await.unwrap();
    assert!(!h.store.auto_replies(&one.as_str().into()).await.unwrap());
    assert!(h.store.auto_replies(&two.as_str().into()).await.unwrap());
    let silent = Command { tenant: one.as_str().into(), ..message("l", &two) };
    settled(h, "b", planned(vec![silent, message("m", &two)])).await;
    let taken = h.store.outbox_take(10, LEASE).await.unwrap();
    assert_eq!((taken.len(), &taken[0].id), (1, &command_of("b", 1)));
    assert_eq!(h.rows_of("outbox WHERE state = 'dropped'").await, 2);
    let to = |command: &Command| matches!(&command.action, Action::Message { to, .. } if *to == two);
    assert!(to(&taken[0].command), "the vendor is told the whole of it");
    assert!(!h.store.outbox_resolve(&CommandId(one), Resolution::Drop, "anna").await.unwrap());
}

pub(super) async fn long_ids_of_dead_letters_are_found_again(h: &Harness) {
    let pair = long_pair();
    let dead = pair.clone().map(|text| DeadDelivery {
        id: text.clone(),
        source: Some(text.clone()),
        reason: Reason::SigInvalid,
        detail: text.clone(),
        body: text,
        attributes: serde_json::json!({}),
        item: None,
    });
    h.store.bury(&dead).await.unwrap();
    h.store.bury(&dead[..1]).await.unwrap();
    for (n, text) in pair.iter().enumerate() {
        let by_id = DeadLetterFilter { ids: vec![text.clone()], limit: 10, ..Default::default() };
        let by_source = DeadLetterFilter { source: Some(text.clone()), limit: 10, ..Default::default() };
        for filter in [by_id, by_source] {
            let found = h.store.dead_letters(&filter).await.unwrap();
            let seen = if n == 0 { 2 } else { 1 };
            assert_eq!((found.len(), found[0].seen, &found[0].body), (1, seen, text));
            // The id that is told finds it, too.
            let again = DeadLetterFilter { ids: vec![found[0].id.clone()], limit: 10, ..Default::default() };
            assert_eq!(h.store.dead_letters(&again).await.unwrap()[0].body, *text);
        }
    }
    let copies = h.store.outbox_take(10, LEASE).await.unwrap();
    assert_eq!(copies.len(), 2);
    let [Action::CopyDeadLetter { dead_letter }, _] = [&copies[0].command.action, &copies[1].command.action]
    else {
        panic!("not a copy: {copies:?}")
    };
    let told = DeadLetterFilter { ids: vec![dead_letter.clone()], limit: 10, ..Default::default() };
    assert_eq!(h.store.dead_letters(&told).await.unwrap().len(), 1);
    assert_eq!(h.store.replay(&pair[..1], &pair[0]).await.unwrap(), [Replayed::Delivery]);
    assert!(h.store.seal_known("none", &pair[0]).await.unwrap());
    assert!(!h.store.seal_known("none", &pair[1]).await.unwrap());
    assert_eq!(h.store.outbox_take(10, LEASE).await.unwrap().len(), 1, "the requeue");
}

pub(super) async fn a_long_seal_is_known_again(h: &Harness) {
    let [one, two] = long_pair();
    let mut sealed = request("a", true);
    sealed.seal = Some(one.clone());
    mine(h.store.claim(&[sealed], LEASE).await.unwrap().remove(0));
    assert!(h.store.seal_known(&one, "x").await.unwrap());
    assert!(!h.store.seal_known(&two, "x").await.unwrap());
    // A long event key is cut at its birth; so is all that is made of it.
    settled(h, &one, Verdict::Bury(failure(Reason::Expired))).await;
    settled(h, &two, Verdict::Done(Outcome { writes: vec![], commands: vec![message("l", "1")] })).await;
    assert_eq!(h.store.outbox_take(10, LEASE).await.unwrap().len(), 2);
    assert_eq!(h.store.event_history(&key(&one)).await.unwrap().unwrap().audit[0].action, "bury");
}
