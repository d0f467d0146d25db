//! `longshore health`: a probe without curl.

use std::{net::IpAddr, time::Duration};

use clap::Args;

use crate::{
    cli::{context::Context, output::say},
    config,
    http::Http,
    lifecycle::ExitCode,
};

/// Ask a running worker whether it is ready; exit 0 when it is, 1 when not.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore health\n  longshore health --live\n  longshore health --url http://127.0.0.1:9464/livez"
)]
pub(super) struct HealthCommand {
    /// Ask whether it is alive instead: is anything stuck inside the process?
    #[arg(long, conflicts_with = "url")]
    live: bool,
    /// The page to ask. Without it: /readyz at admin.listen.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    timeout: u64,
}

impl HealthCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let url = match self.url {
            Some(url) => url,
            // The rules do not matter here: a probe must not fail over another setting.
            None => usual_url(config::from_file(context.file())?.settings.admin.listen, self.live),
        };
        let answer = Http::new()?.get(&url, Duration::from_secs(self.timeout)).await;
        match answer {
            Ok(answer) => {
                say(&String::from_utf8_lossy(&answer.body));
                Ok(if answer.status == 200 { ExitCode::Ok } else { ExitCode::No })
            }
            Err(error) => {
                say(&format!("{url}: {error}"));
                Ok(ExitCode::No)
            }
        }
    }
}

/// The page of the worker at this address, as this machine reaches it.
pub(super) fn usual_url(mut listen: std::net::SocketAddr, live: bool) -> String {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => listen.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{listen}/{}", if live { "livez" } else { "readyz" })
}
