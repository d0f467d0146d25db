//! SDK errors and entries of batch answers in the contract's words. Codes are compared as text: local
//! servers say `QueueDoesNotExist` where Amazon says `AWS.SimpleQueueService.NonExistentQueue`.

use std::error::Error as StdError;

use aws_sdk_sqs::{
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::BatchResultErrorEntry,
};

use crate::queue::contract::{EntryResult, QueueError};

/// Refusals that pass by waiting, beside server errors.
const PASSING: [&str; 7] = [
    "RequestThrottled",
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "KMS.ThrottlingException",
    "KmsThrottled",
    "OverLimit",
];

/// Refusals of an entry that no repetition mends, whatever its `senderFault` says: LocalStack 4.12.0 says
/// false for all of them.
const HOPELESS: [&str; 5] = [
    "ReceiptHandleIsInvalid",
    "MessageNotInflight",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidAttributeValue",
];

/// The code without its namespace.
fn short(code: &str) -> &str {
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

fn passes(code: &str) -> bool {
    PASSING.contains(&short(code))
}

/// What a failed call means.
pub(crate) fn of_call<E>(error: &SdkError<E>) -> QueueError
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    if let SdkError::ServiceError(answer) = error {
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or("unknown");
        if status < 500 && status != 429 && !passes(code) {
            let message = answer.err().message().unwrap_or("no text").to_owned();
            return QueueError::Refused { code: code.to_owned(), message };
        }
    }
    QueueError::Unavailable(DisplayErrorContext(error).to_string())
}

/// What a failed entry of a batch means.
pub(crate) fn of_entry(entry: &BatchResultErrorEntry) -> EntryResult {
    let text = format!("{}: {}", entry.code(), entry.message().unwrap_or("no text"));
    let is_hopeless =
        HOPELESS.contains(&short(entry.code())) || (entry.sender_fault() && !passes(entry.code()));
    if is_hopeless { EntryResult::Gone(text) } else { EntryResult::Again(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(code: &str, sender_fault: bool) -> EntryResult {
        let entry = BatchResultErrorEntry::builder().id("0").code(code).sender_fault(sender_fault).build();
        of_entry(&entry.unwrap())
    }

    #[test]
    fn entries_at_fault_are_given_up_and_others_tried_again() {
        assert!(matches!(entry("ReceiptHandleIsInvalid", true), EntryResult::Gone(_)));
        assert!(matches!(entry("AWS.SimpleQueueService.MessageNotInflight", true), EntryResult::Gone(_)));
        assert!(matches!(entry("ReceiptHandleIsInvalid", false), EntryResult::Gone(_)));
        assert!(matches!(entry("InternalError", false), EntryResult::Again(_)));
        assert!(matches!(entry("RequestThrottled", true), EntryResult::Again(_)));
    }
}
