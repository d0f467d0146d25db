//! Compressed bodies, unpacked as a stream and never beyond a limit: a small body can hold a large one.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::bufread::MultiGzDecoder;

use crate::{domain::reason::Reason, sources::rejection::Fault};

/// Largest message body once unpacked, in bytes.
pub(super) const LARGEST_UNPACKED: usize = 8 * 1_048_576;

/// Unpacks gzip (RFC 1952): all members in a row, nothing behind them.
///
/// # Errors
/// `oversize` when more than `limit` bytes come out; `wrong` when it is not gzip to its end.
pub(super) fn unpack(packed: &[u8], limit: usize, wrong: Reason) -> Result<Vec<u8>, Fault> {
    let mut whole = Vec::new();
    let mut stream = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    stream.read_to_end(&mut whole).map_err(|_| (wrong, "not gzip, or cut short".to_owned()))?;
    if whole.len() > limit {
        return Err((Reason::Oversize, format!("unpacked more than {limit} bytes")));
    }
    Ok(whole)
}

/// Unpacks a message body: base64 of gzip of text.
///
/// # Errors
/// As [`unpack`]; what is not text is `envelope_malformed`, too.
pub(super) fn unpack_text(body: &str, limit: usize) -> Result<String, Fault> {
    let malformed = |what: &str| (Reason::EnvelopeMalformed, what.to_owned());
    let packed = STANDARD.decode(body).map_err(|_| malformed("the compressed body is not base64"))?;
    let whole = unpack(&packed, limit, Reason::EnvelopeMalformed)?;
    String::from_utf8(whole).map_err(|_| malformed("the unpacked body is not UTF-8 text"))
}
