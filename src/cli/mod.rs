//! The command line: one file per family.

mod budget;
mod config;
mod context;
mod curl;
pub mod dev;
mod dlq;
mod doctor;
mod enqueue;
mod event;
mod health;
mod intake;
mod migrate;
mod outbox;
mod output;
mod prompts;
pub mod queue;
mod read;
mod schema;
mod sign;
mod signing;
mod tenant;
mod usage;
mod verify;
mod worker;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    cli::{context::Context, output::complain},
    lifecycle::ExitCode,
    telemetry::{Output, start_logs},
};

const AFTER_HELP: &str = "\
Exit codes: 0 all as asked; 1 the answer is no; 64 wrong command line; 65 wrong input; 69 queue or database
unavailable; 70 a defect; 75 not now (schema out of date, work left at the drain deadline); 78 wrong configuration.

Settings: --config FILE, else $LONGSHORE_CONFIG, else ./longshore.toml; LONGSHORE_... variables stand over it.
`longshore config template --toml` prints a commented file.";

/// Background worker for CRM and messaging events on Amazon SQS: verifies, answers, stores, acts once.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Cli {
    /// The TOML file with the settings.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::DevCommand),
    Worker(worker::WorkerCommand),
    Intake(intake::IntakeCommand),
    Migrate(migrate::MigrateCommand),
    Queue(queue::QueueCommand),
    Enqueue(enqueue::EnqueueCommand),
    Sign(sign::SignCommand),
    Verify(verify::VerifyCommand),
    Read(read::ReadCommand),
    Event(event::EventCommand),
    Outbox(outbox::OutboxCommand),
    Dlq(dlq::DlqCommand),
    Usage(usage::UsageCommand),
    Budget(budget::BudgetCommand),
    Doctor(doctor::DoctorCommand),
    Prompts(prompts::PromptsCommand),
    Tenant(tenant::TenantCommand),
    Health(health::HealthCommand),
    Config(config::ConfigCommand),
    Schema(schema::SchemaCommand),
}

/// Reads the command line of this process, does what it says, and answers how to exit. Errors are said on
/// standard error, with a hint where there is one.
pub async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come as errors too; a closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok };
        }
    };
    match Box::pin(cli.run()).await {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
}

impl Cli {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let context = Context::new(self.config);
        if !matches!(self.command, Command::Worker(_) | Command::Intake(_) | Command::Dev(_)) {
            start_logs("warn", "text", Output::Stderr)?;
        }
        match self.command {
            Command::Dev(command) => Box::pin(command.run()).await,
            Command::Worker(command) => Box::pin(command.run(&context)).await,
            Command::Intake(command) => Box::pin(command.run(&context)).await,
            Command::Migrate(command) => command.run(&context).await,
            Command::Queue(command) => command.run().await.map(|()| ExitCode::Ok),
            Command::Enqueue(command) => command.run(&context).await,
            Command::Sign(command) => command.run(&context).await,
            Command::Verify(command) => command.run(&context),
            Command::Read(command) => command.run(&context),
            Command::Event(command) => command.run(&context).await,
            Command::Outbox(command) => command.run(&context).await,
            Command::Dlq(command) => command.run(&context).await,
            Command::Usage(command) => command.run(&context).await,
            Command::Budget(command) => command.run(&context).await,
            Command::Doctor(command) => Box::pin(command.run(&context)).await,
            Command::Prompts(command) => Box::pin(command.run(&context)).await,
            Command::Tenant(command) => command.run(&context).await,
            Command::Health(command) => command.run(&context).await,
            Command::Config(command) => command.run(&context),
            Command::Schema(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
