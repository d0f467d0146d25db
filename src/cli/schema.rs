//! `longshore schema`: what senders can hold their jobs against.

use clap::Args;

use crate::{
    cli::output::say,
    lifecycle::{ExitCode, Stop},
    sources::vendors::job_types::SCHEMAS,
};

/// Print the JSON schema of a job type, or the names of all.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore schema longshore.chat.usage.v1")]
pub(super) struct SchemaCommand {
    /// The job type; `cloudevent.v1` is what surrounds every job.
    name: Option<String>,
}

impl SchemaCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Some(name) = self.name else {
            SCHEMAS.iter().for_each(|schema| say(schema.name));
            return Ok(ExitCode::Ok);
        };
        let Some(schema) = SCHEMAS.iter().find(|schema| schema.name == name) else {
            let stop = Stop::new(ExitCode::BadInput, format!("no schema `{name}`"));
            return Err(stop.hint("`longshore schema` lists them").into());
        };
        say(schema.text.trim_end());
        Ok(ExitCode::Ok)
    }
}
