//! Watches the models of this process: a signed alert, once for each outage.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use crate::{
    domain::ids::CommandId,
    llm::contract::{ModelHealth, ModelState},
    worker::{alerts, parts::Context},
};

/// Type of the alert.
const MODEL_DOWN: &str = "longshore.model.down.v1";

/// The outages that were told.
#[derive(Default)]
pub(super) struct ModelWatch {
    down: BTreeSet<String>,
}

impl ModelWatch {
    /// Looks once.
    pub(super) fn look(&mut self, context: &Arc<Context>) {
        let models = context.parts.tools.gateway.health();
        for model in self.went_down(&models) {
            tracing::error!(model = model.name, why = model.why, "a model is down");
            alert(context, model);
        }
    }

    /// The models that are down and were not before. A single call that tries does not end an outage.
    fn went_down<'a>(&mut self, models: &'a [ModelHealth]) -> Vec<&'a ModelHealth> {
        models
            .iter()
            .filter(|model| match model.state {
                ModelState::Down => self.down.insert(model.name.clone()),
                ModelState::Probing => false,
                ModelState::Up => {
                    self.down.remove(&model.name);
                    false
                }
            })
            .collect()
    }
}

fn alert(context: &Arc<Context>, model: &ModelHealth) {
    let at = context.parts.clock.now();
    let id = CommandId(format!("model_down:{}:{}", model.name, at.0));
    let data = json!({
        "name": model.name,
        "provider": model.provider,
        "model": model.model,
        "why": model.why,
        "asked_again_in_seconds": model.opens_in_seconds,
        "at": at.to_string(),
    });
    alerts::tell(context, id, MODEL_DOWN, data);
}

#[cfg(test)]
mod tests {
    use super::ModelWatch;
    use crate::llm::contract::{ModelHealth, ModelState};

    fn model(name: &str, state: ModelState) -> ModelHealth {
        ModelHealth {
            name: name.to_owned(),
            provider: "openai".to_owned(),
            model: "m".to_owned(),
            state,
            opens_in_seconds: None,
            why: None,
            concurrency: 1,
        }
    }

    #[test]
    fn an_outage_is_told_once_however_often_it_is_tried() {
        let mut watch = ModelWatch::default();
        let mut told = |state| {
            let models = [model("a", state), model("b", ModelState::Up)];
            watch.went_down(&models).iter().map(|model| model.name.clone()).collect::<Vec<_>>()
        };
        use ModelState::{Down, Probing, Up};
        let states = [Up, Down, Down, Probing, Down, Up, Probing, Up, Down];
        let counts = states.map(|state| told(state).len());
        assert_eq!(counts, [0, 1, 0, 0, 0, 0, 0, 0, 1]);
    }
}
