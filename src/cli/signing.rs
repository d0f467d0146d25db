//! What `enqueue` and `sign` have in common: input, keys, sending.

use std::{io::Read as _, time::Duration};

use serde::Serialize;

use crate::{
    cli::output::{say, say_json, say_table},
    config::{KeySettings, Settings, SourceSettings},
    domain::{delivery::Attribute, timestamp::Timestamp},
    lifecycle::{ExitCode, Stop},
    queue::contract::{BATCH, EntryResult, LARGEST_MESSAGE, OutgoingMessage, Queue},
    sources::sign::SignedMessage,
};

/// The whole of a file, or of standard input for `-`.
pub(super) fn read(file: &str) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = if file == "-" {
        std::io::stdin().read_to_end(&mut content).map(drop)
    } else {
        std::fs::read(file).map(|read| content = read)
    };
    read.map_err(|error| Stop::new(ExitCode::BadInput, format!("{file}: {error}")))?;
    Ok(content)
}

/// The source of this name; without a name the only one of this vendor.
pub(super) fn source<'a>(
    settings: &'a Settings,
    name: Option<&str>,
    vendor: &str,
) -> Result<(&'a str, &'a SourceSettings), Stop> {
    let mut fitting =
        settings.sources.iter().filter(|(n, s)| name.map_or(s.vendor == vendor, |name| *n == name));
    match (fitting.next(), fitting.next()) {
        (Some((name, source)), None) => Ok((name, source)),
        (None, _) => {
            let wanted = name.map_or_else(|| format!("of vendor `{vendor}`"), |name| format!("`{name}`"));
            let stop = Stop::new(ExitCode::Config, format!("no source {wanted} is configured"));
            Err(stop.hint("`longshore config print` shows the sources"))
        }
        (Some(_), Some(_)) => {
            let stop = Stop::new(ExitCode::Usage, format!("several sources of vendor `{vendor}`"));
            Err(stop.hint("name one with --source"))
        }
    }
}

/// The key of this id; without an id the first one that is good at this time.
pub(super) fn key<'a>(
    keys: impl IntoIterator<Item = &'a KeySettings>,
    id: Option<&str>,
    now: Timestamp,
) -> Result<&'a KeySettings, Stop> {
    let mut keys = keys.into_iter();
    let found = keys.find(|key| id.map_or_else(|| key.is_good(now), |id| key.id == id));
    found.ok_or_else(|| {
        let wanted = id.map_or_else(|| "no key is good now".to_owned(), |id| format!("no key `{id}`"));
        Stop::new(ExitCode::Config, wanted).hint("`longshore config print` shows keys, states and dates")
    })
}

/// The key that seals for this source: `seal.sign_with`, else the first good one that may.
pub(super) fn seal_key<'a>(
    settings: &'a Settings,
    source: &str,
    now: Timestamp,
) -> Result<&'a KeySettings, Stop> {
    settings.seal.key_for(source, now).ok_or_else(|| {
        let stop = Stop::new(ExitCode::Config, format!("no seal key may seal for `{source}` now"));
        stop.hint("add one under [[seal.keys]]")
    })
}

/// What became of one message.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    sent: bool,
    detail: Option<String>,
}

/// Sends the messages in batches and says what became of each. Not all sent: exit code 69.
pub(super) async fn send(
    queue: &dyn Queue,
    messages: Vec<(String, SignedMessage)>,
    delay: Option<Duration>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut lines = Vec::new();
    for batch in batches(messages) {
        let outgoing: Vec<_> = batch.iter().map(|(_, message)| outgoing(message, delay)).collect();
        for ((id, _), end) in batch.iter().zip(queue.send(&outgoing).await?) {
            let detail = match end {
                EntryResult::Done => None,
                EntryResult::Gone(why) | EntryResult::Again(why) => Some(why),
            };
            lines.push(Line { id: id.clone(), sent: detail.is_none(), detail });
        }
    }
    let failed = lines.iter().filter(|line| !line.sent).count();
    if json {
        say_json(&lines)?;
    } else {
        let row = |line: &Line| {
            let end = line.detail.clone().unwrap_or_else(|| "sent".to_owned());
            vec![line.id.clone(), end]
        };
        say_table(&["message", "end"], &lines.iter().map(row).collect::<Vec<_>>());
        say(&format!("{} sent, {failed} failed", lines.len() - failed));
    }
    Ok(if failed == 0 { ExitCode::Ok } else { ExitCode::Unavailable })
}

fn outgoing(message: &SignedMessage, delay: Option<Duration>) -> OutgoingMessage {
    let attributes =
        message.attributes.iter().map(|(name, value)| (name.clone(), Attribute::Text(value.clone())));
    OutgoingMessage {
        body: message.body.clone(),
        attributes: attributes.collect(),
        delay,
        ..OutgoingMessage::default()
    }
}

fn size(message: &SignedMessage) -> usize {
    let attribute = |(name, value): (&String, &String)| name.len() + "String".len() + value.len();
    message.body.len() + message.attributes.iter().map(attribute).sum::<usize>()
}

/// At most ten messages, and no more bytes together than one message may have.
fn batches(messages: Vec<(String, SignedMessage)>) -> Vec<Vec<(String, SignedMessage)>> {
    let mut batches: Vec<Vec<(String, SignedMessage)>> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let more = size(&message.1);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && bytes + more <= LARGEST_MESSAGE => {
                bytes += more;
                batch.push(message);
            }
            _ => {
                bytes = more;
                batches.push(vec![message]);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> (String, SignedMessage) {
        ("id".to_owned(), SignedMessage { body: "x".repeat(size), attributes: Default::default() })
    }

    #[test]
    fn batches_hold_ten_messages_and_one_message_s_bytes() {
        let sizes = |messages: Vec<_>| batches(messages).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes((0..23).map(|_| message(10)).collect()), [10, 10, 3]);
        assert_eq!(sizes(vec![message(600_000), message(600_000), message(400_000)]), [1, 2]);
        assert_eq!(sizes(Vec::new()), Vec::<usize>::new());
    }

    #[test]
    fn the_first_good_key_signs() {
        let file = r#"
            [sources.j]
            vendor = "jobs"
            keys = [
                { id = "revoked", secret = "env:A", state = "revoked" },
                { id = "later", secret = "env:A", not_before = "2100-01-01T00:00:00Z" },
                { id = "good", secret = "env:A" },
            ]
        "#;
        let settings = crate::config::from_toml(file, &[]).unwrap().settings;
        let (name, jobs) = source(&settings, None, "jobs").unwrap();
        let now = Timestamp::parse_rfc3339("2026-11-21T10:00:00Z").unwrap();
        assert_eq!((name, key(&jobs.keys, None, now).unwrap().id.as_str()), ("j", "good"));
        assert_eq!(key(&jobs.keys, Some("later"), now).unwrap().id, "later");
        assert_eq!(key(&jobs.keys, Some("none"), now).unwrap_err().code, ExitCode::Config);
        assert_eq!(source(&settings, Some("x"), "jobs").unwrap_err().code, ExitCode::Config);
    }
}
