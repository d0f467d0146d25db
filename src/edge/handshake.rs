//! What vendors want besides a 200: Meta's challenge, Salesforce's SOAP acknowledgement, first requests that confirm
//! a subscription.

use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use crate::{
    config::secret::SecretRef,
    edge::answer::{Refusal, Reply, Why, taken, told},
    sources::contract::Handshake,
};

/// Longest challenge that is given back, in bytes. Meta's are ten digits.
const LONGEST_CHALLENGE: usize = 256;

/// Salesforce: all notifications of the request are in our hands.
const SOAP_ACK: &str = r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>"#;

/// The answer to a request that the queue has.
pub(super) fn accepted(handshake: Handshake) -> Reply {
    match handshake {
        Handshake::SoapAck => told("text/xml; charset=utf-8", SOAP_ACK.to_owned()),
        Handshake::None
        | Handshake::MetaChallenge
        | Handshake::EnsConfirmation
        | Handshake::SnsConfirmation => taken(),
    }
}

/// Meta's `GET`: the challenge goes back when the token is the source's.
///
/// # Errors
/// A token that is not ours or not configured; a token of ours that cannot be read.
pub(super) fn challenge(query: &str, token: Option<&SecretRef>) -> Result<Reply, Refusal> {
    let refused = |what: &str| Err(Refusal::new(Why::Handshake, what));
    let mut given = [None, None, None];
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let place = ["hub.mode", "hub.verify_token", "hub.challenge"].iter().position(|known| *known == name);
        if let Some(place) = place {
            given[place] = Some(value.into_owned());
        }
    }
    let [Some(mode), Some(shown), Some(challenge)] = given else {
        return refused("hub.mode, hub.verify_token or hub.challenge is absent");
    };
    let Some(token) = token else { return refused("the source has no verify_token") };
    let token =
        token.read().map_err(|error| Refusal::new(Why::HandshakeLater, format!("verify_token: {error}")))?;
    let same = bool::from(token.expose_secret().as_bytes().ct_eq(shown.as_bytes()));
    if mode != "subscribe" || !same {
        return refused("hub.mode or hub.verify_token is not as configured");
    }
    if challenge.len() > LONGEST_CHALLENGE {
        return refused("hub.challenge is too long");
    }
    Ok(told("text/plain; charset=utf-8", challenge))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(reply: Reply) -> String {
        String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_challenge_goes_back_for_our_token_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "to ken+1\n").unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        let token = SecretRef(format!("file:{}", file.path().display()));
        let why = |query: &str| challenge(query, Some(&token)).err().map(|refusal| refusal.why);

        let good = "hub.mode=subscribe&hub.challenge=115%3C8&hub.verify_token=to%20ken%2B1";
        let reply = challenge(good, Some(&token)).unwrap();
        assert_eq!(reply.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(text(reply).await, "115<8");
        for bad in [
            "",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=to%20ken",
            "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=to%20ken%2B1",
            "hub.mode=subscribe&hub.verify_token=to%20ken%2B1",
            "hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
            &format!("{good}&hub.challenge={}", "9".repeat(300)),
        ] {
            assert_eq!(why(bad), Some(Why::Handshake), "{bad}");
        }
        assert_eq!(challenge(good, None).unwrap_err().why, Why::Handshake);
        let lost = SecretRef("file:/nowhere/at-all".to_owned());
        assert_eq!(challenge(good, Some(&lost)).unwrap_err().why, Why::HandshakeLater);
    }

    #[tokio::test]
    async fn salesforce_is_told_that_we_have_it() {
        let reply = accepted(Handshake::SoapAck);
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["content-type"]),
            (200, &"text/xml; charset=utf-8".parse().unwrap())
        );
        let text = text(reply).await;
        let xml = roxmltree::Document::parse(&text).unwrap();
        let ack = xml
            .descendants()
            .find(|node| node.has_tag_name(("http://soap.sforce.com/2005/09/outbound", "Ack")));
        assert_eq!(ack.unwrap().text(), Some("true"));
        assert_eq!(accepted(Handshake::None).headers().len(), 0);
    }
}
