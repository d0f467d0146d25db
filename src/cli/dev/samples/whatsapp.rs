//! People write to us on WhatsApp.

use serde_json::json;

use crate::{
    cli::dev::samples::{
        sample::{Expect, Sample, answered, done, item_rejected, rejected},
        whatsapp_wire::{
            ACME, ADA, Person, QUIET, SOURCE, message_key, messages, posted, posted_text, sealed, text, typed,
        },
        workbench::{Draft, Workbench},
    },
    domain::{command::CommandState, reason::Reason, record::OPTED_OUT},
    sources::sign::SignedMessage,
};

const SENDER: &str = "WhatsApp";
/// Leaves, and writes again.
const BEN: Person = Person { number: "15555550102", name: "Ben" };
/// Writes to the number that does not answer by itself.
const FINN: Person = Person { number: "15555550104", name: "Finn" };
/// The stand-in refuses to write to this number for good: 131047, outside the 24 h window.
const OUT_OF_REACH: Person = Person { number: "15555551047", name: "Cleo" };
/// The stand-in asks to slow down once: 131056.
const BUSY_PAIR: Person = Person { number: "15555551056", name: "Dora" };
/// The stand-in takes a message for this number and cuts the connection.
const CUT_OFF: Person = Person { number: "15555559999", name: "Emil" };

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let mut samples = read_and_answered(bench)?;
    samples.extend(stored_only(bench)?);
    samples.extend(leaving(bench)?);
    samples.extend(sent_badly(bench)?);
    samples.extend(bodies(bench)?);
    Ok(samples)
}

fn read_and_answered(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let question = || posted_text(bench, ACME, ADA, "question", "Hello! How much does the pro plan cost?");
    let key = message_key(ACME, "question");
    let button = json!({ "payload": "BOOK_DEMO", "text": "Can we schedule a demo?" });
    let choice = json!({
        "type": "list_reply",
        "list_reply": { "id": "plan_pro", "title": "I want to buy the pro plan", "description": "12 seats" }
    });
    let spanish = Person { number: "15555550103", name: "Inés" };
    let typed = |name: &'static str, message_type: &str, object| {
        let message = typed(ADA, name, bench.ago(1), message_type, object);
        posted(bench, name, &[messages(ACME, ADA, &[message])])
    };
    Ok(vec![
        Sample::new(SENDER, "a question, answered", question()?, answered(&key)),
        Sample::new(
            SENDER,
            // WhatsApp does so when it was answered late.
            "the same event again",
            question()?,
            vec![Expect::Duplicate { key, copy: 1 }],
        )
        .after(&["a question, answered"]),
        Sample::new(
            SENDER,
            "a tapped button",
            typed("button", "button", button)?,
            answered(&message_key(ACME, "button")),
        ),
        Sample::new(
            SENDER,
            "a choice from a list",
            typed("list", "interactive", choice)?,
            answered(&message_key(ACME, "list")),
        ),
        Sample::new(
            SENDER,
            "Spanish, with emoji",
            posted_text(bench, ACME, spanish, "spanish", "¡Hola! ¿Cuál es el precio para la empresa? 🚢🧭")?,
            answered(&message_key(ACME, "spanish")),
        ),
    ])
}

fn stored_only(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let image = json!({ "mime_type": "image/jpeg", "sha256": "3f1c", "id": "1037543291543636", "caption": "Our shop" });
    let image = typed(ADA, "image", bench.ago(3), "image", image);
    let odd = json!({ "code": 131_051, "title": "Message type unknown" });
    let mut unsupported = typed(ADA, "unsupported", bench.ago(3), "unsupported", odd.clone());
    unsupported["errors"] = json!([odd]);
    let quiet = posted_text(bench, QUIET, ADA, "quiet", "Can somebody help me, please?")?;
    let stored = |key| vec![done(&key), Expect::NoCommand(key)];
    Ok(vec![
        Sample::new(
            SENDER,
            "an image, stored",
            posted(bench, "image", &[messages(ACME, ADA, &[image])])?,
            stored(message_key(ACME, "image")),
        ),
        Sample::new(
            SENDER,
            "a type that nobody knows, stored",
            posted(bench, "unsupported", &[messages(ACME, ADA, &[unsupported])])?,
            stored(message_key(ACME, "unsupported")),
        ),
        Sample::new(SENDER, "automatic replies are off", quiet, stored(message_key(QUIET, "quiet"))),
    ])
}

fn leaving(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let (stop, more) = (message_key(ACME, "stop"), message_key(ACME, "after-stop"));
    let opted_out = Expect::Property {
        tenant: "acme",
        system: "whatsapp",
        id: BEN.number.to_owned(),
        name: OPTED_OUT,
        value: "true",
    };
    Ok(vec![
        Sample::new(
            SENDER,
            "STOP",
            posted_text(bench, ACME, BEN, "stop", "STOP")?,
            vec![done(&stop), Expect::NoCommand(stop), opted_out],
        ),
        Sample::new(
            SENDER,
            "a question after STOP: read, not answered",
            posted_text(bench, ACME, BEN, "after-stop", "What does shipping cost?")?,
            vec![done(&more), Expect::NoCommand(more)],
        )
        .after(&["STOP"]),
    ])
}

fn sent_badly(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let story = |name: &'static str, person: Person, id: &'static str, state: CommandState| {
        let key = message_key(ACME, id);
        let message = posted_text(bench, ACME, person, id, "What is the price for ten seats?")?;
        let expects = vec![done(&key), Expect::Command { key, state }];
        anyhow::Ok(Sample::new(SENDER, name, message, expects))
    };
    Ok(vec![
        story("a reply refused for good (131047)", OUT_OF_REACH, "refused-reply", CommandState::Refused)?,
        story("a reply told to slow down (131056)", BUSY_PAIR, "slow-reply", CommandState::Sent)?,
        story("a reply cut off: unknown, held", CUT_OFF, "cut-reply", CommandState::Unknown)?,
    ])
}

fn bodies(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    let first = text(ADA, "entry-1", bench.ago(5), "Thank you!");
    let second = text(FINN, "entry-2", bench.ago(4), "Hello there");
    let several = [messages(QUIET, ADA, &[first.clone(), first]), messages(QUIET, FINN, &[second])];
    let twice = message_key(QUIET, "entry-1");
    let update = json!({ "field": "account_update", "value": { "event": "VERIFIED_ACCOUNT" } });
    let old = text(ADA, "old", bench.ago(50 * 86_400), "Is the offer still good?");
    let old = sealed(bench, "old", &[messages(ACME, ADA, &[old])])?;
    let unknown = text(ADA, "nobody", bench.ago(2), "Hello?");
    let unknown = sealed(bench, "nobody", &[messages("106540352249999", ADA, &[unknown])])?;
    let broken = bench.vendor(&Draft {
        source: SOURCE,
        id: "broken-json",
        body: b"{\"object\":\"whatsapp_business_account\",\"entry\":[".to_vec(),
    })?;
    let too_old = item(&old, Reason::TooOld);
    let nobody = item(&unknown, Reason::TenantUnknown);
    Ok(vec![
        Sample::new(
            SENDER,
            "two entries, one id twice",
            posted(bench, "entries", &several)?,
            vec![
                done(&twice),
                Expect::Duplicate { key: twice.clone(), copy: 1 },
                done(&message_key(QUIET, "entry-2")),
            ],
        ),
        Sample::new(
            SENDER,
            "an account update: nothing for us",
            posted(bench, "account-update", &[update])?,
            vec![Expect::NoEvent],
        ),
        Sample::new(SENDER, "50 days old", old, vec![too_old]),
        Sample::new(SENDER, "a number of nobody's", unknown, vec![nobody]),
        Sample::new(
            SENDER,
            "a body that is cut off",
            broken.clone(),
            vec![rejected(&broken, Reason::PayloadMalformed)],
        ),
    ])
}

fn item(message: &SignedMessage, reason: Reason) -> Expect {
    item_rejected(message, 0, reason)
}
