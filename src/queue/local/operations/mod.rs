//! The operations of the SQS API, one file for each family.

mod queue_attributes;
mod queues;
mod receive;
mod send;
mod settle;

use serde_json::Value;

use crate::queue::local::{
    call::Call,
    error::{ApiError, Code},
};

/// Carries out one operation by its name.
pub(super) async fn perform(operation: &str, call: Call<'_>) -> Result<Value, ApiError> {
    match operation {
        "SendMessage" => send::message(&call).await,
        "SendMessageBatch" => send::batch(&call).await,
        "ReceiveMessage" => receive::messages(&call).await,
        "DeleteMessage" => settle::delete(&call).await,
        "DeleteMessageBatch" => settle::delete_batch(&call).await,
        "ChangeMessageVisibility" => settle::change(&call).await,
        "ChangeMessageVisibilityBatch" => settle::change_batch(&call).await,
        "CreateQueue" => queues::create(&call).await,
        "DeleteQueue" => queues::delete(&call).await,
        "GetQueueUrl" => queues::url(&call),
        "ListQueues" => queues::list(&call),
        "ListDeadLetterSourceQueues" => queues::list_sources(&call),
        "PurgeQueue" => queues::purge(&call).await,
        "GetQueueAttributes" => queue_attributes::get(&call).await,
        "SetQueueAttributes" => queue_attributes::set(&call).await,
        "TagQueue" => queue_attributes::tag(&call).await,
        "UntagQueue" => queue_attributes::untag(&call).await,
        "ListQueueTags" => queue_attributes::tags(&call),
        "StartMessageMoveTask" | "ListMessageMoveTasks" | "CancelMessageMoveTask" => {
            Err(ApiError::new(Code::UnsupportedOperation, "This server has no message move tasks."))
        }
        other => Err(ApiError::new(
            Code::UnknownOperation,
            format!("The operation {other} is not one of this server's."),
        )),
    }
}
