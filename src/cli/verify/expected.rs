//! What each scheme expects, as a shape, and why it usually fails.

/// For people: nothing here decides anything.
pub(super) struct Expected {
    /// What a signature looks like, and what is signed.
    pub(super) shape: &'static str,
    /// The usual reasons why it fails.
    pub(super) causes: &'static [&'static str],
}

const BODY: &str =
    "the body was parsed, re-encoded or trimmed before it was captured: the bytes as sent are signed";
const KEY: &str = "the key belongs to another app, account or environment, or was rotated";
const URL: &str =
    "the URL differs from the one the vendor calls (scheme, host, port, path, query): set public_url";
const AGE: &str = "the request is older than the tolerance, or a clock is wrong";

/// What a scheme expects; schemes without words of their own get general ones.
pub(super) fn expected(scheme: &str) -> Expected {
    let (shape, causes): (_, &[_]) = match scheme {
        "meta-sha256" => (
            "sha256= and 64 hex digits: HMAC-SHA256 of the body",
            &[BODY, KEY, "the key must be the app secret, not an access or verify token"],
        ),
        "hubspot-v1" => (
            "64 hex digits: SHA-256 of secret and body",
            &[BODY, KEY, "the app sends v3 by now: use hubspot-v3"],
        ),
        "hubspot-v2" => ("64 hex digits: SHA-256 of secret, method, URL and body", &[URL, BODY, KEY]),
        "hubspot-v3" => (
            "base64 of 32 bytes: HMAC-SHA256 of method, URL, body and the timestamp in milliseconds",
            &[URL, BODY, KEY, AGE],
        ),
        "gohighlevel" => (
            "x-ghl-signature, base64 of 64 bytes: Ed25519 of the body",
            &[
                BODY,
                "the key is not the vendor's published Ed25519 key",
                "only the retired x-wh-signature is there: it counts up to legacy_until only",
            ],
        ),
        "twilio" => (
            "base64 of 20 bytes (SharedKey: 32): HMAC of the URL and the sorted form fields",
            &[URL, "a form field was lost, decoded or re-ordered", KEY],
        ),
        "mandrill" => (
            "base64 of 20 bytes: HMAC-SHA1 of the URL and the sorted form fields",
            &[URL, "the slash at the end of the URL counts", KEY],
        ),
        "telnyx" => (
            "base64 of 64 bytes: Ed25519 of timestamp|body",
            &[BODY, AGE, "the key is not the account's public key"],
        ),
        "sendgrid" => (
            "base64 of an ASN.1 signature (about 70 bytes): ECDSA on P-256 of timestamp and body",
            &["the line end (CRLF) behind the body was lost", BODY, "the public key was regenerated"],
        ),
        "vonage-jwt" => (
            "Bearer and a JWT of three parts, HS256, with iat and payload_hash",
            &[BODY, "the key must be the signature secret, not the API secret", AGE],
        ),
        "basic-auth" => {
            ("Basic and base64 of user:password", &["a proxy took the authorization header away", KEY])
        }
        "dataverse" => (
            "the agreed value where credential_in says",
            &["credential_in names another place", "the parameter stands twice", KEY],
        ),
        "standard-webhooks" | "svix" | "longshore" => (
            "space-separated v1,base64 (HMAC-SHA256) or v1a,base64 (Ed25519) of id.timestamp.body",
            &[BODY, "the secret was used as text: what stands behind whsec_ must be decoded", KEY, AGE],
        ),
        "stripe" => (
            "t=seconds,v1=64 hex digits: HMAC-SHA256 of t.body",
            &[
                BODY,
                "every endpoint has a secret of its own, as has the command line tool",
                "the whole whsec_ text is the key: it is not decoded",
                AGE,
            ],
        ),
        "slack" => (
            "v0= and 64 hex digits: HMAC-SHA256 of v0:timestamp:body",
            &["the form was decoded before it was captured", KEY, AGE],
        ),
        "salesforce-ens" => (
            "base64 of 32 bytes: HMAC-SHA256 of the body under the key as text",
            &[BODY, KEY, "the first request after registration is not signed"],
        ),
        "salesforce-datacloud" => (
            "base64 of 32 bytes: HMAC-SHA256 of the body",
            &[BODY, "a new key takes up to 15 minutes to count", "the other value of escaped_body"],
        ),
        "sns" => (
            "JSON with Signature, SignatureVersion and SigningCertURL: RSA over the named fields",
            &[
                "raw delivery is on: such messages carry no signature",
                "the topic is not in topic_arns",
                "Amazon uses another certificate by now",
                "signature version 1 with min_signature_version = 2",
            ],
        ),
        "salesforce-outbound-message" => (
            "a SOAP envelope with one OrganizationId right under notifications",
            &[
                "the organisation (production or sandbox) is not in organization_ids",
                "the body was cut or re-encoded",
            ],
        ),
        "queue" => (
            "nothing: the queue's policy decides who may send",
            &["the request came another way than through a queue with trust = \"queue\""],
        ),
        _ => ("the vendor's signature over what it sent", &[BODY, KEY, URL, AGE]),
    };
    Expected { shape, causes }
}
