//! `longshore verify`: is a request what its sender signed, and if not, why?

mod captured;
mod diagnosis;
mod explain;
mod request;
mod vectors;

use clap::{ArgGroup, Args};

use crate::{cli::context::Context, lifecycle::ExitCode};

/// Check signatures without a queue: one captured request, explained, or a file of test vectors.
///
/// A captured request is a raw HTTP/1.1 request as text, or JSON: an envelope.v1, or its `request` with `method`, `url`,
/// `headers` and `body_base64` (or `body`, as text), and `received_at_ms`. What is wrong is said step by step, and
/// changes that happen on the way (a lost line end, another URL, a key with a blank) are tried.
///
/// A vector file is a JSON list. Each entry names a `scheme`, a `case`, the key (`secret` or `public_key`; further
/// ones in `also_active` and, by key id, in `secrets_by_id`), the request (`method`, `url`, `headers`,
/// `body_base64`), when it was received (`now_unix`) and what to `expect`: valid, missing, invalid or expired.
/// What the scheme needs besides stands in `config`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:\n  longshore verify --source hubspot-main --request captured.http\n  longshore verify --vectors signatures.json\n  longshore verify --vectors signatures.json \
                  --json | jq '.disagreements[].case'\n\nExit code: 0 when the request is valid or every outcome is the expected one, else 1."
)]
pub(super) struct VerifyCommand {
    /// A JSON file of test vectors, or - for standard input: prints every outcome that is not the expected one.
    #[arg(long, value_name = "FILE", group = "what")]
    vectors: Option<String>,
    /// A captured request, or - for standard input: explains what is right and wrong with it.
    #[arg(long, value_name = "FILE", group = "what", requires = "source")]
    request: Option<String>,
    /// The configured source that the captured request came from.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl VerifyCommand {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match (self.vectors, self.request, self.source) {
            (Some(file), _, _) => vectors::run(&file, self.json),
            (None, Some(file), Some(source)) => request::run(context, &source, &file, self.json),
            (None, _, _) => Ok(ExitCode::Usage),
        }
    }
}
