//! A line for each thing that happens, while it happens.

use std::{
    collections::HashMap,
    io::{IsTerminal as _, Write as _, stdout},
    time::{Duration, Instant},
};

use crate::{
    cli::dev::{
        observed::subject,
        outside::{script::Service, world::Seen},
        samples::sample::{Expect, Sample},
    },
    config::environment_variable,
    domain::{ids::EventKey, outcome::Failure},
    worker::trail::{Happening, Subject},
};

/// A body with more events than this is told in one line for each kind of end.
const MANY: usize = 10;
/// Columns of what a line is about.
const ABOUT: usize = 48;
/// Columns of a detail.
const DETAIL: usize = 76;

/// How something went, and so its colour.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Waiting,
    Quiet,
    Plain,
}

/// Where lines go; nowhere when only JSON is wanted.
pub(crate) struct Lines {
    begun: Instant,
    colour: bool,
    is_on: bool,
    names: HashMap<EventKey, &'static str>,
    letters: HashMap<String, &'static str>,
    /// Events of large bodies, by name: how many, and how many of them were told of by verb.
    large: HashMap<&'static str, usize>,
    told: HashMap<(&'static str, &'static str), usize>,
}

/// One line.
struct Line<'a> {
    symbol: &'a str,
    verb: &'static str,
    source: &'a str,
    kind: &'a str,
    about: &'a str,
    detail: String,
    tone: Tone,
}

impl Lines {
    /// Lines with the time since `begun`.
    pub(crate) fn new(begun: Instant, is_on: bool) -> Self {
        let wanted = environment_variable("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            begun,
            colour: wanted && stdout().is_terminal(),
            is_on,
            names: HashMap::new(),
            letters: HashMap::new(),
            large: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// From now on events are told by the names of their samples.
    pub(crate) fn name(&mut self, samples: &[&Sample]) {
        for sample in samples {
            for expect in &sample.expects {
                match expect {
                    Expect::Event { key, .. } => drop(self.names.insert(key.clone(), sample.name)),
                    Expect::Rejected { id, .. } => drop(self.letters.insert(id.clone(), sample.name)),
                    _ => {}
                }
            }
            let events = sample.keys().count();
            if events > MANY {
                self.large.insert(sample.name, events);
            }
        }
    }

    /// Free text.
    pub(crate) fn say(&self, text: &str) {
        if self.is_on {
            put(text);
        }
    }

    /// A heading.
    pub(crate) fn heading(&self, text: &str) {
        self.say(&format!("\n{}", self.paint(text, "1")));
    }

    /// Text in the colour of its tone.
    pub(crate) fn toned(&self, text: &str, tone: Tone) -> String {
        match tone {
            Tone::Good => self.paint(text, "32"),
            Tone::Bad => self.paint(text, "31"),
            Tone::Waiting => self.paint(text, "33"),
            Tone::Quiet => self.paint(text, "2"),
            Tone::Plain => text.to_owned(),
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Messages were put on the queue, requests posted to the edge.
    pub(crate) fn sent(&self, samples: usize, messages: usize, requests: usize) {
        let about = format!("{samples} samples: {messages} messages, {requests} requests");
        self.line(&Line {
            symbol: "»",
            verb: "sent",
            source: "dev",
            kind: "",
            about: &about,
            detail: String::new(),
            tone: Tone::Plain,
        });
    }

    /// Something happened.
    pub(crate) fn happening(&mut self, happening: &Happening) {
        if let Some(subject) = subject(happening) {
            return self.event(happening, subject);
        }
        match happening {
            Happening::Rejected { id, source, reason, detail } => {
                let about = self.letters.get(id).copied().unwrap_or(id);
                let source = source.as_deref().unwrap_or("-");
                self.plain(("✗", "rejected", Tone::Bad), source, reason.code(), about, detail);
            }
            Happening::PutBack { reason, detail } => {
                self.plain(("~", "put back", Tone::Waiting), "-", reason.code(), "", detail);
            }
            Happening::Woken(key) => {
                let about = self.about(key).to_owned();
                self.plain(("▸", "woken", Tone::Plain), "-", "", &about, "its wake is on the queue");
            }
            Happening::Command { id, kind: "message", end, detail } => {
                let (symbol, tone) = match *end {
                    "sent" => ("→", Tone::Good),
                    "again" => ("↻", Tone::Waiting),
                    "unknown" => ("?", Tone::Bad),
                    _ => ("✗", Tone::Bad),
                };
                let key = id.as_str().rsplit_once('@').map_or(id.as_str(), |(key, _)| key);
                let about = self.about(&EventKey::from(key)).to_owned();
                self.plain((symbol, end, tone), "whatsapp", "reply", &about, detail);
            }
            _ => {}
        }
    }

    fn plain(
        &self,
        (symbol, verb, tone): (&str, &'static str, Tone),
        source: &str,
        kind: &str,
        about: &str,
        detail: &str,
    ) {
        self.line(&Line { symbol, verb, source, kind, about, detail: detail.to_owned(), tone });
    }

    fn about<'a>(&'a self, key: &'a EventKey) -> &'a str {
        self.names.get(key).copied().unwrap_or(key.as_str())
    }

    fn event(&mut self, happening: &Happening, subject: &Subject) {
        let Some((symbol, verb, tone, detail)) = words(happening) else { return };
        let mut detail = detail;
        if let Some(name) = self.names.get(&subject.key)
            && let Some(events) = self.large.get(name).copied()
        {
            let told = self.told.entry((name, verb)).or_default();
            *told += 1;
            if matches!(verb, "arrived" | "done" | "duplicate") {
                if !told.is_multiple_of(events) {
                    return;
                }
                detail = format!("all {events} events of one body");
            }
        }
        let about = self.about(&subject.key).to_owned();
        self.plain((symbol, verb, tone), &subject.source, subject.kind, &about, &detail);
    }

    /// What the outside got: the text, and to whom, as far as that may be shown.
    pub(crate) fn outside(&self, seen: &Seen) {
        if seen.service != Service::Whatsapp {
            return;
        }
        let words = seen.body["text"]["body"].as_str().unwrap_or_default();
        let to = masked(seen.body["to"].as_str().unwrap_or_default());
        let answer = seen.status.map_or_else(|| "cut off".to_owned(), |status| format!("HTTP {status}"));
        let about = format!("got a message to {to}, answers {answer}");
        self.plain(("☏", "outside", Tone::Plain), "whatsapp", "message", &about, &format!("“{words}”"));
    }

    fn line(&self, line: &Line<'_>) {
        if !self.is_on {
            return;
        }
        let time = format!("{:>7.2}s", self.begun.elapsed().as_secs_f64());
        let verb = format!("{} {:<10}", line.symbol, line.verb);
        let text = format!(
            "{} {} {:<9} {:<18} {:<ABOUT$}  {}",
            self.toned(&time, Tone::Quiet),
            self.toned(&verb, line.tone),
            line.source,
            line.kind,
            cut(line.about, ABOUT),
            self.toned(&cut(&line.detail, DETAIL), Tone::Quiet),
        );
        put(text.trim_end());
    }
}

fn words(happening: &Happening) -> Option<(&'static str, &'static str, Tone, String)> {
    let again =
        |failure: &Failure, wait: &Duration| format!("{failure}; again in {:.1} s", wait.as_secs_f64());
    Some(match happening {
        Happening::Arrived(_) => ("·", "arrived", Tone::Quiet, String::new()),
        Happening::Duplicate(_, state) => {
            let state = match *state {
                "same_body" => "twice in one body",
                "busy" => "busy: looks again when the other should be done",
                "retry_at" => "waits for its next attempt",
                "parked" => "known: parked",
                "buried" => "known: a dead letter already",
                _ => "known: done already",
            };
            ("=", "duplicate", Tone::Quiet, state.to_owned())
        }
        Happening::Done(_, took) => ("✓", "done", Tone::Good, format!("{:.0} ms", took.as_secs_f64() * 1e3)),
        Happening::Retried(_, failure, wait) => ("↻", "retried", Tone::Waiting, again(failure, wait)),
        Happening::Deferred(_, failure, wait) => ("~", "deferred", Tone::Waiting, again(failure, wait)),
        Happening::Parked(_, failure, wait) => ("‖", "parked", Tone::Waiting, again(failure, wait)),
        Happening::Buried(_, failure) => ("✗", "buried", Tone::Bad, failure.to_string()),
        Happening::HandedBack(_) => ("~", "handed back", Tone::Waiting, String::new()),
        Happening::Lost(_) => ("?", "lost", Tone::Bad, "somebody else has its claim".to_owned()),
        _ => return None,
    })
}

/// The last four digits are enough to know one's own number again.
pub(crate) fn masked(number: &str) -> String {
    let length = number.chars().count();
    number.chars().enumerate().map(|(at, c)| if at + 4 < length { '•' } else { c }).collect()
}

/// At most so many characters, without control characters.
fn cut(text: &str, longest: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '·' } else { c }).collect();
    if plain.chars().count() <= longest {
        return plain;
    }
    plain.chars().take(longest - 1).chain(['…']).collect()
}

/// A closed pipe is nobody's fault.
fn put(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::{cut, masked};

    #[test]
    fn numbers_are_masked_and_texts_cut() {
        assert_eq!(masked("15555550101"), "•••••••0101");
        assert_eq!(masked("101"), "101");
        assert_eq!(cut("a\nb\u{1b}[1m", 20), "a·b·[1m");
        assert_eq!(cut("abcdef", 4), "abc…");
    }
}
