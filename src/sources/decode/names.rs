//! Names that messages carry: their forms, and the attributes that say what a body is.

/// Attribute that says what the body is.
pub const FORM: &str = "longshore-form";
/// Attribute that names the sender.
pub const SOURCE: &str = "longshore-source";
/// A vendor's request in an envelope.
pub const ENVELOPE_V1: &str = "envelope.v1";
/// A signed job.
pub const JOB_V1: &str = "job.v1";
/// A wake of our own scheduler.
pub const WAKE_V1: &str = "wake.v1";
/// A vendor's request as the message body.
pub const WEBHOOK_V1: &str = "webhook.v1";
/// What an AWS service sends, in its envelopes.
pub const AWS_V1: &str = "aws.v1";

/// Every form that this release knows.
pub const FORMS: [&str; 5] = [ENVELOPE_V1, JOB_V1, WAKE_V1, WEBHOOK_V1, AWS_V1];

/// Attribute that says how a body was made text.
pub(crate) const BODY_ENCODING: &str = "body-encoding";
/// Attribute, and header, that says how a body is compressed.
pub(crate) const CONTENT_ENCODING: &str = "content-encoding";
/// Attribute with a request's method.
pub(crate) const METHOD: &str = "method";
/// Attribute with a request's URL.
pub(crate) const URL: &str = "url";
/// Attribute with a request's headers, as JSON.
pub(crate) const HEADERS: &str = "headers";
/// Attributes of the extended client libraries: the body is a pointer. The value is the body's size in bytes.
pub(crate) const POINTER_MARKS: [&str; 2] = ["ExtendedPayloadSize", "SQSLargePayloadSize"];
