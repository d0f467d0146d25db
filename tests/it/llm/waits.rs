//! The model cannot, for a while: events wait for it, on a queue that forgives two receives only. The long sibling of
//! this is in `tests/money/`.

use std::time::Duration;

use longshore::cli::dev::outside::script::{rate_limit, server_error};

use crate::world::{
    Kind, on_both,
    patience::{nothing_lost, outlasted, world},
};

const SPAN: Duration = Duration::from_secs(8);
/// A breaker that tries again every second; the route has this one model.
const BRISK: &str = "breaker_rest = \"1s\"";
/// Receives by the second that are slow: one waits a second for the next.
const SLOW: f64 = 2.5;

on_both! {
    a_model_that_asks_to_wait_is_waited_for
    a_route_that_is_down_is_waited_for
}

async fn a_model_that_asks_to_wait_is_waited_for(kind: Kind) {
    let waited = Box::pin(outlasted(world(kind, None, "").await, rate_limit("2"), SPAN)).await;
    nothing_lost(&waited);
    // So short a time may pass at the gate, without a deferral.
    assert_eq!(waited.failures, 0, "{waited:?}");
}

async fn a_route_that_is_down_is_waited_for(kind: Kind) {
    let waited = Box::pin(outlasted(world(kind, None, BRISK).await, server_error(), SPAN)).await;
    nothing_lost(&waited);
    assert!(waited.deferrals > 0, "{waited:?}");
    assert!(waited.receives < Some(SLOW), "receiving goes on as if nothing had happened: {waited:?}");
    // A probe a second, and those that were under way when it went down.
    assert!(waited.refused < 60, "{waited:?}");
}
