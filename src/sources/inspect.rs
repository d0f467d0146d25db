//! A request looked at on its own, outside the pipeline: for tools, edges and benchmarks. Nothing here makes a
//! `Verified`.

use crate::{
    config::SourceSettings,
    domain::{envelope::HttpRequest, event::Fact, reason::Reason, timestamp::Timestamp},
    sources::{
        contract::{Evidence, Scheme, Vendor},
        read::{items, tenant_of},
        rejection::{ItemRejection, shorten},
    },
};

/// Checks a request's signature as if it had been received at `now`. On failure: `sig_missing`, `sig_invalid`,
/// `sig_expired`, `sig_no_key` or `secret_unavailable`, and why.
///
/// # Errors
/// When the signature does not hold. `sig_expired` means authentic.
pub fn prove(
    scheme: &Scheme,
    settings: &SourceSettings,
    request: &HttpRequest,
    now: Timestamp,
) -> Result<(), (Reason, String)> {
    let proof = (scheme.verify)(&Evidence { request, settings, now })?;
    proof.doubt.map_or(Ok(()), Err)
}

/// One item of a body, as its vendor means it: without a tenant, and believed by nobody.
#[derive(Debug)]
pub struct Seen {
    /// The vendor's own name for what happened.
    pub vendor_type: String,
    /// The sender's account.
    pub account: String,
    /// The sender's own id, composite where that is not unique.
    pub id: String,
    /// When it happened, as told.
    pub occurred_at: Option<Timestamp>,
    /// Worked in order with others of this name.
    pub order_key: Option<String>,
    /// What happened.
    pub fact: Fact,
}

/// Takes a body apart without asking who sent it.
#[must_use]
pub fn take_apart(
    vendor: &Vendor,
    settings: &SourceSettings,
    request: &HttpRequest,
    received_at: Timestamp,
) -> Vec<Result<Seen, ItemRejection>> {
    let seen = items(vendor, settings, request, (received_at, false)).into_iter().map(|item| {
        let (index, json) = (item.index, item.json);
        let draft = item.draft.map_err(|(reason, detail)| ItemRejection {
            index,
            reason,
            detail: shorten(detail),
            item: json,
        })?;
        Ok(Seen {
            vendor_type: draft.vendor_type,
            account: draft.account,
            id: draft.id,
            occurred_at: draft.occurred_at,
            order_key: draft.order_key,
            fact: draft.fact,
        })
    });
    seen.collect()
}

/// The tenant of what this account sends; of the source where no account decides.
#[must_use]
pub fn tenant<'a>(vendor: &Vendor, settings: &'a SourceSettings, account: &str) -> Option<&'a str> {
    tenant_of(vendor, settings, account)
}
