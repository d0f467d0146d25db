//! `longshore verify`: is a request what its sender signed, and if not, why?

mod vectors;

use clap::{ArgGroup, Args};

use crate::lifecycle::ExitCode;

/// Check signatures without a queue: the requests of a file of test vectors, each with its expected outcome.
///
/// A vector file is a JSON list. Each entry names a `scheme`, a `case`, the key (`secret` or `public_key`; further
/// ones in `also_active` and, by key id, in `secrets_by_id`), the request (`method`, `url`, `headers`,
/// `body_base64`), when it was received (`now_unix`) and what to `expect`: valid, missing, invalid or expired.
/// What the scheme needs besides stands in `config`.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true),
    after_help = "Examples:\n  longshore verify --vectors signatures.json\n  longshore verify --vectors signatures.json \
                  --json | jq '.disagreements[].case'\n\nExit code: 0 when every outcome is the expected one, else 1."
)]
pub(super) struct VerifyCommand {
    /// A JSON file of test vectors, or - for standard input: prints every outcome that is not the expected one.
    #[arg(long, value_name = "FILE", group = "what")]
    vectors: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl VerifyCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        self.vectors.map_or(Ok(ExitCode::Usage), |file| vectors::run(&file, self.json))
    }
}
