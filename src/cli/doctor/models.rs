//! Can the models' servers be reached? A connection, and for `https` one page without our key: nothing that costs.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use url::Url;

use crate::{
    cli::doctor::{finding::Finding, patience::in_time},
    config::{ProviderKind, ProviderSettings, Settings},
    http::Http,
};

/// For connecting and one page.
const TIMEOUT: Duration = Duration::from_secs(8);

/// All that are configured, at the same time.
pub(super) async fn check(settings: &Settings, http: &Http) -> Vec<Finding> {
    let outside = settings.llm.providers.iter().filter(|(_, p)| p.kind != ProviderKind::Rules);
    join_all(outside.map(|(name, provider)| async move {
        let check = format!("llm:{name}");
        let Some(server) = server(provider) else {
            let detail = "the AWS SDK decides where it is";
            return Finding::warn(check, detail, "set `region` to have it checked here");
        };
        let place = server.origin().ascii_serialization();
        match in_time(reach(http, &server)).await {
            Ok(how) => Finding::ok(check, format!("{place} {how}")),
            Err(error) => {
                Finding::fail(check, format!("{place}: {error}"), "is base_url right, and the way out open?")
            }
        }
    }))
    .await
}

/// Where its server is; `None` where that is not written anywhere.
fn server(provider: &ProviderSettings) -> Option<Url> {
    let own = match provider.kind {
        ProviderKind::Openai | ProviderKind::OpenaiResponses => "https://api.openai.com".to_owned(),
        ProviderKind::Gemini => "https://generativelanguage.googleapis.com".to_owned(),
        ProviderKind::Anthropic => "https://api.anthropic.com".to_owned(),
        ProviderKind::Bedrock => provider
            .region
            .as_ref()
            .map(|region| format!("https://bedrock-runtime.{region}.amazonaws.com"))
            .unwrap_or_default(),
        ProviderKind::Rules => return None,
    };
    Url::parse(provider.base_url.as_deref().unwrap_or(&own)).ok()
}

async fn reach(http: &Http, server: &Url) -> Result<String, String> {
    let host = server.host_str().ok_or("the URL names no host")?.trim_matches(['[', ']']);
    let port = server.port_or_known_default().ok_or("the URL names no port")?;
    TcpStream::connect((host, port)).await.map_err(|error| format!("cannot connect: {error}"))?;
    if server.scheme() != "https" {
        return Ok("takes connections".to_owned());
    }
    let root = server.join("/").map_err(|error| error.to_string())?;
    let answer = http.get(root.as_str(), TIMEOUT).await.map_err(|error| error.to_string())?;
    Ok(format!("answers over TLS (HTTP {})", answer.status))
}

#[cfg(test)]
mod tests {
    use super::server;
    use crate::config::{ProviderKind, ProviderSettings};

    #[test]
    fn every_maker_has_a_place_and_a_base_url_stands_over_it() {
        let mut settings = ProviderSettings::of_kind(ProviderKind::Anthropic).unwrap();
        assert_eq!(server(&settings).unwrap().as_str(), "https://api.anthropic.com/");
        settings.base_url = Some("http://127.0.0.1:8000/v1".to_owned());
        assert_eq!(server(&settings).unwrap().port(), Some(8000));
        let mut bedrock = ProviderSettings::of_kind(ProviderKind::Bedrock).unwrap();
        assert_eq!(server(&bedrock), None);
        bedrock.region = Some("eu-central-1".to_owned());
        assert_eq!(server(&bedrock).unwrap().host_str(), Some("bedrock-runtime.eu-central-1.amazonaws.com"));
        assert_eq!(server(&ProviderSettings::of_kind(ProviderKind::Rules).unwrap()), None);
    }
}
