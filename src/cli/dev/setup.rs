//! The settings of `dev`, written as the `longshore.toml` of its state folder and read back from there: every
//! other command works on the same folder with `--config`.

use std::{fs, net::SocketAddr, time::Duration};

use crate::{
    cli::dev::{
        senders::{quoted, senders},
        state_dir::StateDir,
    },
    config::{Settings, environment_variable, from_toml},
};
use anyhow::Context as _;

/// File of the settings in the state folder.
pub(crate) const SETTINGS_FILE: &str = "longshore.toml";
/// What the stand-in calls itself, and what is asked of OpenAI when nothing else is said.
const DEFAULT_MODEL: &str = "gpt-6-luna";
/// How long the stand-in's model takes where it is to be slow: longer than a handler may run, shorter than a
/// call may take.
pub(crate) const SLOW_MODEL: Duration = Duration::from_secs(4);
/// What in a message makes it slow.
pub(crate) const SLOW_TAG: &str = "#slow";
/// File of the store in the state folder.
const STORE_FILE: &str = "store.sqlite";

/// Where the parts of this run listen.
#[derive(Debug)]
pub(crate) struct Places {
    /// The embedded queue's endpoint.
    pub(crate) endpoint: String,
    /// URL of the queue.
    pub(crate) queue_url: String,
    /// URL of its dead-letter queue.
    pub(crate) dead_letter_url: String,
    /// Health and metrics.
    pub(crate) admin: SocketAddr,
    /// The edge: `/hooks/SOURCE`.
    pub(crate) intake: SocketAddr,
    /// The stand-in's model.
    pub(crate) llm_base_url: String,
    /// The stand-in's WhatsApp.
    pub(crate) whatsapp_base_url: String,
    /// Where the stand-in takes answers of chats.
    pub(crate) callbacks: String,
}

/// The real model that answers the tenant `acme`, where the environment names one.
#[derive(Clone, Debug, Default)]
pub(crate) struct RealModel {
    has_key: bool,
    base_url: Option<String>,
    name: Option<String>,
}

impl RealModel {
    /// `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_MODEL`.
    pub(crate) fn from_environment() -> Self {
        let set = |name| environment_variable(name).filter(|value| !value.is_empty());
        Self {
            has_key: set("OPENAI_API_KEY").is_some(),
            base_url: set("OPENAI_BASE_URL"),
            name: set("OPENAI_MODEL"),
        }
    }

    /// Is there one?
    pub(crate) fn is_set(&self) -> bool {
        self.has_key || self.base_url.is_some()
    }

    fn provider(&self) -> String {
        let mut lines = vec![
            "\n[llm.providers.openai]".to_owned(),
            "kind = \"openai\"".to_owned(),
            format!("model = {}", quoted(self.name.as_deref().unwrap_or(DEFAULT_MODEL))),
            "timeout = \"8s\"".to_owned(),
            "attempts = 2".to_owned(),
        ];
        lines.extend(self.has_key.then(|| "api_key = \"env:OPENAI_API_KEY\"".to_owned()));
        lines.extend(self.base_url.as_ref().map(|url| format!("base_url = {}", quoted(url))));
        lines.join("\n") + "\n"
    }

    /// A real model needs longer than the samples' patience with a hanging handler would otherwise be. Shorter
    /// than [`SLOW_MODEL`] in any case.
    fn handler_timeout(&self) -> Duration {
        if self.is_set() { Duration::from_millis(3_500) } else { Duration::from_millis(2_500) }
    }
}

/// Writes the settings of this run and reads them as every command would, but without `LONGSHORE_` variables:
/// what is set for another purpose must not bend the samples.
pub(crate) fn settings(state: &StateDir, places: &Places, model: &RealModel) -> anyhow::Result<Settings> {
    let text = document(state, places, model);
    let file = state.path(SETTINGS_FILE);
    fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(from_toml(&text, &[])?.into_settings()?)
}

fn document(state: &StateDir, places: &Places, model: &RealModel) -> String {
    let mut text = HEAD.to_owned();
    text += &queue_and_store(state, places);
    text += &worker(model);
    text += &senders(state);
    text += &outside(state, places, model);
    text
}

const HEAD: &str = "\
# Made by `longshore dev`, anew at every start. For other commands on this folder:
#   longshore --config THIS_FILE dlq list
";

fn queue_and_store(state: &StateDir, places: &Places) -> String {
    let store = format!("sqlite:{}", state.path(STORE_FILE).display());
    format!(
        "
[queue]
url = {}
dead_letter_url = {}
endpoint = {}
region = \"us-east-1\"
wait = \"1s\"
visibility = \"4s\"

[store]
url = {}
connections = 4

[admin]
listen = \"{}\"

[intake]
listen = \"{}\"
",
        quoted(&places.queue_url),
        quoted(&places.dead_letter_url),
        quoted(&places.endpoint),
        quoted(&store),
        places.admin,
        places.intake,
    )
}

/// Short waits: everything shall be seen within seconds.
fn worker(model: &RealModel) -> String {
    format!(
        "
[worker]
handler_timeout = \"{}ms\"
attempts = 3
backoff_initial = \"200ms\"
backoff_max = \"1s\"
park_after = \"3s\"
drain = \"6s\"
drills = true
migrate = true
",
        model.handler_timeout().as_millis()
    )
}

fn outside(state: &StateDir, places: &Places, model: &RealModel) -> String {
    let (default, real) =
        if model.is_set() { ("openai", model.provider()) } else { ("rules", String::new()) };
    format!(
        "
[tenants.standin]
llm = \"standin\"

[tenants.quiet]
llm = \"rules\"

[llm]
default = \"{default}\"
embeddings = \"rules\"

[llm.providers.standin]
kind = \"openai\"
base_url = {}
api_key = {}
model = \"{DEFAULT_MODEL}\"
timeout = \"6s\"
attempts = 1
{real}
[whatsapp]
base_url = {}
access_token = {}
timeout = \"3s\"

[webhooks]
callbacks = [{}]
secret = {}
",
        quoted(&places.llm_base_url),
        quoted(&state.reference("stand-in").0),
        quoted(&places.whatsapp_base_url),
        quoted(&state.reference("whatsapp-token").0),
        quoted(&places.callbacks),
        quoted(&state.reference("webhooks").0),
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        config::{Known, from_file},
        sources::{schemes::SCHEMES, vendors::VENDORS},
    };

    /// Settings as in a run, with places at which nobody listens.
    pub(crate) fn example(state: &StateDir, model: &RealModel) -> Settings {
        let endpoint = "http://127.0.0.1:9".to_owned();
        let places = Places {
            queue_url: format!("{endpoint}/1/work"),
            dead_letter_url: format!("{endpoint}/1/dead"),
            llm_base_url: format!("{endpoint}/v1"),
            whatsapp_base_url: format!("{endpoint}/v23.0"),
            callbacks: format!("{endpoint}/callbacks/"),
            endpoint,
            admin: ([127, 0, 0, 1], 9).into(),
            intake: ([127, 0, 0, 1], 10).into(),
        };
        settings(state, &places, model).unwrap()
    }

    #[test]
    fn the_file_that_is_written_is_one_that_every_command_takes() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let real = RealModel { has_key: true, base_url: Some("http://127.0.0.1:1/v1".into()), name: None };
        for (model, default) in [(RealModel::default(), "rules"), (real, "openai")] {
            let settings = example(&state, &model);
            assert_eq!(settings.llm.default, default);
            let mut loaded = from_file(Some(&state.path(SETTINGS_FILE))).unwrap();
            loaded.check_rules(&Known {
                vendors: VENDORS.iter().map(|vendor| vendor.name.to_owned()).collect(),
                schemes: SCHEMES.iter().map(|scheme| scheme.name.to_owned()).collect(),
                forms: Vec::new(),
            });
            // The one warning is the source without a key, which is there to show what happens then.
            let wrong: Vec<_> = loaded.problems.iter().map(|problem| problem.path.clone()).collect();
            assert_eq!(wrong, ["sources.keyless.keys"]);
        }
    }
}
