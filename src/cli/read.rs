//! `longshore read`: what a vendor's body says, without a queue, a database or a signature.

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{
        context::Context,
        output::{say, say_aside, say_json, say_table},
        signing::read,
    },
    clock::{Clock as _, SystemClock},
    config::SourceSettings,
    domain::{
        envelope::HttpRequest,
        ids::{EventKey, SourceName},
    },
    lifecycle::{ExitCode, Stop},
    sources::{
        self,
        contract::Vendor,
        inspect::{Seen, take_apart},
        rejection::ItemRejection,
        vendors::VENDORS,
    },
};

/// Read a vendor's body as the worker would, and print its events.
///
/// Nothing is verified, stored or sent. Items that cannot be read are named on standard error; the others are
/// printed all the same.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore read --source hubspot batch.json --json\n  longshore read --source clerk --headers headers.txt user.json\n\nExit code 65 when an item cannot be read."
)]
pub(super) struct ReadCommand {
    /// A vendor, or a configured source: then its settings count.
    #[arg(long, value_name = "VENDOR")]
    source: String,
    /// The request's headers: a JSON object, a JSON list of [name, value], or lines of `name: value`.
    #[arg(long, value_name = "FILE")]
    headers: Option<String>,
    /// The body as it was sent, or - for standard input.
    file: String,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One event of the body.
#[derive(Serialize)]
struct Line {
    source: &'static str,
    kind: String,
    dedupe_key: EventKey,
    account: String,
    occurred_at_ms: Option<i64>,
}

impl ReadCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (vendor, settings) = sender(context, &self.source)?;
        let request = self.request()?;
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        for item in take_apart(vendor, &settings, &request, SystemClock.now()) {
            match item {
                Ok(seen) => lines.push(line(vendor, seen)),
                Err(rejection) => refused.push(rejection),
            }
        }
        self.show(&lines, &refused)?;
        Ok(if refused.is_empty() { ExitCode::Ok } else { ExitCode::BadInput })
    }

    fn request(&self) -> anyhow::Result<HttpRequest> {
        let given = self.headers.as_deref().map(read).transpose()?.unwrap_or_default();
        let headers = headers(&given).map_err(|what| {
            let file = self.headers.as_deref().unwrap_or_default();
            Stop::new(ExitCode::BadInput, format!("{file}: {what}"))
        })?;
        let url = format!("https://localhost/webhooks/{}", self.source);
        Ok(HttpRequest { method: "POST".to_owned(), url, headers, body: read(&self.file)? })
    }

    fn show(&self, lines: &[Line], refused: &[ItemRejection]) -> anyhow::Result<()> {
        if self.json {
            say_json(&lines)?;
        } else {
            let row = |line: &Line| {
                let at = line.occurred_at_ms.map(|at| at.to_string()).unwrap_or_default();
                vec![line.kind.clone(), line.account.clone(), line.dedupe_key.to_string(), at]
            };
            let rows: Vec<_> = lines.iter().map(row).collect();
            say_table(&["kind", "account", "dedupe_key", "occurred_at_ms"], &rows);
            say(&format!("{} read, {} not", lines.len(), refused.len()));
        }
        for ItemRejection { index, reason, detail, .. } in refused {
            let which = index.map_or_else(|| "body".to_owned(), |index| format!("item {index}"));
            say_aside(&format!("{which}: {reason}: {detail}"));
        }
        Ok(())
    }
}

/// A configured source of this name; else the vendor of this name, as it is without settings: a missing or broken
/// configuration is then nobody's business.
fn sender(context: &Context, name: &str) -> anyhow::Result<(&'static Vendor, SourceSettings)> {
    let settings = context.settings();
    let configured = settings.as_ref().ok().and_then(|settings| settings.sources.get(name));
    let vendor = configured.map_or(name, |source| &source.vendor);
    match (sources::vendor(vendor), configured) {
        (Some(vendor), Some(source)) => Ok((vendor, source.clone())),
        (Some(vendor), None) => {
            let usual = SourceSettings::of_vendor(name).context("settings of a source")?;
            Ok((vendor, usual))
        }
        (None, _) => {
            settings?;
            let stop = Stop::new(ExitCode::Usage, format!("no vendor and no configured source `{name}`"));
            let known: Vec<_> = VENDORS.iter().map(|row| row.name).collect();
            Err(stop.hint(format!("vendors are {}", known.join(", "))).into())
        }
    }
}

/// The key is made as the worker makes it, for a source with the vendor's name.
fn line(vendor: &Vendor, seen: Seen) -> Line {
    Line {
        source: vendor.name,
        kind: seen.vendor_type,
        dedupe_key: EventKey::new(&SourceName::from(vendor.name), &seen.account, &seen.id),
        account: seen.account,
        occurred_at_ms: seen.occurred_at.map(|at| at.millis()),
    }
}

/// Headers as tools write them down. On failure: what is wrong, without a value.
fn headers(given: &[u8]) -> Result<Vec<(String, String)>, String> {
    let text = std::str::from_utf8(given).map_err(|_| "not UTF-8".to_owned())?;
    let found = if text.trim_start().starts_with(['{', '[']) {
        let json: Value = serde_json::from_str(text).map_err(|_| "not valid JSON".to_owned())?;
        headers_of_json(&json).ok_or_else(|| "not names with text values".to_owned())?
    } else {
        headers_of_lines(text)?
    };
    Ok(found.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}

fn headers_of_json(json: &Value) -> Option<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match json {
        Value::Object(members) => {
            members.iter().map(|(name, value)| Some((name.clone(), text(value)?))).collect()
        }
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array()?.as_slice() {
                [name, value] => Some((text(name)?, text(value)?)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

fn headers_of_lines(text: &str) -> Result<Vec<(String, String)>, String> {
    let request_line = |(number, line): &(usize, &str)| *number == 0 && line.contains(" HTTP/");
    let pair = |(number, line): (usize, &str)| {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("line {}: no colon", number + 1))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.filter(|line| !request_line(line)).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_as_json_or_as_lines() {
        let expected =
            vec![("svix-id".to_owned(), "msg_1".to_owned()), ("x-a".to_owned(), "b: c".to_owned())];
        for text in [
            r#"{"Svix-Id": "msg_1", "X-A": "b: c"}"#,
            r#" [["Svix-Id", "msg_1"], ["x-a", "b: c"]]"#,
            "POST /hooks HTTP/1.1\r\nSvix-Id: msg_1\r\nX-A:b: c\r\n\r\n",
        ] {
            assert_eq!(headers(text.as_bytes()).unwrap(), expected, "{text}");
        }
        assert_eq!(headers(b"").unwrap(), []);
        for text in ["{", r#"{"a": 1}"#, r#"[["a"]]"#, "[1]", "no colon"] {
            assert!(headers(text.as_bytes()).is_err(), "{text}");
        }
        assert!(headers(b"\xff").is_err());
    }
}
