//! To which addresses answers may be posted: only where the configuration says so.

use url::Url;

/// The beginnings that are allowed.
#[derive(Clone, Debug, Default)]
pub struct Callbacks(Vec<Url>);

impl Callbacks {
    /// Of `webhooks.callbacks`; what is no URL allows nothing.
    #[must_use]
    pub fn new(beginnings: &[String]) -> Self {
        Self(beginnings.iter().filter_map(|text| Url::parse(text).ok()).collect())
    }

    /// The address in its normal form, when it begins as one of them: same scheme, host and port, and a path below
    /// theirs. Judged by its parts, so that no name, dot or user in it passes for another host or path.
    #[must_use]
    pub fn allowed(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        // A server may undo these once more than we do.
        let hidden = ["%2e", "%2f", "%5c"].iter().any(|code| url.path().to_ascii_lowercase().contains(code));
        let is_below = |beginning: &Url| {
            let rest = url.path().strip_prefix(beginning.path());
            url.origin() == beginning.origin()
                && rest.is_some_and(|rest| {
                    beginning.path().ends_with('/') || rest.is_empty() || rest.starts_with('/')
                })
        };
        (plain && !hidden && self.0.iter().any(is_below)).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::Callbacks;

    #[test]
    fn only_what_lies_below_a_configured_beginning() {
        let callbacks =
            Callbacks::new(&["https://chat.example.com/in/".into(), "http://127.0.0.1:8080".into()]);
        for good in [
            "https://chat.example.com/in/",
            "https://chat.example.com/in/chat/7?x=1",
            "HTTPS://CHAT.example.com:443/in/a",
            "http://127.0.0.1:8080/anything",
        ] {
            assert!(callbacks.allowed(good).is_some(), "{good}");
        }
        for bad in [
            "https://chat.example.com/inside",
            "https://chat.example.com/in/../admin",
            "https://chat.example.com/in/%2e%2e/admin",
            "https://chat.example.com/in/..%2fadmin",
            "https://chat.example.com/",
            "http://chat.example.com/in/",
            "https://chat.example.com:8443/in/",
            "https://chat.example.com.evil.example/in/",
            "https://chat.example.com@evil.example/in/",
            "https://user:pass@chat.example.com/in/",
            "https://evil.example/https://chat.example.com/in/",
            "http://127.0.0.1:80801/",
            "file:///in/",
            "in/",
            "",
        ] {
            assert!(callbacks.allowed(bad).is_none(), "{bad}");
        }
        let path = Callbacks::new(&["https://a.example/in".into()]);
        assert!(
            path.allowed("https://a.example/in/x").is_some()
                && path.allowed("https://a.example/inx").is_none()
        );
        assert!(Callbacks::default().allowed("https://chat.example.com/in/").is_none());
    }
}
