//! A model that goes wrong in every way: behind the loopback stand-in, which obeys tags in a message.

use crate::{
    cli::dev::samples::{
        sample::{
            End, Expect, Sample,
            Step::{self, Deferred, Retried},
        },
        whatsapp_wire::{Person, STANDIN, message_key, posted_text},
        workbench::Workbench,
    },
    domain::{command::CommandState, reason::Reason},
};

const SENDER: &str = "Models";

/// How a model goes wrong, and what comes of it.
struct Story {
    name: &'static str,
    id: &'static str,
    /// Digits of the person's number: one each, because a conversation is worked in order.
    number: &'static str,
    words: &'static str,
    end: End,
    through: Vec<Step>,
    calls: &'static [&'static str],
}

pub(super) fn samples(bench: &Workbench<'_>) -> anyhow::Result<Vec<Sample>> {
    stories().into_iter().map(|story| sample(bench, story)).collect()
}

fn stories() -> Vec<Story> {
    let failed = Retried(Reason::LlmUnavailable);
    let late = Retried(Reason::HandlerTimeout);
    let wait = Deferred(Reason::RateLimited);
    vec![
        story("model-slow", "slow: its late answer is used, not bought twice", "15555550201")
            .says("Which plan fits a team of five? #slow")
            .done(&[late], &["answered"]),
        story("model-good", "answers well", "15555550202")
            .says("How much is the pro plan for a year?")
            .done(&[], &["answered"]),
        story("model-fails", "fails twice, then answers", "15555550203")
            .says("What does the starter plan cost? #fail-twice")
            .done(&[failed, failed], &["failed", "failed", "answered"]),
        story("model-limit", "asks to wait a second", "15555550204")
            .says("Can I get a quote? #rate-limit")
            .done(&[wait], &["failed", "answered"]),
        story("model-drop", "cut off after answering: charged, asked again", "15555550205")
            .says("Is there a discount? #drop")
            .done(&[failed], &["ambiguous", "answered"]),
        story("model-bad-once", "breaks the schema, repairs it", "15555550206")
            .says("Could you send me the price list? #bad-once")
            .done(&[], &["answered", "answered"]),
        story("model-bad", "breaks the schema twice", "15555550207")
            .says("Send me an offer #bad-json")
            .buried(Reason::InvalidOutput, &["answered", "answered"]),
        story("model-refuses", "declines", "15555550208")
            .says("Write something awful #refuse")
            .buried(Reason::LlmRefused, &["failed"]),
        story("model-filter", "is stopped by a filter", "15555550209")
            .says("Something else awful #filter")
            .buried(Reason::LlmRefused, &["failed"]),
    ]
}

fn story(id: &'static str, name: &'static str, number: &'static str) -> Story {
    Story { name, id, number, words: "", end: End::Done, through: Vec::new(), calls: &[] }
}

impl Story {
    /// The person's words, with the tag that the stand-in obeys.
    fn says(self, words: &'static str) -> Self {
        Self { words, ..self }
    }

    fn done(self, through: &[Step], calls: &'static [&'static str]) -> Self {
        Self { through: through.to_vec(), calls, ..self }
    }

    fn buried(self, reason: Reason, calls: &'static [&'static str]) -> Self {
        Self { end: End::Buried(reason), calls, ..self }
    }
}

fn sample(bench: &Workbench<'_>, story: Story) -> anyhow::Result<Sample> {
    let Story { name, id, number, words, end, through, calls } = story;
    let key = message_key(STANDIN, id);
    let message = posted_text(bench, STANDIN, Person { number, name: "Robin" }, id, words)?;
    let mut expects = vec![
        Expect::Event { key: key.clone(), end, through },
        Expect::Calls { key: key.clone(), states: calls },
    ];
    expects.push(match end {
        End::Done => Expect::Command { key, state: CommandState::Sent },
        End::Buried(_) => Expect::NoCommand(key),
    });
    Ok(Sample::new(SENDER, name, message, expects))
}
