//! The judge: holds the tables and the stand-in's own log against what was sent. Used by every test that
//! ends with all work done, whatever happened on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use longshore::{
    cli::dev::outside::{script::Service, world::Seen},
    llm::prompts::fence,
    queue::contract::{BATCH, Depth, Queue as _},
};

use crate::world::{World, database::Texts};

/// Attribute of a copy on the DLQ: the dead letter's id.
const DEAD: &str = "longshore-dead";

/// What is neither right nor wrong by itself.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Commands whose outcome nobody knows.
    pub(crate) unknown: Vec<String>,
    /// Calls to the model that may have been billed.
    pub(crate) ambiguous: usize,
    /// Calls to the model that were billed.
    pub(crate) billed: usize,
    /// Copies on the DLQ beyond one for each dead letter.
    pub(crate) extra_copies: usize,
    /// Messages that people got.
    pub(crate) messages: usize,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { unknown, ambiguous, billed, extra_copies, messages } = self;
        let unknown = unknown.len();
        write!(
            f,
            "{billed} billed calls, {ambiguous} ambiguous; {messages} messages sent, {unknown} unknown; {extra_copies} extra copies"
        )
    }
}

/// Judges a settled world; fails with everything that is wrong.
pub(crate) async fn judge(world: &World) -> Findings {
    let mut case = Case { world, faults: Vec::new(), findings: Findings::default() };
    case.events().await;
    case.rows().await;
    case.calls().await;
    case.commands().await;
    case.dead_letters().await;
    case.queue().await;
    let faults = case.faults.join("\n");
    assert!(faults.is_empty(), "{faults}\n{}\n", world.lines_about(&faults));
    case.findings
}

struct Case<'a> {
    world: &'a World,
    faults: Vec<String>,
    findings: Findings,
}

/// The text of a column that is never null.
fn text(row: &Texts, at: usize) -> &str {
    row[at].as_deref().unwrap_or_default()
}

fn counted<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

impl Case<'_> {
    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Both sides must hold the same, each as often.
    fn same<T: Ord + Debug>(
        &mut self,
        what: &str,
        found: impl IntoIterator<Item = T>,
        expected: impl IntoIterator<Item = T>,
    ) {
        let (found, expected) = (counted(found), counted(expected));
        for (item, times) in &found {
            let wanted = expected.get(item).copied().unwrap_or(0);
            if *times > wanted {
                self.fault(format!("{what}: {item:?} is there {times} times, not {wanted}"));
            }
        }
        for (item, times) in &expected {
            let there = found.get(item).copied().unwrap_or(0);
            if there < *times {
                self.fault(format!("{what}: {item:?} is missing ({there} of {times})"));
            }
        }
    }

    /// None lost, none open, none buried that should not be, none that nobody sent.
    async fn events(&mut self) {
        let rows = self.world.database.rows("SELECT key, state, reason FROM inbox").await;
        let end = |row: &Texts| match text(row, 1) {
            "buried" => format!("{} buried {}", text(row, 0), text(row, 2)),
            state => format!("{} {state}", text(row, 0)),
        };
        let expected = self.world.expected.events.iter().map(|(key, end)| match end {
            Some(reason) => format!("{key} buried {reason}"),
            None => format!("{key} done"),
        });
        self.same("events", rows.iter().map(end), expected);
        if self.world.database.count("parked").await > 0 {
            self.fault("something is still parked");
        }
        let done = "SELECT subject FROM audit_log WHERE action = 'done'";
        let done: Vec<String> =
            self.world.database.rows(done).await.iter().map(|row| text(row, 0).to_owned()).collect();
        let expected = self.world.expected.events.iter().filter(|(_, end)| end.is_none());
        self.same("commits", done, expected.map(|(key, _)| key.clone()));
    }

    /// One row for each thing.
    async fn rows(&mut self) {
        let (database, expected) = (&self.world.database, &self.world.expected);
        let column =
            |rows: Vec<Texts>| rows.into_iter().map(|row| text(&row, 0).to_owned()).collect::<Vec<_>>();
        let results = column(database.rows("SELECT event_key FROM results").await);
        let inbound =
            column(database.rows("SELECT vendor_id FROM messages WHERE direction = 'inbound'").await);
        let told = "SELECT vendor_id FROM deliveries WHERE state <> 'sent' OR command_id IS NULL";
        let told = column(database.rows(told).await);
        let contacts = database.rows("SELECT system, external_id FROM contacts").await;
        let chats = "SELECT event_key FROM llm_ledger WHERE status IN ('reported', 'partial')";
        let chats = column(database.rows(chats).await);
        let read = expected.read.keys().filter(|key| self.world.is_done(key)).cloned();
        self.same("results", results, read);
        self.same("messages", inbound, self.world.done_messages());
        self.same("statuses", told, expected.statuses.iter().cloned());
        let contacts = contacts.iter().map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned()));
        self.same("contacts", contacts, expected.contacts.iter().cloned());
        self.same("reported usage", chats, expected.chats.iter().cloned());
    }

    /// Every billed call has one ledger row; rows without one are ambiguous; what is stored is not bought again.
    async fn calls(&mut self) {
        let ledger = "SELECT event_key, step, status,
                CAST(uncached_input AS TEXT) || '+' || CAST(cache_read AS TEXT) || '>' || CAST(output AS TEXT), id
            FROM llm_ledger WHERE status NOT IN ('reported', 'partial')";
        let ledger = self.world.database.rows(ledger).await;
        let journal = "SELECT event_key, step, input_hash, state, ledger_id, CAST(rejected AS TEXT)
            FROM llm_journal ORDER BY event_key, step, input_hash, attempt";
        let journal = self.world.database.rows(journal).await;
        let with_row = journal.iter().filter_map(|row| row[4].clone());
        self.same("ledger rows of the journal", ledger.iter().map(|row| text(row, 4).to_owned()), with_row);
        let bills = self.bills();
        let steps: BTreeSet<(String, String)> = ledger
            .iter()
            .map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned()))
            .chain(bills.keys().cloned())
            .collect();
        for (key, step) in steps {
            let rows = || ledger.iter().filter(|row| text(row, 0) == key && text(row, 1) == step);
            let (unsure, sure): (Vec<_>, Vec<_>) = rows().partition(|row| text(row, 2) == "ambiguous");
            let billed = bills.get(&(key.clone(), step.clone())).cloned().unwrap_or_default();
            self.findings.ambiguous += unsure.len();
            self.findings.billed += billed.len();
            let mut left = counted(billed.iter().cloned());
            for row in &sure {
                match left.get_mut(text(row, 3)) {
                    Some(times) if *times > 0 => *times -= 1,
                    _ => self.fault(format!("ledger: {row:?} was never billed")),
                }
            }
            if billed.len() > sure.len() + unsure.len() {
                let rows = sure.len() + unsure.len();
                self.fault(format!("{key} {step}: billed {} times, {rows} ledger rows", billed.len()));
            }
        }
        self.bought_once(&journal);
    }

    fn bought_once(&mut self, journal: &[Texts]) {
        let mut answered: BTreeSet<[&str; 3]> = BTreeSet::new();
        for row in journal {
            let step = [text(row, 0), text(row, 1), text(row, 2)];
            if answered.contains(&step) {
                self.fault(format!("bought again although an answer was stored: {row:?}"));
            }
            if text(row, 3) == "answered" && !["1", "true"].contains(&text(row, 5)) {
                answered.insert(step);
            }
            if text(row, 3) == "sent" {
                self.fault(format!("a call is open: {row:?}"));
            }
        }
    }

    /// What the model was billed for, by event and step.
    fn bills(&mut self) -> BTreeMap<(String, String), Vec<String>> {
        let said: BTreeMap<&String, &String> =
            self.world.expected.read.iter().map(|(key, text)| (text, key)).collect();
        let mut bills: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for seen in self.world.outside.log() {
            let Some(bill) = &seen.bill else { continue };
            let turns = seen.body["messages"].as_array().cloned().unwrap_or_default();
            let asked = turns.iter().find(|turn| turn["role"] == "user");
            let asked = asked.and_then(|turn| turn["content"].as_str()).unwrap_or_default();
            let message = fence::inside(asked, "message").unwrap_or_default().to_owned();
            let step = if turns.len() > 2 { "message_reading.repair" } else { "message_reading" };
            match said.get(&message) {
                Some(key) => {
                    let usage = &bill.usage;
                    let usage = format!("{}+{}>{}", usage.uncached_input, usage.cache_read, usage.output);
                    bills.entry(((*key).clone(), step.to_owned())).or_default().push(usage);
                }
                None => self.faults.push(format!("the model was asked about `{message}`, which nobody said")),
            }
        }
        bills
    }

    /// At most one send for each command, and none only where that is known or nobody can know.
    async fn commands(&mut self) {
        let rows = "SELECT id, state, vendor_id, event_key FROM outbox WHERE kind = 'message'";
        let rows = self.world.database.rows(rows).await;
        let log = self.world.outside.log();
        let accepted = |id: &str| -> Vec<&Seen> {
            let of_command =
                |seen: &&Seen| seen.service == Service::Whatsapp && seen.command_id() == Some(id);
            log.iter().filter(of_command).filter(|seen| seen.message_id.is_some()).collect()
        };
        for row in &rows {
            let (id, state, sends) = (text(row, 0), text(row, 1), accepted(text(row, 0)));
            self.findings.messages += sends.len();
            match (state, sends.as_slice()) {
                ("sent", [one]) if one.message_id.as_deref() == row[2].as_deref() => {}
                ("unknown", [] | [_]) => self.findings.unknown.push(id.to_owned()),
                ("refused", []) if self.world.expected.refused.contains(text(row, 3)) => {}
                _ => self.fault(format!("command {row:?} was accepted {} times", sends.len())),
            }
        }
        let ids: BTreeSet<&str> = rows.iter().map(|row| text(row, 0)).collect();
        for seen in log.iter().filter(|seen| seen.service == Service::Whatsapp) {
            if !seen.command_id().is_some_and(|id| ids.contains(id)) {
                self.fault(format!("sent without a command: {seen:?}"));
            }
        }
        let answered = self.world.expected.read.keys().filter(|key| self.world.is_done(key)).cloned();
        self.same("replies", rows.iter().map(|row| text(row, 3).to_owned()), answered);
    }

    /// Exactly those that were expected, each with a copy on the DLQ, but for refused commands: those never
    /// were messages.
    async fn dead_letters(&mut self) {
        let rows = self.world.database.rows("SELECT kind, reason, event_key, id FROM dead_letters").await;
        let expected = &self.world.expected;
        let buried = expected.events.iter().filter_map(|(key, end)| {
            end.map(|reason| ("event".to_owned(), reason.code().to_owned(), key.clone()))
        });
        // A refusal that the worker did not live to record is an unknown command instead.
        let refused = "SELECT event_key FROM outbox WHERE state = 'refused'";
        let refused = self.world.database.rows(refused).await;
        let refused = refused
            .iter()
            .map(|row| ("command".to_owned(), "vendor_refused".to_owned(), text(row, 0).to_owned()));
        let rejected = expected
            .rejected
            .iter()
            .map(|reason| ("delivery".to_owned(), reason.code().to_owned(), String::new()));
        let expected: Vec<_> = buried.chain(refused).chain(rejected).collect();
        let found = rows
            .iter()
            .map(|row| (text(row, 0).to_owned(), text(row, 1).to_owned(), text(row, 2).to_owned()));
        self.same("dead letters", found, expected);
        let copies = self.copies().await;
        let distinct: BTreeSet<String> = copies.iter().cloned().collect();
        self.findings.extra_copies = copies.len() - distinct.len();
        let copied = rows.iter().filter(|row| text(row, 0) != "command");
        self.same("copies on the DLQ", distinct, copied.map(|row| text(row, 3).to_owned()));
    }

    async fn copies(&self) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let hidden = Duration::from_secs(600);
            let copies = self.world.dead.receive(BATCH, Duration::ZERO, hidden).await.unwrap();
            if copies.is_empty() {
                return found;
            }
            found.extend(copies.iter().map(|copy| copy.text(DEAD).unwrap_or("not ours").to_owned()));
        }
    }

    /// Nothing of ours is left.
    async fn queue(&mut self) {
        let depth = self.world.queue.depth().await.unwrap();
        if depth != Depth::default() {
            self.fault(format!("left on the queue: {depth:?}"));
        }
    }
}

impl World {
    fn is_done(&self, key: &str) -> bool {
        self.expected.events.get(key).is_some_and(Option::is_none)
    }

    /// The vendor's ids of messages whose event is done: only those have a row.
    fn done_messages(&self) -> Vec<String> {
        let done =
            |id: &&String| self.expected.events.iter().any(|(key, end)| key.ends_with(*id) && end.is_none());
        self.expected.messages.iter().filter(done).cloned().collect()
    }
}
