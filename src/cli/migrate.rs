//! `longshore migrate`.

use clap::{Args, Subcommand};

use crate::{
    app::open_store,
    cli::{context::Context, output::say},
    lifecycle::{ExitCode, Stop},
    store::contract::SchemaState,
};

/// The schema of the store.
#[derive(Debug, Args)]
pub(super) struct MigrateCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring the schema up to date. Two at once do it once.
    Up,
    /// Say how the schema stands; exit 0 only when it is current. Changes nothing.
    Check,
}

impl MigrateCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let store = open_store(&context.settings()?).await?;
        let answer = match self.verb {
            Verb::Up => {
                let applied = store.migrate().await?;
                applied.iter().for_each(|name| say(&format!("applied {name}")));
                say("the schema is current");
                Ok(ExitCode::Ok)
            }
            Verb::Check => check(store.schema().await?),
        };
        store.close().await;
        answer
    }
}

fn check(state: SchemaState) -> anyhow::Result<ExitCode> {
    match state {
        SchemaState::Current => {
            say("the schema is current");
            Ok(ExitCode::Ok)
        }
        SchemaState::Behind(missing) => {
            let stop = Stop::new(ExitCode::Temporary, format!("the schema lacks {}", missing.join(", ")));
            Err(stop.hint("run `longshore migrate up`").into())
        }
        SchemaState::Foreign(unknown) => {
            let message = format!("not of this release: {}", unknown.join(", "));
            Err(Stop::new(ExitCode::Temporary, message).hint("run the release that made them").into())
        }
    }
}
