//! One smallest call of each model, the way that events take: journal, budgets and ledger included.

use std::{sync::Arc, time::Instant};

use crate::{
    cli::doctor::finding::Finding,
    clock::{Clock, SystemClock},
    config::{ProviderKind, Settings},
    domain::{
        ids::{CorrelationId, EventKey, Revision, TenantId, Ticket, sha256_hex},
        outcome::Held,
    },
    http::Http,
    llm::{
        contract::{AnswerShape, Policy, PromptRef, Question, StepContext, Turn},
        gateway::Gateway,
        money::pricing::PriceTable,
    },
    store::{contract::Store, group::GroupCommit},
};

/// Who pays, in the ledger.
const TENANT: &str = "doctor";
/// Enough for a model that thinks first; what is not used is not paid.
const MAX_OUTPUT: u32 = 256;

/// Asks them one after the other.
pub(super) async fn check(settings: &Settings, store: Arc<dyn Store>, http: &Http) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gateway = match gateway(settings, store, http, Arc::clone(&clock)) {
        Ok(gateway) => gateway,
        Err(error) => return vec![Finding::fail("live", error.to_string(), "correct the settings first")],
    };
    let mut found = Vec::new();
    let outside = settings.llm.providers.iter().filter(|(_, p)| p.kind != ProviderKind::Rules);
    for (name, _) in outside {
        let (began, at) = (Instant::now(), clock.now());
        let (step, question) = (step(&format!("doctor:{name}:{}", at.0)), question(name));
        let asked = gateway.ask(&step, &question).await;
        let check = format!("live:{name}");
        found.push(match asked {
            Ok(answer) => {
                let took = began.elapsed().as_millis();
                let detail =
                    format!("`{}` answered within {took} ms, in the ledger of `{TENANT}`", answer.model);
                Finding::ok(check, detail)
            }
            Err(failure) => {
                Finding::fail(check, failure.to_string(), "the key, the model's name, or credit?")
            }
        });
    }
    gateway.drained().await;
    found
}

fn gateway(
    settings: &Settings,
    store: Arc<dyn Store>,
    http: &Http,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Gateway> {
    let prices = Arc::new(PriceTable::load(settings.llm.prices.as_deref())?);
    let writer = Arc::new(GroupCommit::start(&store, settings.queue.visibility));
    Ok(Gateway::new(settings, prices, store, writer, http, clock)?)
}

fn step(key: &str) -> StepContext {
    StepContext {
        held: Held { key: EventKey::from(key), revision: Revision::default(), ticket: Ticket(0) },
        tenant: TenantId::from(TENANT),
        correlation_id: CorrelationId::from(key),
        person: None,
    }
}

fn question(provider: &str) -> Question {
    Question {
        step: "doctor".to_owned(),
        prompt: PromptRef { id: "doctor".to_owned(), version: 1, hash: sha256_hex(&[b"doctor"]) },
        system: "Answer with one word.".to_owned(),
        turns: vec![Turn::user("Say ok.")],
        answer: AnswerShape::Text,
        max_output: MAX_OUTPUT,
        policy: Policy { route: Some(provider.to_owned()), ..Policy::default() },
        nonce: None,
        pieces: None,
    }
}
