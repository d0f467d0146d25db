//! A story told on both databases.

/// Makes two tests of each story, one for each database.
macro_rules! on_both {
    ($($story:ident)+) => {$(
        mod $story {
            use crate::world::Kind;
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$story(Kind::Sqlite).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$story(Kind::Postgres).await;
            }
        }
    )+};
}

pub(crate) use on_both;
