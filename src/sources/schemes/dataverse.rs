//! Dataverse (Dynamics 365) and others that sign nothing but show a shared value: in a header (`HttpHeader`) or in
//! the URL (`WebhookKey`, `HttpQueryString`), as `credential_in` says. The `x-ms-dynamics-*` headers prove nothing.
//! learn.microsoft.com, "Register a webhook". Prefer a header: URLs end up in access logs.

use url::form_urlencoded::{byte_serialize, parse};

use crate::{
    config::{CredentialPlace, USUAL_CREDENTIAL_HEADER},
    domain::{envelope::HttpRequest, reason::Reason},
    signature::{EMPTY, same},
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        rejection::Fault,
        usual,
    },
};

/// Says what `credential_in` must look like.
const SHAPE: &str = "credential_in must be `header:NAME` or `query:NAME`";

/// The row of the table. An edge must also keep the header that `SourceSettings::credential_place` names, whatever
/// its name.
pub(super) const SCHEME: Scheme = Scheme {
    name: "dataverse",
    headers: &[USUAL_CREDENTIAL_HEADER],
    handshake: Handshake::None,
    redact: None,
    shape: "the agreed value where credential_in says",
    causes: &["credential_in names another place", "the parameter stands twice", usual::KEY],
    verify,
    sign,
};

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    // Our mistake, not the sender's: the message waits until it is mended.
    let place = evidence.settings.credential_place().ok_or((Reason::SecretUnavailable, SHAPE.to_owned()))?;
    let shown = match place {
        CredentialPlace::Header(name) => vec![evidence.required(name)?],
        CredentialPlace::Query(name) => in_query(&evidence.request.url, name)?,
    };
    let matched = prove(&candidates, |secret| match secret {
        "" => Err(EMPTY),
        _ => Ok(shown.iter().fold(false, |found, value| found | same(secret.as_bytes(), value.as_bytes()))),
    })?;
    Ok(Proof::new(matched, None))
}

/// The one parameter of this name, as it stands and decoded: whether the sender escapes it is not documented, and
/// both show that it knows the value.
fn in_query(url: &str, name: &str) -> Result<Vec<String>, Fault> {
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    let mut found = query.split('&').filter_map(|field| {
        let (_, value) = parse(field.as_bytes()).next().filter(|(found, _)| found == name)?;
        let raw = field.split_once('=').map_or("", |(_, raw)| raw);
        Some(vec![raw.to_owned(), value.into_owned()])
    });
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(invalid(format!("parameter {name} is given more than once"))),
        (Some(values), None) if values.iter().any(|value| !value.is_empty()) => Ok(values),
        _ => Err((Reason::SigMissing, format!("parameter {name} is absent or empty"))),
    }
}

fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    if order.secret.is_empty() {
        return Err(EMPTY.into());
    }
    let mut request = order.request([("content-type", "application/json".to_owned())]);
    match order.settings.credential_place().ok_or(SignError::Message(SHAPE))? {
        CredentialPlace::Header(name) => {
            request.headers.push((name.to_ascii_lowercase(), order.secret.to_owned()));
        }
        CredentialPlace::Query(name) => {
            let joint = if order.url.contains('?') { '&' } else { '?' };
            let [name, value] =
                [name, order.secret].map(|text| byte_serialize(text.as_bytes()).collect::<String>());
            request.url = format!("{}{joint}{name}={value}", order.url);
        }
    }
    Ok(request)
}
