//! `longshore event`: what happened to my message?

use clap::{Args, Subcommand};

use crate::{
    cli::{
        context::Context,
        output::{printable, say, say_json, say_table},
    },
    domain::ids::EventKey,
    lifecycle::{ExitCode, Stop},
    store::report::EventHistory,
};

/// One event's past.
#[derive(Debug, Args)]
pub(super) struct EventCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every attempt, call, cost and effect of one event.
    #[command(after_help = "Example:\n  longshore event show 'whatsapp-main:106540352242922:wamid.HBgL'")]
    Show {
        /// Its key (source:account:id), as logs and `dlq list` show it.
        key: String,
        /// JSON instead of tables; times in microseconds since 1970.
        #[arg(long)]
        json: bool,
    },
}

impl EventCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Verb::Show { key, json } = self.verb;
        let store = context.store().await?;
        let history = store.event_history(&EventKey(key.clone())).await?;
        store.close().await;
        let Some(history) = history else {
            let stop = Stop::new(ExitCode::BadInput, format!("no event `{key}`"));
            return Err(stop
                .hint("a message that never became an event stands in `longshore dlq list`")
                .into());
        };
        if json {
            say_json(&history)?
        } else {
            tables(&history)
        }
        Ok(ExitCode::Ok)
    }
}

fn tables(history: &EventHistory) {
    let text = |value: &dyn ToString| value.to_string();
    let facts = [
        ("key", history.key.clone()),
        ("state", history.state.clone()),
        ("reason", history.reason.clone().unwrap_or_else(|| "-".to_owned())),
        ("source", history.source.clone()),
        ("kind", history.kind.clone()),
        ("tenant", history.tenant.clone()),
        ("revision", text(&history.revision)),
        ("claims", text(&history.ticket)),
        ("failures", text(&history.failures)),
        ("deferrals", text(&history.deferrals)),
        ("first seen", text(&history.first_at)),
        ("last change", text(&history.updated_at)),
    ];
    say_table(&["event", ""], &facts.map(|(name, value)| vec![name.to_owned(), value]));
    say("\nwhat happened");
    let audit = history
        .audit
        .iter()
        .map(|row| vec![text(&row.at), row.actor.clone(), row.action.clone(), row.detail.clone()]);
    say_table(&["at", "actor", "action", "detail"], &audit.collect::<Vec<_>>());
    say("\nLLM calls");
    let calls = history.calls.iter().map(|call| {
        let cost = call.cost.map_or_else(|| "-".to_owned(), |cost| format!("{cost} USD"));
        let attempt = format!("{}.{}", call.revision, call.attempt);
        let tokens = format!("{} / {}", call.input, call.output);
        let model = format!("{} {}", call.provider, call.model);
        vec![call.step.clone(), attempt, call.state.clone(), model, tokens, cost, text(&call.latency_ms)]
    });
    say_table(&["step", "attempt", "state", "model", "in / out", "cost", "ms"], &calls.collect::<Vec<_>>());
    say("\neffects");
    let commands = history.commands.iter().map(|command| {
        let detail = command.detail.clone().unwrap_or_default();
        vec![command.id.clone(), command.kind.clone(), command.state.clone(), text(&command.tries), detail]
    });
    say_table(&["command", "kind", "state", "tries", "detail"], &commands.collect::<Vec<_>>());
    history.results.iter().for_each(|result| say(&format!("\nresult: {}", printable(&result.to_string()))));
}
