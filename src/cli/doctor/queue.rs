//! The queue, its dead-letter queue, and the store of large bodies.

use crate::{
    cli::doctor::{finding::Finding, patience::in_time},
    config::Settings,
    queue::{
        contract::Queue as _,
        objects::{ObjectError, ObjectStore as _},
        s3::S3Objects,
        sqs::SqsQueue,
    },
};

/// A redrive policy below this takes messages that only wait: deferrals count as receives over there.
const FEW_RECEIVES: u32 = 20;
/// An object that is nobody's.
const NO_OBJECT: &str = "longshore/doctor";

const REFUSED: &str = "are the URL, queue.endpoint, the region and the AWS credentials right?";

/// All of them.
pub(super) async fn check(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let (url, dead) = (&settings.queue.url, &settings.queue.dead_letter_url);
    if !url.is_empty() {
        let queue = SqsQueue::connect(&settings.queue, url).await;
        let reached = depth("queue", &queue).await;
        let is_there = reached.hint.is_none();
        found.push(reached);
        if is_there {
            found.push(redrive(&queue).await);
        }
    }
    if !dead.is_empty() && dead == url {
        let hint = "make a queue of its own for dead letters";
        found.push(Finding::fail("dead-letter queue", "it is the queue to work itself", hint));
    } else if !dead.is_empty() {
        found.push(depth("dead-letter queue", &SqsQueue::connect(&settings.queue, dead).await).await);
    }
    found.extend(objects(settings).await);
    found
}

async fn depth(check: &str, queue: &SqsQueue) -> Finding {
    match in_time(queue.depth()).await {
        Ok(depth) => Finding::ok(
            check,
            format!("{} waiting, {} in flight, {} delayed", depth.visible, depth.in_flight, depth.delayed),
        ),
        Err(error) => Finding::fail(check, error, REFUSED),
    }
}

async fn redrive(queue: &SqsQueue) -> Finding {
    match in_time(queue.max_receive_count()).await {
        Ok(count) => judge_redrive(count),
        Err(error) => Finding::fail("redrive policy", error, REFUSED),
    }
}

fn judge_redrive(count: Option<u32>) -> Finding {
    let check = "redrive policy";
    match count {
        Some(few) if few < FEW_RECEIVES => Finding::warn(
            check,
            format!("maxReceiveCount is {few}: messages that only wait may end as dead letters"),
            "set it to 100: Longshore counts failures itself",
        ),
        Some(count) => Finding::ok(check, format!("maxReceiveCount is {count}")),
        None => Finding::warn(
            check,
            "the queue has none: a message that no worker can even receive to its end comes back for ever",
            "set one to the dead-letter queue, with maxReceiveCount 100",
        ),
    }
}

async fn objects(settings: &Settings) -> Vec<Finding> {
    let mut buckets: Vec<&String> = settings.objects.buckets.iter().chain(&settings.objects.bucket).collect();
    buckets.sort();
    buckets.dedup();
    if buckets.is_empty() {
        return Vec::new();
    }
    let store = S3Objects::connect(&settings.objects, &settings.queue).await;
    let mut found = Vec::new();
    for bucket in buckets {
        let check = format!("bucket {bucket}");
        found.push(match in_time(store.get(bucket, NO_OBJECT, 1)).await {
            Ok(_) => Finding::ok(check, "can be read"),
            Err(error) => judge_object(&check, &error),
        });
    }
    found
}

/// Who may not list a bucket is told "denied" of an object that is not there.
fn judge_object(check: &str, error: &str) -> Finding {
    if error == ObjectError::Missing.to_string() || error == ObjectError::TooLarge.to_string() {
        Finding::ok(check, "can be read")
    } else if error.contains("AccessDenied") {
        let hint =
            "the role needs s3:GetObject; without s3:ListBucket this cannot be told from a missing object";
        Finding::warn(check, error, hint)
    } else {
        Finding::fail(check, error, "are objects.endpoint, the region and the AWS credentials right?")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_low_receive_count_is_told_and_a_high_one_is_right() {
        let state = |count| judge_redrive(count).state;
        assert_eq!(
            [Some(3), Some(19), Some(20), Some(1_000), None].map(state),
            [State::Warn, State::Warn, State::Ok, State::Ok, State::Warn]
        );
    }

    #[test]
    fn an_object_that_is_missing_shows_that_the_bucket_is_there() {
        let state = |error: ObjectError| judge_object("bucket b", &error.to_string()).state;
        assert_eq!(state(ObjectError::Missing), State::Ok);
        assert_eq!(state(ObjectError::Unavailable("answers AccessDenied".to_owned())), State::Warn);
        assert_eq!(state(ObjectError::Unavailable("answers NoSuchBucket".to_owned())), State::Fail);
    }
}
