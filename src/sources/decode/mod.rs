//! `Loaded` -> `Envelope`: what a message body holds, strictly read and not yet believed. One file for each form.

mod aws_shape;
mod aws_v1;
mod envelope_v1;
mod loaded;
mod names;
mod request;
mod wake_v1;

use crate::{
    domain::{
        envelope::{Envelope, Form, Seal},
        ids::SourceName,
        reason::Reason,
    },
    sources::{
        gzip::{self, LARGEST_UNPACKED},
        rejection::{Rejection, malformed},
    },
};

pub use loaded::{Loaded, load};
pub(crate) use names::CONTENT_ENCODING;
pub use names::{AWS_V1, ENVELOPE_V1, FORM, FORMS, JOB_V1, SOURCE, WAKE_V1, WEBHOOK_V1};

/// What the queue's configuration says about its messages.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Form of messages without [`FORM`].
    pub form: Option<String>,
    /// Source of messages that name none.
    pub source: Option<String>,
    /// Does the queue's policy vouch for the senders?
    pub trusted: bool,
}

/// Reads a message body by its form. Only on a queue whose policy vouches for the senders a message without a form
/// counts as what an AWS service sends; otherwise nothing is guessed.
///
/// # Errors
/// `unknown_form`, `unknown_version`, `oversize`, `envelope_malformed` or, for a message that names no sender,
/// `unknown_source`.
pub fn decode(loaded: &Loaded<'_>, defaults: &Defaults) -> Result<Envelope, Rejection> {
    let form = match loaded.attribute(FORM).or_else(|| defaults.form.clone()).as_deref() {
        Some(ENVELOPE_V1) if packed(loaded)? => envelope_v1::decode(&unpacked(&loaded.body)?)?,
        Some(ENVELOPE_V1) => envelope_v1::decode(&loaded.body)?,
        Some(JOB_V1) => Form::Job { source: source(loaded, defaults)?, packed: packed(loaded)? },
        Some(WAKE_V1) => wake_v1::decode(&loaded.body)?,
        Some(WEBHOOK_V1) => {
            let source = source(loaded, defaults)?;
            let request = request::request(loaded).map_err(|rejection| rejection.claimed_by(&source))?;
            Form::Webhook { source, request }
        }
        Some(AWS_V1) if defaults.trusted => aws_v1::decode(loaded)?,
        Some(AWS_V1) => return Err(untrusted()),
        Some(other) => return Err(unknown_form(other)),
        None if defaults.trusted => aws_v1::detect(loaded)?,
        None => return Err(Rejection::new(Reason::UnknownForm, "no longshore-form attribute")),
    };
    Ok(Envelope {
        seal: Seal {
            id: loaded.attribute("webhook-id"),
            timestamp: loaded.attribute("webhook-timestamp"),
            signature: loaded.attribute("webhook-signature"),
            key_id: loaded.attribute("webhook-key-id"),
        },
        sealed: loaded.body.clone().into_owned(),
        sent_at: loaded.delivery.sent_at,
        content_hash: loaded.delivery.content_hash(),
        form,
    })
}

/// The sender that a message names, or its queue.
fn source(loaded: &Loaded<'_>, defaults: &Defaults) -> Result<SourceName, Rejection> {
    let named = loaded.source(SOURCE)?.or_else(|| defaults.source.clone().map(SourceName));
    named.ok_or_else(|| Rejection::new(Reason::UnknownSource, "no longshore-source attribute"))
}

/// Did the sender compress the message body?
fn packed(loaded: &Loaded<'_>) -> Result<bool, Rejection> {
    match loaded.attribute(CONTENT_ENCODING).as_deref() {
        None => Ok(false),
        Some("gzip") => Ok(true),
        Some(_) => Err(malformed("attribute `content-encoding` can only be `gzip`")),
    }
}

/// A compressed message body; its seal covers it as sent.
fn unpacked(body: &str) -> Result<String, Rejection> {
    gzip::unpack_text(body, LARGEST_UNPACKED).map_err(|(reason, detail)| Rejection::new(reason, detail))
}

fn untrusted() -> Rejection {
    Rejection::new(Reason::UnknownForm, "aws.v1 counts only on a queue with `trust = \"queue\"`")
}

/// A form that we know in another version is told apart from one that we never heard of.
fn unknown_form(form: &str) -> Rejection {
    let known = FORMS.iter().filter_map(|known| known.rsplit_once('.'));
    let name = form.rsplit_once(".v").map(|(name, _)| name);
    match known.map(|(known, _)| known).find(|known| Some(*known) == name) {
        Some(known) => {
            Rejection::new(Reason::UnknownVersion, format!("a version of the {known} form other than v1"))
        }
        None => Rejection::new(Reason::UnknownForm, format!("a form other than {}", FORMS.join(", "))),
    }
}
