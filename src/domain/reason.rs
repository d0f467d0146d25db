//! The closed list of reasons why something was not simply done.

use serde::{Deserialize, Serialize};

/// What a reason means for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Trying again cannot help: buried.
    Fatal,
    /// Our fault or the vendor's, likely to pass: tried again with backoff, counted as a failure.
    Retry,
    /// Not now: comes back later, never counted as a failure.
    Defer,
}

macro_rules! reasons {
    ($($variant:ident = $code:literal, $class:ident, $operator:literal, $user:literal;)+) => {
        /// Why an event was buried, retried or deferred. Codes are stable: they stand in tables, metrics and on the DLQ.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $(#[doc = $operator] #[serde(rename = $code)] $variant,)+
        }

        impl Reason {
            /// All reasons, in the order of the way a delivery takes.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What it means for the event.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)+ }
            }

            /// What an operator should know.
            #[must_use]
            pub fn operator_text(self) -> &'static str {
                match self { $(Self::$variant => $operator,)+ }
            }

            /// What an end user may be told.
            #[must_use]
            pub fn user_text(self) -> &'static str {
                match self { $(Self::$variant => $user,)+ }
            }
        }
    };
}

reasons! {
    EnvelopeMalformed = "envelope_malformed", Fatal, "The message body is not what its form promises.", "The message could not be read.";
    Oversize = "oversize", Fatal, "The request body is larger than the source allows.", "The message is too large.";
    ObjectMissing = "object_missing", Fatal, "The object that holds the body does not exist.", "The message could not be read.";
    ObjectRefused = "object_refused", Fatal, "The message points to a bucket that is not listed in `objects.buckets`.", "The message could not be read.";
    UnknownForm = "unknown_form", Fatal, "No `longshore-form` attribute, no default form for the queue, or a form that this version does not know.", "The message could not be read.";
    UnknownVersion = "unknown_version", Fatal, "The envelope, job or message type has a version that this release does not know.", "The message could not be read.";
    SigMissing = "sig_missing", Fatal, "A header that the scheme requires is absent or empty.", "The sender could not be verified.";
    SigInvalid = "sig_invalid", Fatal, "The signature matches no active key: forged, altered on the way, or a key is missing here.", "The sender could not be verified.";
    SigExpired = "sig_expired", Fatal, "The signature is right but its time lies outside the tolerance.", "The message arrived too late to be trusted.";
    SigNoKey = "sig_no_key", Fatal, "The source has no usable key: configure one.", "The sender could not be verified.";
    UnknownSource = "unknown_source", Fatal, "No source of this name is configured, or its edge may not speak for it.", "The sender is not known.";
    PayloadMalformed = "payload_malformed", Fatal, "The verified body is not valid JSON of the expected shape.", "The message could not be read.";
    SchemaMismatch = "schema_mismatch", Fatal, "The item breaks its schema; the detail names the place.", "The message is incomplete.";
    UnknownType = "unknown_type", Fatal, "The sender is known, this type of event is not.", "This kind of message is not supported.";
    TooOld = "too_old", Fatal, "The event is older than 44 days by its own time: duplicates of it can no longer be recognised.", "The message is too old.";
    TenantUnknown = "tenant_unknown", Fatal, "No tenant is configured for the sender's account.", "The account is not known.";
    Expired = "expired", Fatal, "The event's own deadline had passed before it could be worked.", "The message was no longer useful.";
    LlmRefused = "llm_refused", Fatal, "The model refused, or a content filter blocked the question or the answer.", "The request was declined.";
    InvalidOutput = "invalid_output", Fatal, "The model's answer broke the schema, also after one repair.", "No usable answer could be made.";
    VendorRefused = "vendor_refused", Fatal, "The vendor refused the call for good; the detail holds its code.", "The message could not be delivered.";
    HandlerPanic = "handler_panic", Fatal, "The handler panicked twice: a defect in Longshore.", "Something went wrong on our side.";
    AttemptsExhausted = "attempts_exhausted", Fatal, "Every allowed attempt failed; the detail holds the last failure.", "Something went wrong on our side.";
    CrashLoop = "crash_loop", Fatal, "The process died twice while this event ran alone.", "Something went wrong on our side.";
    LlmUnavailable = "llm_unavailable", Retry, "The model's provider failed or did not answer in time.", "An answer is delayed.";
    HandlerTimeout = "handler_timeout", Retry, "The handler ran into its time limit.", "An answer is delayed.";
    HandlerFailed = "handler_failed", Retry, "The handler failed in a way that may pass.", "An answer is delayed.";
    StoreUnavailable = "store_unavailable", Defer, "The database did not answer.", "An answer is delayed.";
    SecretUnavailable = "secret_unavailable", Defer, "A configured secret cannot be read.", "An answer is delayed.";
    ObjectUnavailable = "object_unavailable", Defer, "The store of large bodies does not answer, or does not let us read.", "An answer is delayed.";
    NotDue = "not_due", Defer, "The event asks to be worked later.", "Scheduled for later.";
    Busy = "busy", Defer, "Another delivery of the same event is being worked.", "Already being worked.";
    RateLimited = "rate_limited", Defer, "The provider asks to wait.", "An answer is delayed.";
    RouteDown = "route_down", Defer, "Every model of the prompt's route is down, resting or out of credit; the event waits.", "An answer is delayed.";
    BudgetExhausted = "budget_exhausted", Defer, "The tenant's budget does not allow the call; the event waits for the reset.", "An answer is delayed.";
    SenderRateLimited = "sender_rate_limited", Defer, "Its sender sends more events than `sources.NAME.sender_events_per_minute` allows.", "An answer is delayed.";
}

impl Reason {
    /// The reason with this code, if there is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}
