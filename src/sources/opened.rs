//! `Envelope` -> `Opened` -> `Complete`: the seal is proved first, and only then is fetched what it refers to.

use crate::{
    domain::{
        envelope::{Envelope, Form, Seal},
        reason::Reason,
        timestamp::Timestamp,
    },
    sources::{
        objects::Objects,
        rejection::{Fault, Rejection},
        schemes::longshore::{Signed, check},
        senders::Senders,
    },
};

/// What an edge key must list to seal wakes. `*` does not include it: an edge has no business waking events.
pub(super) const WAKE: &str = "wake";
/// How far the clock of an edge may be off against the queue's.
const SEAL_TOLERANCE: std::time::Duration = std::time::Duration::from_secs(300);

/// An envelope whose seal was proved, where its form has one. Its sender is not.
pub struct Opened {
    envelope: Envelope,
    doubt: Option<Fault>,
}

/// The same, with its whole body.
pub struct Complete {
    pub(super) envelope: Envelope,
    /// The seal is authentic, but counts only if the store knows it.
    pub(super) doubt: Option<Fault>,
}

/// Checks the seal.
///
/// # Errors
/// `sig_missing`, `sig_invalid`, `sig_no_key`, `unknown_source`; or `secret_unavailable`, a deferral.
pub fn open(envelope: Envelope, senders: &Senders) -> Result<Opened, Rejection> {
    let sealing = (&envelope.seal, envelope.sealed.as_str(), envelope.sent_at);
    let doubt = match &envelope.form {
        Form::Request { source, .. } => open_seal(senders, sealing, source.as_str())
            .map_err(|(reason, detail)| Rejection::new(reason, detail).claimed_by(source))?,
        Form::Wake { .. } => {
            open_seal(senders, sealing, WAKE).map_err(|(reason, detail)| Rejection::new(reason, detail))?
        }
        Form::Job { .. } | Form::Webhook { .. } | Form::Aws(_) | Form::Test => None,
    };
    Ok(Opened { envelope, doubt })
}

/// Fetches a body that the sealed envelope only refers to.
///
/// # Errors
/// `unknown_source`, `oversize`, `object_refused`, `object_missing`, `sig_invalid` for another object than the sealed
/// one; or `object_unavailable`, a deferral.
pub async fn complete(opened: Opened, senders: &Senders, objects: &Objects) -> Result<Complete, Rejection> {
    let Opened { mut envelope, doubt } = opened;
    if let Form::Request { source, request, body_ref, .. } = &mut envelope.form
        && let Some(place) = body_ref.take()
    {
        let reject = |(reason, detail): Fault| Rejection::new(reason, detail).claimed_by(source);
        let largest = senders.find(source).map_err(reject)?.settings.max_body;
        request.body = objects.referred_to(&place, largest).await.map_err(reject)?;
    }
    Ok(Complete { envelope, doubt })
}

/// Checks the seal, judged by the time of the queue, and that its key may speak for `speaks_for`. Answers with
/// the doubt, if there is one.
fn open_seal(
    senders: &Senders,
    (seal, sealed, sent_at): (&Seal, &str, Timestamp),
    speaks_for: &str,
) -> Result<Option<Fault>, Fault> {
    let signed = Signed {
        id: seal.id.as_deref(),
        timestamp: seal.timestamp.as_deref(),
        signature: seal.signature.as_deref(),
        key_id: seal.key_id.as_deref(),
        body: sealed.as_bytes(),
    };
    let keys = senders.seal_keys.iter().map(|edge| &edge.key);
    let proof = check(&signed, keys, sent_at, SEAL_TOLERANCE)
        .map_err(|(reason, detail)| (reason, format!("seal: {detail}")))?;
    let listed = senders.seal_keys.get(proof.key).is_some_and(|edge| {
        edge.sources.iter().any(|name| name == speaks_for || (name == "*" && speaks_for != WAKE))
    });
    if listed {
        Ok(proof.doubt.map(|(reason, detail)| (reason, format!("seal: {detail}"))))
    } else {
        Err((Reason::UnknownSource, "the sealing key may not speak for this source".to_owned()))
    }
}
