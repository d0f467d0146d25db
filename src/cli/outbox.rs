//! `longshore outbox`: what is sent to the outside.

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::{
        context::{Context, actor},
        output::{say, say_json, say_table},
    },
    domain::{command::CommandState, ids::CommandId},
    lifecycle::{ExitCode, Stop},
    store::{contract::Resolution, report::CommandRow},
};

/// Commands to the outside: list them, decide about those whose outcome is unknown.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore outbox list --state unknown\n  longshore outbox resolve 'KEY@0#0' sent"
)]
pub(super) struct OutboxCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List commands, newest first.
    List {
        /// Only this state: planned, sending, sent, refused, unknown, dropped.
        #[arg(long, value_parser = state)]
        state: Option<CommandState>,
        /// At most so many.
        #[arg(long, default_value = "100", value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Decide about a command of unknown outcome, after a look at the vendor's own records.
    Resolve {
        /// Its id, as `outbox list` shows it.
        id: String,
        /// What is true, and what shall be done.
        decision: Decision,
        /// Who decides, for the audit log; $USER when absent.
        #[arg(long)]
        actor: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Decision {
    /// It did arrive.
    Sent,
    /// It did not arrive: send it again.
    SendAgain,
    /// It did not arrive, and shall not be sent.
    Drop,
}

impl From<Decision> for Resolution {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Sent => Self::Sent,
            Decision::SendAgain => Self::SendAgain,
            Decision::Drop => Self::Drop,
        }
    }
}

fn state(name: &str) -> Result<CommandState, String> {
    let known = || CommandState::ALL.iter().map(|state| state.name()).collect::<Vec<_>>().join(", ");
    CommandState::from_name(name).ok_or_else(|| format!("known are {}", known()))
}

impl OutboxCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let store = context.store().await?;
        let answer = match self.verb {
            Verb::List { state, limit, json } => {
                let rows = store.outbox_list(state, limit).await?;
                if json {
                    say_json(&rows)?
                } else {
                    table(&rows)
                }
                Ok(ExitCode::Ok)
            }
            Verb::Resolve { id, decision, actor: who } => {
                let resolved =
                    store.outbox_resolve(&CommandId(id.clone()), decision.into(), &actor(who)).await?;
                if resolved {
                    say(&format!("{id}: resolved"));
                    Ok(ExitCode::Ok)
                } else {
                    let stop = Stop::new(ExitCode::BadInput, format!("`{id}` is not of unknown outcome"));
                    Err(stop.hint("`longshore outbox list --state unknown` shows those that are").into())
                }
            }
        };
        store.close().await;
        answer
    }
}

fn table(rows: &[CommandRow]) {
    let row = |row: &CommandRow| {
        vec![
            row.id.clone(),
            row.kind.clone(),
            row.state.clone(),
            row.tries.to_string(),
            row.tenant.clone(),
            row.updated_at.to_string(),
            row.vendor_id.clone().unwrap_or_default(),
            row.detail.clone().unwrap_or_default(),
        ]
    };
    say_table(
        &["id", "kind", "state", "tries", "tenant", "updated", "vendor id", "detail"],
        &rows.iter().map(row).collect::<Vec<_>>(),
    );
}
