//! `longshore tenant`.

use clap::{Args, Subcommand, ValueEnum};

use crate::{
    cli::{
        context::{Context, actor},
        output::say,
    },
    domain::ids::TenantId,
    lifecycle::ExitCode,
};

/// Switches of one tenant.
#[derive(Debug, Args)]
pub(super) struct TenantCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Switch automatic replies on or off, or show how they stand. Replies that are planned already are
    /// dropped while it is off.
    #[command(after_help = "Example:\n  longshore tenant auto-replies acme off")]
    AutoReplies {
        /// The tenant.
        id: String,
        /// `on` or `off`; without it nothing changes.
        switch: Option<Switch>,
        /// Who decides, for the audit log; $USER when absent.
        #[arg(long)]
        actor: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl TenantCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let Verb::AutoReplies { id, switch, actor: who } = self.verb;
        let store = context.store().await?;
        let tenant = TenantId(id);
        if let Some(switch) = switch {
            store.set_auto_replies(&tenant, switch == Switch::On, &actor(who)).await?;
        }
        let on = store.auto_replies(&tenant).await?;
        store.close().await;
        say(&format!("automatic replies of {tenant} are {}", if on { "on" } else { "off" }));
        Ok(ExitCode::Ok)
    }
}
