//! A text is stored by its meaning (NX-7).

use crate::{
    domain::{
        event::Event,
        job::EmbeddingStore,
        outcome::{Failure, Outcome},
        reason::Reason,
        record::{EmbeddingWrite, Write},
    },
    handlers::tools::{Tools, step_context},
    llm::contract::{StepContext, Vectors},
    store::contract::Work,
};

/// The step within the event.
const STEP: &str = "embedding";

pub(super) async fn handle(
    tools: &Tools,
    work: &Work,
    event: &Event,
    item: &EmbeddingStore,
) -> Result<Outcome, Failure> {
    let context = step_context(work, event, None);
    let Some((model, vector)) = vector(tools, &context, STEP, &item.text).await? else {
        let detail = "no provider makes vectors here: set `llm.embeddings`, then replay";
        return Err(Failure::new(Reason::VendorRefused, detail));
    };
    let write = EmbeddingWrite {
        tenant: event.tenant.clone(),
        kind: item.kind.clone(),
        item: item.item.clone(),
        text: item.text.clone(),
        model,
        vector,
    };
    Ok(Outcome { writes: vec![Write::Embedding(write)], commands: Vec::new() })
}

/// The model and the vector of one text; `None` where no provider for vectors is configured.
pub(super) async fn vector(
    tools: &Tools,
    context: &StepContext,
    step: &str,
    text: &str,
) -> Result<Option<(String, Vec<f32>)>, Failure> {
    let bought = tools.gateway.embed(context, step, &[text.to_owned()]).await?;
    Ok(bought.and_then(|Vectors { model, vectors }| Some((model, vectors.into_iter().next()?))))
}
