//! Amazon SNS: fields of the JSON body, signed with RSA under a certificate that stands in the configuration. Nothing
//! is fetched: `SigningCertURL` must still be a place of Amazon's. The topic must be listed, because every AWS customer
//! can have a message signed. docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages".

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{envelope::HttpRequest, reason::Reason},
    signature::base64,
    sources::{
        contract::{Evidence, Handshake, Order, Proof, Scheme, SignError, invalid},
        keys::prove,
        public_key::{Algorithm, PrivateKey, PublicKey},
        rejection::Fault,
        unique_json::UniqueObject,
    },
};

const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] =
    &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// The row of the table.
pub(super) const SCHEME: Scheme = Scheme {
    name: "sns",
    headers: &[],
    handshake: Handshake::SnsConfirmation,
    redact: None,
    shape: "JSON with Signature, SignatureVersion and SigningCertURL: RSA over the named fields",
    causes: &[
        "raw delivery is on: such messages carry no signature",
        "the topic is not in topic_arns",
        "Amazon uses another certificate by now",
        "signature version 1 with min_signature_version = 2",
    ],
    verify,
    sign,
};

type Fields = BTreeMap<String, Value>;

fn verify(evidence: &Evidence<'_>) -> Result<Proof, Fault> {
    let candidates = evidence.candidates()?;
    let UniqueObject(fields) = serde_json::from_slice(&evidence.request.body)
        .map_err(|_| invalid("the body is not a JSON object with each name once"))?;
    let signature = required(&fields, "Signature")?;
    let algorithm =
        algorithm(required(&fields, "SignatureVersion")?, evidence.settings.min_signature_version)?;
    if !is_certificate_url(required(&fields, "SigningCertURL")?) {
        return Err(invalid("SigningCertURL is not https://sns.REGION.amazonaws.com[.cn]/....pem"));
    }
    let topic = required(&fields, "TopicArn")?;
    let claimed = base64(signature).ok_or_else(|| invalid("Signature is not base64"))?;
    let message = signed(&fields)?;
    let matched = prove(&candidates, |key| {
        Ok(PublicKey::parse(key, algorithm)?.verifies(message.as_bytes(), &claimed))
    })?;
    if !evidence.settings.topic_arns.iter().any(|listed| listed == topic) {
        return Err(invalid("authentic, but the topic is not one of the source's topic_arns"));
    }
    Ok(Proof::new(matched, None))
}

fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, Fault> {
    match fields.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null | Value::String(_)) => {
            Err((Reason::SigMissing, format!("{name} is absent or empty")))
        }
        Some(_) => Err(invalid(format!("{name} is not text"))),
    }
}

fn algorithm(version: &str, oldest: u8) -> Result<Algorithm, Fault> {
    match version {
        "1" if oldest > 1 => Err(invalid("signature version 1 (SHA-1) is older than min_signature_version")),
        "1" => Ok(Algorithm::RsaSha1),
        "2" if oldest > 2 => Err(invalid("min_signature_version is higher than any that there is")),
        "2" => Ok(Algorithm::RsaSha256),
        _ => Err(invalid("unknown SignatureVersion")),
    }
}

/// A certificate of Amazon's: nothing but `https://sns.REGION.amazonaws.com[.cn]/....pem`, with no port, query or user.
fn is_certificate_url(text: &str) -> bool {
    // What a URL parser would quietly put right is refused: others may put it right in another way.
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let Some(url) = Url::parse(text).ok().filter(|url| plain && url.as_str() == text) else { return false };
    let region = url
        .host_str()
        .and_then(|host| host.strip_prefix("sns."))
        .and_then(|rest| rest.strip_suffix(".amazonaws.com").or(rest.strip_suffix(".amazonaws.com.cn")));
    let is_region = |text: &str| {
        text.len() >= 3 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    url.scheme() == "https"
        && region.is_some_and(is_region)
        && (url.username().is_empty() && url.password().is_none() && url.port().is_none())
        && (url.query().is_none() && url.fragment().is_none())
        && url.path().ends_with(".pem")
}

/// The string that Amazon signs: name and decoded value of certain fields, each in a line of its own.
fn signed(fields: &Fields) -> Result<String, Fault> {
    let names = match required(fields, "Type")? {
        "Notification" => NOTIFICATION,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => CONFIRMATION,
        _ => return Err(invalid("unknown Type")),
    };
    let mut text = String::new();
    for name in names {
        let value = match fields.get(*name) {
            Some(Value::String(value)) => value,
            None | Some(Value::Null) if *name == "Subject" => continue,
            None | Some(Value::Null) => {
                return Err((Reason::SigMissing, format!("{name} is absent")));
            }
            Some(_) => return Err(invalid(format!("{name} is not text"))),
        };
        text.extend([*name, "\n", value, "\n"]);
    }
    Ok(text)
}

fn notification(order: &Order<'_>) -> Result<Fields, SignError> {
    match serde_json::from_slice(&order.body) {
        Ok(UniqueObject(fields)) if fields.contains_key("TopicArn") => Ok(fields),
        _ => {
            let topic = order.settings.topic_arns.first();
            let topic =
                topic.ok_or(SignError::Message("the source needs topic_arns, or the body a TopicArn"))?;
            let text =
                std::str::from_utf8(&order.body).map_err(|_| SignError::Message("the body is not text"))?;
            Ok([("TopicArn", json!(topic)), ("Message", json!(text))].map(|(n, v)| (n.to_owned(), v)).into())
        }
    }
}

/// A notification of version 2: the body, where it is one (what is missing is made up), else one that carries the body
/// on the source's first topic.
fn sign(order: &Order<'_>) -> Result<HttpRequest, SignError> {
    let mut fields = notification(order)?;
    let key = PrivateKey::parse(order.secret, Algorithm::RsaSha256)?;
    let time = order.at.to_calendar().format(&time::format_description::well_known::Rfc3339);
    let region = fields
        .get("TopicArn")
        .and_then(Value::as_str)
        .and_then(|arn| arn.split(':').nth(3))
        .ok_or(SignError::Message("the body needs a TopicArn"))?
        .to_owned();
    fields.insert("SignatureVersion".to_owned(), json!("2"));
    let usual = [
        ("Type", "Notification".to_owned()),
        ("MessageId", order.id.to_owned()),
        ("Timestamp", time.map_err(|_| SignError::Message("the time cannot be written"))?),
        ("SigningCertURL", format!("https://sns.{region}.amazonaws.com/SimpleNotificationService-test.pem")),
    ];
    for (name, value) in usual {
        fields.entry(name.to_owned()).or_insert(Value::String(value));
    }
    let text =
        signed(&fields).map_err(|_| SignError::Message("a field that is signed is missing or not text"))?;
    fields.insert("Signature".to_owned(), json!(STANDARD.encode(key.sign(text.as_bytes())?)));
    Ok(HttpRequest {
        method: order.method.to_owned(),
        url: order.url.to_owned(),
        headers: vec![("content-type".to_owned(), "text/plain; charset=UTF-8".to_owned())],
        body: json!(fields).to_string().into_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazon_s_own_certificate_places_count() {
        let good = [
            "https://sns.eu-north-1.amazonaws.com/SimpleNotificationService-0a.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/a.pem",
        ];
        let bad = [
            "http://sns.eu-north-1.amazonaws.com/a.pem",
            "https://sns.eu-north-1.amazonaws.com.tides.example/a.pem",
            "https://sns.eu-north-1.amazonaws.com@tides.example/a.pem",
            "https://user@sns.eu-north-1.amazonaws.com/a.pem",
            "https://sns.eu-north-1.amazonaws.com:8443/a.pem",
            "https://sns.eu-north-1.amazonaws.com:443/a.pem",
            "https://sns.eu-north-1.amazonaws.com/a.pem?x=.pem",
            "https://sns.eu-north-1.amazonaws.com/a?x=.pem",
            "https://sns.eu-north-1.amazonaws.com/a#.pem",
            "https://sns.eu-north-1.amazonaws.com/a.pem.exe",
            "https://sns.eu-north-1.amazonaws.com\\.tides.example/a.pem",
            "https://SNS.eu-north-1.amazonaws.com/a.pem",
            "https://sns.a.b.amazonaws.com/a.pem",
            "https://sns.amazonaws.com/a.pem",
            "https://snsxeu-north-1.amazonaws.com/a.pem",
            "https://s3.amazonaws.com/sns.eu-north-1/a.pem",
            "https://tides.sns.eu-north-1.amazonaws.com/a.pem",
            "https://sns.eu-north-1.amazonaws.com./a.pem",
            " https://sns.eu-north-1.amazonaws.com/a.pem",
            "https://sns.eu-\tnorth-1.amazonaws.com/a.pem",
            "https:sns.eu-north-1.amazonaws.com/a.pem",
            "//sns.eu-north-1.amazonaws.com/a.pem",
            "",
        ];
        assert!(good.iter().all(|url| is_certificate_url(url)));
        assert_eq!(bad.iter().find(|url| is_certificate_url(url)), None);
    }
}
