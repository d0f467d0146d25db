//! `longshore verify --request`: one captured request, explained.

use crate::{
    cli::{
        context::Context,
        output::{printable, say, say_json, say_table},
        signing::read,
        verify::{
            captured::parse,
            diagnosis::Case,
            explain::{Explanation, explain},
        },
    },
    clock::{Clock as _, SystemClock},
    config::Settings,
    lifecycle::{ExitCode, Stop},
    sources::{self, schemes::SCHEMES, senders::Senders},
};

/// Explains the request in this file as one of this source. Exit code 0 only if it is valid.
pub(super) fn run(context: &Context, source: &str, file: &str, json: bool) -> anyhow::Result<ExitCode> {
    let settings = context.settings()?;
    let senders = sources::senders(&settings).map_err(|e| Stop::new(ExitCode::Config, e.to_string()))?;
    let sender = senders.get(source).ok_or_else(|| {
        Stop::new(ExitCode::Config, format!("no source `{source}` is configured"))
            .hint("`longshore config print` shows the sources")
    })?;
    let captured = parse(&read(file)?, sender.settings.public_url.as_deref())
        .map_err(|why| Stop::new(ExitCode::BadInput, format!("{file}: {why}")))?;
    let case = Case {
        scheme: sender.scheme,
        settings: sender.settings.clone(),
        request: captured.request,
        now: captured.received_at.unwrap_or_else(|| SystemClock.now()),
    };
    let mut explanation = explain(source, &case, &others(&settings, &senders, source, &case));
    if captured.received_at.is_none() && explanation.reason == Some("sig_expired") {
        let why = "the file does not say when it was received (received_at_ms): the time is judged by this machine's clock";
        explanation.diagnosis.push(why.to_owned());
    }
    if json {
        say_json(&explanation)?;
    } else {
        tell(&explanation);
    }
    Ok(if explanation.valid { ExitCode::Ok } else { ExitCode::No })
}

/// The same request under every other scheme, and as one of every other source.
fn others(settings: &Settings, senders: &Senders, source: &str, case: &Case) -> Vec<(String, Case)> {
    let schemes = SCHEMES
        .iter()
        .filter(|scheme| scheme.name != case.scheme.name)
        .map(|scheme| (format!("with scheme = \"{}\"", scheme.name), Case { scheme, ..case.clone() }));
    let names = settings.sources.keys().filter(|name| *name != source);
    let sources =
        names.filter_map(|name| senders.get(name).map(|sender| (name, sender))).map(|(name, sender)| {
            let (scheme, settings) = (sender.scheme, sender.settings.clone());
            (format!("as a request of source `{name}`"), Case { scheme, settings, ..case.clone() })
        });
    schemes.chain(sources).collect()
}

fn tell(explanation: &Explanation) {
    let row = |step: &crate::cli::verify::explain::Step| {
        vec![step.step.to_owned(), step.end.to_owned(), step.found.clone()]
    };
    say_table(&["step", "end", "found"], &explanation.steps.iter().map(row).collect::<Vec<_>>());
    let (Some(reason), Some(detail)) = (explanation.reason, &explanation.detail) else {
        return say("valid");
    };
    say(&format!("\n{reason}: {}", printable(detail)));
    if explanation.diagnosis.is_empty() {
        say(
            "No change that was tried makes it match (line ends, JSON layout, URL, keys, other schemes and sources).",
        );
    }
    explanation.diagnosis.iter().for_each(|line| say(&format!("=> {}", printable(line))));
    say("Usual causes:");
    explanation.usual_causes.iter().for_each(|line| say(&format!("  - {line}")));
}
