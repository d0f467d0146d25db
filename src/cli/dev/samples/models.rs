//! A model that goes wrong in every way: behind the loopback stand-in, which obeys tags in a message.

use crate::{
    cli::dev::samples::{
        sample::{
            End, Expect, Sample,
            Step::{self, Deferred, Retried},
        },
        whatsapp_wire::{ADA, STANDIN, message_key, sealed_text},
        workbench::Workbench,
    },
    domain::{command::CommandState, reason::Reason},
};

const SENDER: &str = "Models";

/// How a model goes wrong, and what comes of it.
struct Story {
    name: &'static str,
    id: &'static str,
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
    let done = |name, id, words, through, calls| Story { name, id, words, end: End::Done, through, calls };
    let buried = |name, id, words, reason, calls| Story {
        name,
        id,
        words,
        end: End::Buried(reason),
        through: Vec::new(),
        calls,
    };
    let slow = vec![Retried(Reason::HandlerTimeout)];
    vec![
        done(
            "a slow model: its late answer is used, not bought twice",
            "model-slow",
            "Which plan fits a team of five? #slow",
            slow,
            &["answered"],
        ),
        done("answers well", "model-good", "How much is the pro plan for a year?", vec![], &["answered"]),
        done(
            "fails twice, then answers",
            "model-fails",
            "What does the starter plan cost? #fail-twice",
            vec![failed, failed],
            &["failed", "failed", "answered"],
        ),
        done(
            "asks to wait a second",
            "model-limit",
            "Can I get a quote? #rate-limit",
            vec![Deferred(Reason::RateLimited)],
            &["failed", "answered"],
        ),
        done(
            "cuts the connection after it answered: charged, asked again",
            "model-drop",
            "Is there a discount? #drop",
            vec![failed],
            &["ambiguous", "answered"],
        ),
        done(
            "breaks the schema, repairs it",
            "model-bad-once",
            "Could you send me the price list? #bad-once",
            vec![],
            &["answered", "answered"],
        ),
        buried(
            "breaks the schema twice",
            "model-bad",
            "Send me an offer #bad-json",
            Reason::InvalidOutput,
            &["answered", "answered"],
        ),
        buried("declines", "model-refuses", "Write something awful #refuse", Reason::LlmRefused, &["failed"]),
        buried(
            "is stopped by a filter",
            "model-filter",
            "Something else awful #filter",
            Reason::LlmRefused,
            &["failed"],
        ),
    ]
}

fn sample(bench: &Workbench<'_>, story: Story) -> anyhow::Result<Sample> {
    let Story { name, id, words, end, through, calls } = story;
    let key = message_key(STANDIN, id);
    let message = sealed_text(bench, STANDIN, ADA, id, words)?;
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
