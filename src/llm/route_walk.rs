//! The way along a route: what was bought before from any of its models is used first; then they are asked in order,
//! until one answers or none can. Then the rules answer where the prompt allows it, else the event waits.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;

use crate::{
    domain::{outcome::Failure, reason::Reason},
    llm::{
        attempt::{Seen, Stored},
        books::Books,
        contract::{OverBudget, Policy, WhenDown},
        models::Model,
        next::{Gave, Why},
        order::Order,
        purchase::{Buyer, on_its_way},
    },
    retry::RetryPolicy,
};

/// Refusals of different models after which no other is asked.
const REFUSALS: usize = 2;
/// A refusal was paid for, and is paid again with the next round: not soon.
const AFTER_A_REFUSAL: Duration = Duration::from_secs(300);

/// Goes along routes.
pub(crate) struct Walker {
    pub(crate) buyer: Buyer,
    /// Stands in where a prompt allows it.
    pub(crate) rules: Arc<Model>,
}

/// An answer, and how it was come by.
pub(crate) struct Bought {
    pub(crate) stored: Stored,
    pub(crate) model: Arc<Model>,
    pub(crate) by: By,
    /// Just now, not found in the journal: whoever listens has heard it.
    pub(crate) fresh: bool,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The first of the route.
    First,
    /// A later one.
    Fallback,
    /// The rules, for a route that could not.
    Rules,
}

/// What gave no answer, in the order of asking.
type Given = Vec<(Arc<Model>, Gave)>;

impl Walker {
    /// One order's answer.
    pub(crate) async fn get(&self, order: &Order<'_>, route: &[Arc<Model>]) -> Result<Bought, Failure> {
        let numbers = match self.look_up(order, route).await? {
            Ok(bought) => return Ok(bought),
            Err(numbers) => numbers,
        };
        if let Some(bought) = self.cached(order, route, &numbers).await? {
            return Ok(bought);
        }
        let mut given: Given = Vec::new();
        for (model, number) in route.iter().zip(numbers) {
            match self.is_worth_asking(order, model, &given) {
                Worth::Asking => {}
                Worth::Skipping => continue,
                Worth::Ending => break,
            }
            if let Some((before, gave)) = given.last() {
                count_fallback(before, model, &gave.why);
            }
            match self.buyer.buy(order, model, Some(number)).await {
                Ok(stored) => return Ok(bought(stored, model, route, true)),
                Err(Gave { why: Why::Final, failure }) => return Err(failure),
                Err(gave) => given.push((Arc::clone(model), gave)),
            }
        }
        self.without(order, &given).await
    }

    /// What was bought before, or the attempts that are free.
    async fn look_up(
        &self,
        order: &Order<'_>,
        route: &[Arc<Model>],
    ) -> Result<Result<Bought, Vec<i32>>, Failure> {
        let seen = try_join_all(route.iter().map(|model| self.buyer.look_up(order, model))).await?;
        let (mut numbers, mut running) = (Vec::new(), None);
        for (seen, model) in seen.into_iter().zip(route) {
            match seen {
                Seen::Stored(stored) => return Ok(Ok(bought(stored, model, route, false))),
                Seen::Running(left) => running = running.max(Some(left)),
                Seen::Free(number) => numbers.push(number),
            }
        }
        running.map_or(Ok(Err(numbers)), |left| Err(on_its_way(left)))
    }

    async fn cached(
        &self,
        order: &Order<'_>,
        route: &[Arc<Model>],
        numbers: &[i32],
    ) -> Result<Option<Bought>, Failure> {
        let Some(within) = order.policy.cache.filter(|_| order.is_cacheable()) else { return Ok(None) };
        for (model, number) in route.iter().zip(numbers) {
            if let Some(stored) = self.buyer.copy(order, model, *number, within).await? {
                metrics::counter!("longshore_llm_cache_hits_total", "provider" => model.kind, "model" => model.model.clone())
                    .increment(1);
                return Ok(Some(bought(stored, model, route, false)));
            }
        }
        Ok(None)
    }

    fn is_worth_asking(&self, order: &Order<'_>, model: &Model, given: &Given) -> Worth {
        let books = &self.buyer.journal.books;
        let wanted = order.wanted(model, order.cap(model));
        let hold = || books.hold(model, &wanted);
        let refused = given.iter().filter(|(_, gave)| gave.why == Why::Refused).count();
        if refused >= REFUSALS {
            return Worth::Ending;
        }
        for (before, gave) in given {
            let fits = match gave.why {
                Why::TooLong => has_larger_window(books, model, before),
                Why::OverBudget(None) => hold().is_some(),
                Why::OverBudget(worst) => match order.policy.over_budget {
                    OverBudget::Cheaper => hold().is_some_and(|hold| Some(hold) < worst),
                    OverBudget::Wait | OverBudget::Rules => return Worth::Ending,
                },
                _ => true,
            };
            if !fits {
                return Worth::Skipping;
            }
        }
        Worth::Asking
    }

    /// No model of the route can answer now.
    async fn without(&self, order: &Order<'_>, given: &Given) -> Result<Bought, Failure> {
        if rules_may_answer(&order.policy, given) {
            if let Some((before, gave)) = given.last() {
                count_fallback(before, &self.rules, &gave.why);
            }
            let stored = self.buyer.buy(order, &self.rules, None).await.map_err(|gave| gave.failure)?;
            return Ok(Bought { stored, model: Arc::clone(&self.rules), by: By::Rules, fresh: true });
        }
        Err(failure_of(given))
    }
}

enum Worth {
    Asking,
    Skipping,
    /// Neither this one nor those after it.
    Ending,
}

fn bought(stored: Stored, model: &Arc<Model>, route: &[Arc<Model>], fresh: bool) -> Bought {
    let is_first = route.first().is_some_and(|first| first.name == model.name);
    let by = if is_first { By::First } else { By::Fallback };
    Bought { stored, model: Arc::clone(model), by, fresh }
}

/// Both windows are known, or that of the next is where the one that was too small is not.
fn has_larger_window(books: &Books, model: &Model, before: &Model) -> bool {
    books.window(model) > books.window(before)
}

fn rules_may_answer(policy: &Policy, given: &Given) -> bool {
    let over_budget = given.iter().any(|(_, gave)| matches!(gave.why, Why::OverBudget(_)));
    let down = !given.is_empty() && given.iter().all(|(_, gave)| matches!(gave.why, Why::Down | Why::Failed));
    (over_budget && policy.over_budget == OverBudget::Rules) || (down && policy.when_down == WhenDown::Rules)
}

/// What becomes of the event. A failure counts as long as it may be the question; where somebody asks to wait, the
/// shortest wait counts; what every model refuses is final.
fn failure_of(given: &Given) -> Failure {
    let first = |wanted: fn(&Why) -> bool| given.iter().map(|(_, gave)| gave).find(|gave| wanted(&gave.why));
    if let Some(failed) = first(|why| *why == Why::Failed) {
        return failed.failure.clone();
    }
    let waits = |why: &Why| matches!(why, Why::Down | Why::Busy | Why::OverBudget(_));
    let shortest = given
        .iter()
        .map(|(_, gave)| gave)
        .filter(|gave| waits(&gave.why))
        .min_by_key(|gave| gave.failure.wait);
    let refused = first(|why| *why == Why::Refused);
    if let Some(gave) = shortest {
        let wait = gave.failure.wait.unwrap_or_default();
        let wait = if refused.is_some() { wait.max(AFTER_A_REFUSAL) } else { wait };
        return gave.failure.clone().wait(spread(wait));
    }
    let last = refused.or_else(|| given.first().map(|(_, gave)| gave));
    last.map_or_else(
        || Failure::new(Reason::RouteDown, "the route names no model").wait(AFTER_A_REFUSAL),
        |gave| gave.failure.clone(),
    )
}

/// Never sooner; a little later, and not everyone at once.
fn spread(wait: Duration) -> Duration {
    wait + RetryPolicy::new(wait / 10, wait / 10).delay(1, None)
}

fn count_fallback(from: &Model, to: &Model, why: &Why) {
    tracing::info!(from = %from.name, to = %to.name, why = why.name(), "the next model of the route is asked");
    metrics::counter!("longshore_llm_fallbacks_total", "from" => from.name.clone(), "to" => to.name.clone(), "reason" => why.name())
        .increment(1);
}
