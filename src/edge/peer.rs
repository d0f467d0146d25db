//! Who called: what the connection, or a trusted proxy in front, says.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};

use crate::{config::IntakeSettings, domain::envelope::Peer};

/// Which headers of the proxy are believed: those that the configuration names, no others.
#[derive(Debug)]
pub(super) struct Peers {
    certificate: Option<HeaderName>,
    ip: Option<HeaderName>,
}

impl Peers {
    pub(super) fn new(settings: &IntakeSettings) -> Self {
        let name = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        Self { certificate: name(&settings.client_certificate_header), ip: name(&settings.client_ip_header) }
    }

    /// The caller of this request.
    pub(super) fn of(&self, headers: &HeaderMap, remote: SocketAddr) -> Peer {
        let last =
            |name: &Option<HeaderName>| headers.get_all(name.as_ref()?).iter().next_back()?.to_str().ok();
        let ip = last(&self.ip).and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
        Peer {
            tls_client_cert_sha256: last(&self.certificate).and_then(fingerprint),
            ip: Some(ip.unwrap_or_else(|| remote.ip()).to_canonical().to_string()),
        }
    }
}

/// 64 hex digits in lower case, from any of the usual spellings.
fn fingerprint(text: &str) -> Option<String> {
    let hex = text.trim().replace(':', "").to_ascii_lowercase();
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(settings: &str, headers: &[(&'static str, &str)]) -> Peer {
        let settings = crate::config::from_toml(settings, &[]).unwrap().settings;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Peers::new(&settings.intake).of(&map, "[::ffff:192.0.2.1]:5".parse().unwrap())
    }

    #[test]
    fn only_configured_headers_are_believed() {
        let print = "AB".repeat(32);
        let sent: &[(&'static str, &str)] =
            &[("x-cert", &print), ("x-forwarded-for", "203.0.113.9, 198.51.100.7")];
        let plain = Peer { tls_client_cert_sha256: None, ip: Some("192.0.2.1".to_owned()) };
        assert_eq!(peer("", sent), plain);
        let told = peer(
            "intake.client_certificate_header = \"X-Cert\"\nintake.client_ip_header = \"x-forwarded-for\"",
            sent,
        );
        assert_eq!(told.tls_client_cert_sha256, Some("ab".repeat(32)));
        assert_eq!(told.ip.as_deref(), Some("198.51.100.7"), "what the nearest proxy added");
    }

    #[test]
    fn what_is_no_fingerprint_is_none() {
        let pairs = ["0A"; 32].join(":");
        assert_eq!(fingerprint(&pairs), Some("0a".repeat(32)));
        for text in ["", "NONE", "0a", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(fingerprint(text), None, "{text}");
        }
    }
}
