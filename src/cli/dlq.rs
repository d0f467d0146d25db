//! `longshore dlq`: what could not be processed.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        context::{Context, actor},
        output::{printable, say, say_json, say_table},
    },
    domain::{
        dead_letter::{DeadLetter, DeadLetterFilter},
        reason::Reason,
    },
    lifecycle::{ExitCode, Stop},
    store::contract::{Replayed, Store},
};

/// Dead letters: look at them, give them a fresh start.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  longshore dlq list --reason sig_invalid\n  longshore dlq replay --source hubspot-main --dry-run\n  longshore dlq replay 'whatsapp-main:1234:wamid.X@0'"
)]
pub(super) struct DlqCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List dead letters, newest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Replayed ones too.
        #[arg(long)]
        closed: bool,
        /// JSON, bodies included, instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show one dead letter whole. It holds what the sender sent: personal data.
    Show {
        /// Its id, as `dlq list` shows it.
        id: String,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Give dead letters a fresh start: an event a new revision, a message its queue, a command another try.
    Replay {
        /// Ids, as `dlq list` shows them.
        ids: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// All open ones.
        #[arg(long, conflicts_with_all = ["ids", "reason", "source"])]
        all: bool,
        /// Only say which.
        #[arg(long)]
        dry_run: bool,
        /// Who gives the order, for the audit log; $USER when absent.
        #[arg(long)]
        actor: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Verb {
    /// A replay of everything must be asked for in so many words.
    fn chooses_nothing(&self) -> bool {
        matches!(self, Self::Replay { ids, which, all: false, .. }
            if ids.is_empty() && which.reason.is_none() && which.source.is_none())
    }
}

#[derive(Debug, Args)]
struct Which {
    /// Only this reason, by its code.
    #[arg(long, value_name = "CODE", value_parser = reason)]
    reason: Option<Reason>,
    /// Only this source.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// At most so many.
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

fn reason(code: &str) -> Result<Reason, String> {
    let known = || Reason::ALL.iter().map(|reason| reason.code()).collect::<Vec<_>>().join(", ");
    Reason::from_code(code).ok_or_else(|| format!("known are {}", known()))
}

impl Which {
    fn filter(self, ids: Vec<String>, closed: bool) -> DeadLetterFilter {
        DeadLetterFilter { ids, reason: self.reason, source: self.source, closed, limit: self.limit }
    }
}

impl DlqCommand {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if self.verb.chooses_nothing() {
            bail!(
                Stop::new(ExitCode::Usage, "nothing chosen").hint("name ids, --reason, --source, or --all")
            );
        }
        let store = context.store().await?;
        let answer = match self.verb {
            Verb::List { which, closed, json } => {
                let letters = store.dead_letters(&which.filter(Vec::new(), closed)).await?;
                if json {
                    say_json(&letters)?
                } else {
                    table(&letters)
                }
                Ok(ExitCode::Ok)
            }
            Verb::Show { id, json } => show(&*store, id, json).await,
            Verb::Replay { ids, which, dry_run, actor: who, json, .. } => {
                let letters = chosen(&*store, ids, which).await?;
                let who = Some(actor(who)).filter(|_| !dry_run);
                replay(&*store, &letters, who.as_deref(), json).await
            }
        };
        store.close().await;
        answer
    }
}

fn table(letters: &[DeadLetter]) {
    let row = |letter: &DeadLetter| {
        let state = letter.state.name();
        vec![
            letter.id.clone(),
            letter.kind.name().to_owned(),
            state.to_owned(),
            letter.source.clone().unwrap_or_default(),
            letter.reason.code().to_owned(),
            letter.seen.to_string(),
            letter.last_at.to_string(),
            letter.detail.clone(),
        ]
    };
    say_table(
        &["id", "kind", "state", "source", "reason", "seen", "last", "detail"],
        &letters.iter().map(row).collect::<Vec<_>>(),
    );
}

fn missing(id: &str) -> anyhow::Error {
    let stop = Stop::new(ExitCode::BadInput, format!("no dead letter `{id}`"));
    stop.hint("`longshore dlq list --closed` shows all").into()
}

async fn show(store: &dyn Store, id: String, json: bool) -> anyhow::Result<ExitCode> {
    let filter = DeadLetterFilter { ids: vec![id.clone()], closed: true, limit: 1, ..Default::default() };
    let Some(letter) = store.dead_letters(&filter).await?.into_iter().next() else {
        return Err(missing(&id));
    };
    if json {
        say_json(&letter)?;
        return Ok(ExitCode::Ok);
    }
    table(std::slice::from_ref(&letter));
    say(&format!("\n{}\n\nattributes: {}", letter.reason.operator_text(), letter.attributes));
    if let Some(extra) = &letter.extra {
        say(&format!("the item, or what the model said: {extra}"));
    }
    say(&format!("body: {}", printable(&letter.body)));
    Ok(ExitCode::Ok)
}

/// The open ones that were meant. An id that is not open is an error before anything is done.
async fn chosen(store: &dyn Store, ids: Vec<String>, which: Which) -> anyhow::Result<Vec<DeadLetter>> {
    let asked = ids.clone();
    let mut filter = which.filter(ids, false);
    filter.limit = filter.limit.max(i64::try_from(asked.len())?);
    let letters = store.dead_letters(&filter).await?;
    match asked.iter().find(|id| !letters.iter().any(|letter| letter.id == **id)) {
        Some(id) => Err(missing(id)),
        None => Ok(letters),
    }
}

/// Without an actor it only says what it would do.
async fn replay(
    store: &dyn Store,
    letters: &[DeadLetter],
    actor: Option<&str>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
    let ends = match actor {
        Some(actor) => store.replay(&ids, actor).await?.iter().map(end).collect(),
        None => vec!["would be replayed".to_owned(); ids.len()],
    };
    if json {
        let pairs = ids.iter().zip(&ends).map(|(id, end)| json!({ "id": id, "end": end }));
        say_json(&pairs.collect::<Vec<_>>())?;
    } else {
        let rows = letters.iter().zip(ends);
        let rows = rows.map(|(letter, end)| vec![letter.id.clone(), letter.reason.code().to_owned(), end]);
        say_table(&["id", "reason", "end"], &rows.collect::<Vec<_>>());
    }
    Ok(ExitCode::Ok)
}

fn end(replayed: &Replayed) -> String {
    match replayed {
        Replayed::Event(_, revision) => format!("revision {revision} is due"),
        Replayed::Delivery => "goes back on the queue".to_owned(),
        Replayed::Command(_) => "will be carried out again".to_owned(),
        Replayed::NotOpen => "was not open any more".to_owned(),
    }
}
