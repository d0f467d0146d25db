//! Effects outside: in order within a lane, at most once to a person, never lost.

use longshore::{
    domain::{
        command::{Action, Command, CommandEnd, CommandEndState, CommandState, TakenCommand},
        event::DeliveryState,
        ids::CommandId,
        outcome::Fence,
        reason::Reason,
        timestamp::Timestamp,
    },
    store::contract::{Resolution, StoreError},
};

use super::{fixtures::*, harness::Harness};

async fn take(h: &Harness) -> Vec<TakenCommand> {
    h.store.outbox_take(100, LEASE).await.unwrap()
}

async fn take_ids(h: &Harness) -> Vec<CommandId> {
    let mut ids: Vec<_> = take(h).await.into_iter().map(|taken| taken.id).collect();
    ids.sort();
    ids
}

/// Ends the try that is under way.
pub(super) async fn end(h: &Harness, id: &CommandId, state: CommandEndState) {
    let rows = h.store.outbox_list(None, 1000).await.unwrap();
    let tries = rows.iter().find(|row| row.id == id.0).map_or(1, |row| row.tries);
    end_try(h, id, tries, state).await;
}

async fn end_try(h: &Harness, id: &CommandId, tries: i32, end: CommandEndState) {
    h.store.outbox_settle(&[CommandEnd { id: id.clone(), tries, end }]).await.unwrap();
}

fn sent(vendor_id: &str) -> CommandEndState {
    CommandEndState::Sent { vendor_id: Some(vendor_id.to_owned()) }
}

fn unknown() -> CommandEndState {
    CommandEndState::Unknown { detail: "reset".to_owned() }
}

async fn state_of(h: &Harness, id: &CommandId) -> (String, Option<String>) {
    let rows = h.store.outbox_list(None, 100).await.unwrap();
    let row = rows.into_iter().find(|row| row.id == id.0).unwrap();
    (row.state, row.detail)
}

async fn plan(h: &Harness, id: &str, commands: Vec<Command>) {
    settled(h, id, planned(commands)).await;
}

pub(super) async fn a_command_is_taken_once_with_all_that_it_says(h: &Harness) {
    let mut command = message("lane", "49170");
    command.expires_at = Some(h.store.now().await.unwrap().plus(MINUTE));
    plan(h, "a", vec![command.clone()]).await;
    assert_eq!(h.store.gauges().await.unwrap().planned, 1);
    assert!(h.store.outbox_next().await.unwrap().unwrap().is_zero());
    let taken = take(h).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0].id, taken[0].tries), (&command_of("a", 0), 1));
    assert_eq!((&taken[0].command, taken[0].event_key.as_ref()), (&command, Some(&key("a"))));
    assert!(take(h).await.is_empty(), "it is being sent");
    assert!(h.store.outbox_next().await.unwrap().is_none());
    end(h, &taken[0].id, sent("wamid.out")).await;
    assert!(take(h).await.is_empty());
    assert_eq!(state_of(h, &taken[0].id).await.0, "sent");
    assert_eq!(h.delivery_state("wamid.out").await.as_deref(), Some("sent"));
}

pub(super) async fn a_lane_keeps_its_order_and_lanes_go_side_by_side(h: &Harness) {
    plan(h, "a", vec![message("one", "1"), message("one", "1"), message("two", "2")]).await;
    plan(h, "b", vec![message("one", "1")]).await;
    assert_eq!(take_ids(h).await, [command_of("a", 0), command_of("a", 2)]);
    assert!(take(h).await.is_empty(), "a sending head blocks its lane");
    end(h, &command_of("a", 0), sent("w1")).await;
    assert_eq!(take_ids(h).await, [command_of("a", 1)]);
    let later = h.store.now().await.unwrap().plus(MINUTE);
    end(h, &command_of("a", 1), CommandEndState::Again { at: later, detail: "429".to_owned() }).await;
    assert!(take(h).await.is_empty(), "what waits for another try keeps its place");
    let wait = h.store.outbox_next().await.unwrap().unwrap();
    assert!(wait <= MINUTE && wait > MINUTE / 2, "{wait:?}");
    h.elapse(MINUTE * 2).await;
    let again = take(h).await;
    assert_eq!((again.len(), &again[0].id, again[0].tries), (1, &command_of("a", 1), 2));
    end(h, &command_of("a", 1), sent("w2")).await;
    assert_eq!(take_ids(h).await, [command_of("b", 0)]);
}

pub(super) async fn the_limit_is_kept(h: &Harness) {
    plan(h, "a", (0..5).map(|n| message(&format!("l{n}"), "1")).collect()).await;
    for expected in [2, 2, 1, 0] {
        assert_eq!(h.store.outbox_take(2, LEASE).await.unwrap().len(), expected);
    }
}

pub(super) async fn heads_that_failed_for_good_do_not_block(h: &Harness) {
    plan(h, "a", (0..4).map(|_| message("one", "1")).collect()).await;
    let dropped = CommandEndState::Dropped { why: "opted_out".to_owned() };
    let refused = CommandEndState::Refused { code: "131026".to_owned(), detail: "no".to_owned() };
    for (n, over) in [unknown(), refused, dropped].into_iter().enumerate() {
        assert_eq!(take_ids(h).await, [command_of("a", n)]);
        end(h, &command_of("a", n), over).await;
    }
    assert_eq!(take_ids(h).await, [command_of("a", 3)]);
    assert_eq!(h.store.gauges().await.unwrap().unknown, 1);
}

pub(super) async fn what_must_not_be_sent_is_dropped(h: &Harness) {
    let mut late = message("l1", "1");
    late.expires_at = Some(h.store.now().await.unwrap().plus(MINUTE));
    let mut by_a_person = message("l4", "4");
    if let Action::Message { automatic, .. } = &mut by_a_person.action {
        *automatic = false;
    }
    let mut other_tenant = message("l5", "5");
    other_tenant.tenant = "silent".into();
    h.store.set_auto_replies(&"silent".into(), false, "anna").await.unwrap();
    let mut silent_person = by_a_person.clone();
    (silent_person.tenant, silent_person.lane) = ("silent".into(), "l6".to_owned());
    let commands =
        vec![late, message("l2", "2"), message("l3", "3"), by_a_person, other_tenant, silent_person];
    plan(h, "a", commands).await;
    let stop = contact("2", vec![property("$opted_out", Some("true"), 0, "e")]);
    let start = contact("3", vec![property("$opted_out", Some("false"), 0, "e")]);
    settled(h, "stop", done(vec![stop, start])).await;
    h.elapse(MINUTE * 2).await;
    assert_eq!(take_ids(h).await, [command_of("a", 2), command_of("a", 3), command_of("a", 5)]);
    for (n, why) in [(0, "window_closed"), (1, "opted_out"), (4, "auto_replies_off")] {
        assert_eq!(state_of(h, &command_of("a", n)).await, ("dropped".to_owned(), Some(why.to_owned())));
    }
}

pub(super) async fn an_opt_out_stops_also_what_a_person_wrote(h: &Harness) {
    let mut command = message("l", "2");
    if let Action::Message { automatic, .. } = &mut command.action {
        *automatic = false;
    }
    plan(h, "a", vec![command]).await;
    settled(h, "s", done(vec![contact("2", vec![property("$opted_out", Some("true"), 0, "e")])])).await;
    assert!(take(h).await.is_empty());
    assert_eq!(state_of(h, &command_of("a", 0)).await.1.as_deref(), Some("opted_out"));
}

pub(super) async fn a_refused_command_is_a_dead_letter_of_its_own(h: &Harness) {
    plan(h, "a", vec![message("l", "1")]).await;
    let id = take(h).await.remove(0).id;
    let refused = CommandEndState::Refused { code: "131026".to_owned(), detail: "undeliverable".to_owned() };
    end(h, &id, refused).await;
    let letters = h.store.dead_letters(&super::dead_letters::all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].id.as_str()), (1, id.0.as_str()));
    assert_eq!((letters[0].kind.name(), letters[0].reason), ("command", Reason::VendorRefused));
    assert!(letters[0].detail.contains("131026"), "{}", letters[0].detail);
    assert_eq!(letters[0].event_key, Some(key("a")));
    let kept: Command = serde_json::from_str(&letters[0].body).unwrap();
    assert_eq!(kept, message("l", "1"));
    assert_eq!(h.store.event_history(&key("a")).await.unwrap().unwrap().state, "done");
}

pub(super) async fn lapsed_messages_are_unknown_and_harmless_ones_go_again(h: &Harness) {
    settled(h, "b", bury(Reason::SchemaMismatch)).await;
    plan(h, "a", vec![message("l", "1")]).await;
    let taken = take(h).await;
    assert_eq!(taken.len(), 2);
    h.store.maintain().await.unwrap();
    assert!(take(h).await.is_empty(), "their leases have not passed");
    h.elapse(LEASE * 2).await;
    h.store.maintain().await.unwrap();
    let again = take(h).await;
    assert_eq!(again.len(), 1);
    assert!(
        matches!(&again[0].command.action, Action::CopyDeadLetter { dead_letter } if *dead_letter == format!("{}@0", key("b")))
    );
    assert_eq!((again[0].command.lane.clone(), again[0].tries), (format!("dlq/{}@0", key("b")), 2));
    assert_eq!(state_of(h, &command_of("a", 0)).await.0, "unknown");
    // The one who had taken it comes back after all, and knows.
    end(h, &command_of("a", 0), sent("w")).await;
    assert_eq!(state_of(h, &command_of("a", 0)).await.0, "sent");
}

pub(super) async fn settling_twice_changes_nothing(h: &Harness) {
    plan(h, "a", vec![message("l", "1")]).await;
    let id = take(h).await.remove(0).id;
    end(h, &id, sent("w1")).await;
    end(h, &id, CommandEndState::Refused { code: "1".to_owned(), detail: "late".to_owned() }).await;
    end(h, &id, unknown()).await;
    assert_eq!(state_of(h, &id).await.0, "sent");
    let counts = h.store.table_counts().await.unwrap();
    assert_eq!((counts["dead_letters"], counts["deliveries"]), (0, 1));
}

fn again(at: Timestamp) -> CommandEndState {
    CommandEndState::Again { at, detail: "connect".to_owned() }
}

/// One try hangs beyond its lease, and a person has it sent again.
async fn taken_twice(h: &Harness, id: &str) -> CommandId {
    plan(h, id, vec![message(id, "1")]).await;
    assert_eq!(take(h).await.len(), 1);
    h.elapse(LEASE * 2).await;
    h.store.maintain().await.unwrap();
    let id = command_of(id, 0);
    assert!(h.store.outbox_resolve(&id, Resolution::SendAgain, "anna").await.unwrap());
    let second = take(h).await;
    assert_eq!((second.len(), &second[0].id, second[0].tries), (1, &id, 2));
    id
}

pub(super) async fn the_end_of_an_older_try_changes_nothing(h: &Harness) {
    let now = h.store.now().await.unwrap();
    let id = taken_twice(h, "a").await;
    let refused = CommandEndState::Refused { code: "1".to_owned(), detail: "late".to_owned() };
    let dropped = CommandEndState::Dropped { why: "late".to_owned() };
    for late in [again(now), unknown(), refused.clone(), dropped] {
        end_try(h, &id, 1, late).await;
        assert_eq!(state_of(h, &id).await.0, "sending");
        assert!(take(h).await.is_empty(), "it would be sent a third time");
    }
    end_try(h, &id, 2, unknown()).await;
    for late in [again(now), refused] {
        end_try(h, &id, 1, late).await;
        assert_eq!(state_of(h, &id).await.0, "unknown", "the second try may have been sent");
    }
    assert_eq!(h.store.table_counts().await.unwrap()["dead_letters"], 0);
    // Of the try that is known, the end is still believed after its lease.
    end_try(h, &id, 2, again(now)).await;
    assert_eq!(take(h).await[0].tries, 3);
}

pub(super) async fn what_an_older_try_has_sent_is_sent(h: &Harness) {
    let now = h.store.now().await.unwrap();
    let under_way = taken_twice(h, "a").await;
    end_try(h, &under_way, 1, sent("wamid.a")).await;
    end_try(h, &under_way, 2, again(now)).await;
    let planned = taken_twice(h, "b").await;
    end_try(h, &planned, 2, again(now)).await;
    end_try(h, &planned, 1, sent("wamid.b")).await;
    let held = taken_twice(h, "c").await;
    end_try(h, &held, 2, unknown()).await;
    end_try(h, &held, 1, sent("wamid.c")).await;
    for (id, vendor_id) in [(under_way, "wamid.a"), (planned, "wamid.b"), (held, "wamid.c")] {
        assert_eq!(state_of(h, &id).await.0, "sent");
        assert_eq!(h.delivery_command(vendor_id).await, Some(id));
    }
    assert!(take(h).await.is_empty(), "never once more");
}

pub(super) async fn a_person_resolves_the_unknown(h: &Harness) {
    plan(h, "a", (0..3).map(|n| message(&format!("l{n}"), "1")).collect()).await;
    for taken in take(h).await {
        assert!(!h.store.outbox_resolve(&taken.id, Resolution::Sent, "anna").await.unwrap(), "not unknown");
        end(h, &taken.id, unknown()).await;
    }
    let ways =
        [(Resolution::Sent, "sent"), (Resolution::SendAgain, "planned"), (Resolution::Drop, "dropped")];
    for (n, (resolution, state)) in ways.into_iter().enumerate() {
        let id = command_of("a", n);
        assert!(h.store.outbox_resolve(&id, resolution, "anna").await.unwrap());
        assert_eq!(state_of(h, &id).await.0, state);
        assert!(!h.store.outbox_resolve(&id, resolution, "anna").await.unwrap(), "once");
    }
    assert_eq!(take_ids(h).await, [command_of("a", 1)]);
    let past = h.store.event_history(&key("a")).await.unwrap().unwrap();
    let resolved = past.audit.iter().filter(|row| row.action == "resolve" && row.actor == "anna").count();
    assert_eq!(resolved, 3);
    assert!(!h.store.outbox_resolve(&"nothing".into(), Resolution::Drop, "anna").await.unwrap());
}

pub(super) async fn a_status_settles_the_unknown_as_sent(h: &Harness) {
    plan(h, "a", vec![message("l", "1")]).await;
    let id = take(h).await.remove(0).id;
    end(h, &id, unknown()).await;
    settled(h, "s", done(vec![status("wamid.out", DeliveryState::Delivered, Some(&id))])).await;
    let rows = h.store.outbox_list(None, 10).await.unwrap();
    assert_eq!((rows[0].state.as_str(), rows[0].vendor_id.as_deref()), ("sent", Some("wamid.out")));
    assert_eq!(h.delivery_state("wamid.out").await.as_deref(), Some("delivered"));
    assert_eq!(h.delivery_command("wamid.out").await, Some(id));
}

pub(super) async fn a_status_before_our_commit_is_linked_later(h: &Harness) {
    plan(h, "a", vec![message("l", "1")]).await;
    let id = take(h).await.remove(0).id;
    settled(h, "s", done(vec![status("wamid.out", DeliveryState::Read, None)])).await;
    assert_eq!(h.delivery_command("wamid.out").await, None);
    end(h, &id, sent("wamid.out")).await;
    assert_eq!(h.delivery_command("wamid.out").await, Some(id));
    assert_eq!(h.delivery_state("wamid.out").await.as_deref(), Some("read"), "it never moves back");
    assert_eq!(h.store.table_counts().await.unwrap()["deliveries"], 1);
}

pub(super) async fn a_pause_holds_back_a_sender(h: &Harness) {
    plan(h, "a", vec![message("wa:1555:1", "1"), message("wa:1555:2", "2"), message("wa:1666:1", "1")]).await;
    plan(h, "wild", vec![message("wa%1555:9", "9"), message("wa_1555:9", "9")]).await;
    let until = h.store.now().await.unwrap().plus(MINUTE);
    h.store.outbox_pause("wa:1555:", until).await.unwrap();
    assert_eq!(take_ids(h).await, [command_of("a", 2), command_of("wild", 0), command_of("wild", 1)]);
    // A shorter pause does not undo a longer one.
    h.store.outbox_pause("wa:1555:", h.store.now().await.unwrap()).await.unwrap();
    assert!(take(h).await.is_empty());
    h.elapse(MINUTE * 2).await;
    assert_eq!(take_ids(h).await, [command_of("a", 0), command_of("a", 1)]);
    plan(h, "b", vec![message("x_y", "1"), message("xzy", "2")]).await;
    h.store.outbox_pause("x_", h.store.now().await.unwrap().plus(MINUTE)).await.unwrap();
    assert_eq!(take_ids(h).await, [command_of("b", 1)], "a prefix is text, not a pattern");
}

pub(super) async fn a_pause_holds_back_what_is_planned_while_it_lasts(h: &Harness) {
    let until = h.store.now().await.unwrap().plus(MINUTE);
    h.store.outbox_pause("wa:1555:", until).await.unwrap();
    let mut late = message("wa:1555:3", "3");
    late.expires_at = Some(until);
    plan(h, "a", vec![message("wa:1555:1", "1"), late]).await;
    assert!(take(h).await.is_empty());
    assert_eq!(state_of(h, &command_of("a", 1)).await.0, "planned", "nor is it dropped before its turn");
    let wait = h.store.outbox_next().await.unwrap().unwrap();
    assert!(wait <= MINUTE && wait > MINUTE / 2, "{wait:?}");
    plan(h, "b", vec![message("wa:1666:1", "1")]).await;
    assert!(h.store.outbox_next().await.unwrap().unwrap().is_zero());
    assert_eq!(take_ids(h).await, [command_of("b", 0)]);
    h.store.maintain().await.unwrap();
    assert!(take(h).await.is_empty(), "a pause that lasts is kept");
    h.elapse(MINUTE * 2).await;
    assert!(h.store.outbox_next().await.unwrap().unwrap().is_zero());
    h.store.maintain().await.unwrap();
    assert_eq!(h.rows_of("lane_pauses").await, 0, "one that is over is forgotten");
    assert_eq!(take_ids(h).await, [command_of("a", 0)]);
    assert_eq!(state_of(h, &command_of("a", 1)).await.1.as_deref(), Some("window_closed"));
}

pub(super) async fn lists_are_newest_first_and_by_state(h: &Harness) {
    plan(h, "a", vec![message("l0", "1")]).await;
    plan(h, "b", vec![message("l1", "1")]).await;
    let all = h.store.outbox_list(None, 10).await.unwrap();
    assert_eq!([&all[0].id, &all[1].id], [&command_of("b", 0).0, &command_of("a", 0).0]);
    assert_eq!(
        (all[0].kind.as_str(), all[0].tenant.as_str(), all[0].lane.as_str()),
        ("message", TENANT, "l1")
    );
    assert_eq!(h.store.outbox_list(None, 1).await.unwrap().len(), 1);
    h.store.outbox_take(1, LEASE).await.unwrap();
    let sending = h.store.outbox_list(Some(CommandState::Sending), 10).await.unwrap();
    assert_eq!(
        (sending.len(), sending[0].id.as_str(), sending[0].tries),
        (1, command_of("a", 0).0.as_str(), 1)
    );
}

pub(super) async fn unknown_ids_are_ignored(h: &Harness) {
    end(h, &"nothing".into(), sent("w")).await;
    assert_eq!(h.store.table_counts().await.unwrap()["deliveries"], 0);
    let lost: Result<_, StoreError> = h.store.event_history(&key("nothing")).await;
    assert!(lost.unwrap().is_none());
}

pub(super) async fn eight_senders_take_each_command_once(h: &Harness) {
    plan(h, "a", (0..60).map(|n| message(&format!("lane-{}", n % 20), "1")).collect()).await;
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let store = h.store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for _ in 0..40 {
                    for taken in store.outbox_take(5, LEASE).await.unwrap() {
                        mine.push((taken.command.lane.clone(), taken.id.clone()));
                        let state = CommandEndState::Sent { vendor_id: None };
                        let end = CommandEnd { id: taken.id, tries: taken.tries, end: state };
                        store.outbox_settle(&[end]).await.unwrap();
                    }
                }
                mine
            })
        })
        .collect();
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.unwrap());
    }
    all.extend(take(h).await.into_iter().map(|taken| (taken.command.lane, taken.id)));
    let distinct: std::collections::BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!((all.len(), distinct.len()), (60, 60));
    let fence = h.store.extend(&[], LEASE).await.unwrap();
    assert_eq!(fence, Vec::<Fence>::new());
}
