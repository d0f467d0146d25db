//! The settings file of a world, with its keys.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use longshore::{
    cli::dev::outside::Outside,
    config::{Loaded, Settings, from_toml},
};

use crate::senders::{EDGE, WAKER, secret_of};

/// What a test may want otherwise; the texts are durations.
pub(crate) struct Knobs {
    pub(crate) visibility: &'static str,
    pub(crate) wait: &'static str,
    pub(crate) drain: &'static str,
    pub(crate) concurrency: usize,
    pub(crate) attempts: u32,
    pub(crate) park_after: &'static str,
    pub(crate) backoff: &'static str,
    /// After so many receives the queue gives up on a message.
    pub(crate) max_receives: u32,
    /// More lines for the queue, for the model, for every source, and for the end of the file.
    pub(crate) queue: &'static str,
    pub(crate) model: &'static str,
    pub(crate) source: String,
    pub(crate) more: String,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            visibility: "3s",
            wait: "1s",
            drain: "6s",
            concurrency: 64,
            attempts: 4,
            park_after: "1s",
            backoff: "100ms",
            max_receives: 100,
            queue: "",
            model: "",
            source: String::new(),
            more: String::new(),
        }
    }
}

/// Where things are.
pub(super) struct Places<'a> {
    pub(super) folder: &'a Path,
    pub(super) endpoint: &'a str,
    pub(super) queue: &'a str,
    pub(super) dead: &'a str,
    pub(super) store: &'a str,
    pub(super) outside: &'a Outside,
}

/// Writes file and keys.
pub(super) fn write(places: &Places<'_>, knobs: &Knobs) -> PathBuf {
    let text = [
        machine(places, knobs),
        senders(places, &knobs.source),
        outside(places, knobs.model),
        knobs.more.clone(),
    ]
    .concat();
    let path = places.folder.join("longshore.toml");
    fs::write(&path, text).unwrap();
    path
}

fn secret(places: &Places<'_>, name: &str, value: &str) -> String {
    let path = places.folder.join(name);
    fs::write(&path, value).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    format!("file:{}", path.display())
}

fn machine(places: &Places<'_>, knobs: &Knobs) -> String {
    let Places { queue, dead, endpoint, .. } = places;
    let Knobs { visibility, wait, drain, concurrency, attempts, park_after, backoff, .. } = knobs;
    let more = knobs.queue;
    let store = match places.store {
        url if url.starts_with("sqlite:") => url.to_owned(),
        url => secret(places, "store-url", url),
    };
    format!(
        r#"
[queue]
url = "{queue}"
dead_letter_url = "{dead}"
endpoint = "{endpoint}"
region = "us-east-1"
wait = "{wait}"
visibility = "{visibility}"
{more}
[store]
url = "{store}"
connections = 4
[worker]
concurrency = {concurrency}
attempts = {attempts}
backoff_initial = "{backoff}"
backoff_max = "1s"
park_after = "{park_after}"
drain = "{drain}"
handler_timeout = "60s"
drills = true
[admin]
listen = "127.0.0.1:0"
[log]
filter = "info"
format = "json"
"#
    )
}

fn senders(places: &Places<'_>, more: &str) -> String {
    let source = |name: &str| {
        let key = secret(places, name, secret_of(name));
        format!(
            "[sources.{name}]\nvendor = \"{name}\"\ntenant = \"acme\"\nkeys = [{{ id = \"{name}-1\", secret = \"{key}\" }}]\n{more}\n"
        )
    };
    let sources = ["whatsapp", "hubspot", "standard-webhooks", "jobs"].map(source).concat();
    let (edge, waker) = (secret(places, "edge", EDGE), secret(places, "waker", WAKER));
    format!(
        r#"
[seal]
sign_with = "waker"
keys = [
  {{ id = "edge", secret = "{edge}", sources = ["*"] }},
  {{ id = "waker", secret = "{waker}", sources = ["wake"] }},
]
{sources}
"#
    )
}

fn outside(places: &Places<'_>, model: &str) -> String {
    let (llm, whatsapp) = (places.outside.llm_base_url(), places.outside.whatsapp_base_url());
    let (llm_key, token) = (secret(places, "llm-key", "sk-test"), secret(places, "token", "token"));
    format!(
        r#"
[llm]
default = "openai"
[llm.providers.openai]
kind = "openai"
base_url = "{llm}"
model = "gpt-4o-mini"
api_key = "{llm_key}"
timeout = "600ms"
attempts = 3
backoff = "50ms"
{model}
[whatsapp]
base_url = "{whatsapp}"
access_token = "{token}"
timeout = "600ms"
"#
    )
}

/// Reads such a file, as a worker does.
pub(super) fn read(file: &Path) -> Settings {
    let text = fs::read_to_string(file).unwrap();
    from_toml(&text, &[]).and_then(Loaded::into_settings).unwrap()
}
