//! A minute of 429 with `Retry-After: 2`, on a queue that gives up on a message at its third receive. Its short sibling,
//! and a whole route that is down, are in `tests/it/llm/waits.rs`.

use std::time::Duration;

use longshore::cli::dev::outside::script::rate_limit;

use crate::world::{
    Kind,
    patience::{nothing_lost, outlasted, world},
};

const SPAN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_of_429_is_waited_out_on_both_servers() {
    #[expect(clippy::disallowed_methods, reason = "the test's own setting, given by `make test-money`")]
    let localstack = std::env::var("LONGSHORE_TEST_AWS").expect("LONGSHORE_TEST_AWS: run `make test-money`");
    let story = async |name: &str, kind: Kind, server: Option<&str>| {
        let world = Box::pin(world(kind, server, "")).await;
        let waited = Box::pin(outlasted(world, rate_limit("2"), SPAN)).await;
        println!("{name}, {kind:?}: 60 s of 429");
        nothing_lost(&waited);
        assert_eq!(waited.failures, 0, "{name} {waited:?}");
        assert!(waited.deferrals > 0, "{name} {waited:?}");
    };
    tokio::join!(
        Box::pin(story("embedded queue", Kind::Sqlite, None)),
        Box::pin(story("LocalStack", Kind::Postgres, Some(&localstack))),
    );
}
