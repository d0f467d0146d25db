//! Why signatures usually fail, whatever the scheme: for the explanation of a captured request.

/// Bytes are signed, not text.
pub(super) const BODY: &str =
    "the body was parsed, re-encoded or trimmed before it was captured: the bytes as sent are signed";
/// Another key.
pub(super) const KEY: &str = "the key belongs to another app, account or environment, or was rotated";
/// Another URL.
pub(super) const URL: &str =
    "the URL differs from the one the vendor calls (scheme, host, port, path, query): set public_url";
/// Another time.
pub(super) const AGE: &str = "the request is older than the tolerance, or a clock is wrong";
