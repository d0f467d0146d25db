//! Which URLs may be posted to: those that begin as one that the operator named. Compared as parsed URLs, never as
//! text: `https://good.example.evil.test` begins with `https://good.example` and is another machine.

use url::Url;

/// Longest URL that is taken, in bytes.
const LONGEST: usize = 2048;

/// The beginnings that the operator named.
#[derive(Clone, Debug, Default)]
pub struct Callbacks(Vec<Url>);

impl Callbacks {
    /// Of `webhooks.callbacks`.
    ///
    /// # Errors
    /// When one of them is no http(s) URL.
    pub fn new(beginnings: &[String]) -> Result<Self, String> {
        let read = |text: &String| {
            let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.ok_or_else(|| format!("webhooks.callbacks: `{text}` is no http(s) URL"))
        };
        beginnings.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The URL, where it begins as one of them: the same scheme, host and port, and a path below theirs.
    ///
    /// # Errors
    /// Why it may not be posted to. Holds nothing of the URL but its origin.
    pub fn allowed(&self, text: &str) -> Result<Url, String> {
        if text.len() > LONGEST {
            return Err(format!("the URL is longer than {LONGEST} bytes"));
        }
        let mut url = Url::parse(text).map_err(|error| format!("the URL cannot be read: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL is not http(s)".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user: such names are made to look like hosts".to_owned());
        }
        if hides_a_step(url.path()) {
            return Err("the URL's path hides a step: who reads it may leave the folder".to_owned());
        }
        if !self.0.iter().any(|beginning| begins(&url, beginning)) {
            let origin = url.origin().ascii_serialization();
            return Err(format!("nothing in webhooks.callbacks is the beginning of this URL at {origin}"));
        }
        url.set_fragment(None);
        Ok(url)
    }
}

fn begins(url: &Url, beginning: &Url) -> bool {
    let path = beginning.path();
    let folder = path.strip_suffix('/').unwrap_or(path);
    let below = url.path().strip_prefix(folder).is_some_and(|rest| match rest {
        // A beginning that ends with a slash is a folder, not the page of the same name.
        "" => !path.ends_with('/') || path == "/",
        rest => rest.starts_with('/'),
    });
    url.origin() == beginning.origin() && below
}

/// Parsing has resolved `..`, also as `%2e%2e`. What is left of such a step (`..;`, `..%2f`) is resolved by nobody but
/// the other side, after our check.
fn hides_a_step(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    ["..", "%2e", "%2f", "%5c"].iter().any(|step| path.contains(step))
}

#[cfg(test)]
mod tests {
    use super::Callbacks;
    use proptest::prelude::*;

    fn callbacks() -> Callbacks {
        let beginnings = [
            "https://chat.example.com/longshore/",
            "http://127.0.0.1:9000/exact",
            "https://whole.example.com",
        ];
        Callbacks::new(&beginnings.map(str::to_owned)).unwrap()
    }

    #[test]
    fn what_lies_below_a_beginning_is_allowed() {
        for good in [
            "https://chat.example.com/longshore/a",
            "https://chat.example.com/longshore/a/b?c=d",
            "https://CHAT.example.com:443/longshore/a#x",
            "https://chat.example.com/longshore/./x",
            "http://127.0.0.1:9000/exact",
            "http://127.0.0.1:9000/exact?session=1",
            "http://127.0.0.1:9000/exact/below",
            "https://whole.example.com",
            "https://whole.example.com/anything",
        ] {
            let url = callbacks().allowed(good).unwrap_or_else(|why| panic!("{good}: {why}"));
            assert_eq!(url.fragment(), None, "{good}");
        }
    }

    #[test]
    fn what_only_looks_like_a_beginning_is_refused() {
        for bad in [
            "https://chat.example.com.evil.test/longshore/a",
            "https://chat.example.com@evil.test/longshore/a",
            "https://chat.example.com:x@evil.test/longshore/a",
            "https://evil.test/https://chat.example.com/longshore/",
            "https://evil.test\\@chat.example.com/longshore/",
            "https://someone@chat.example.com/longshore/a",
            "http://chat.example.com/longshore/a",
            "https://chat.example.com:8443/longshore/a",
            "https://chat.example.com/longshoreman/a",
            "https://chat.example.com/longshore",
            "https://chat.example.com/longshore/../admin",
            "https://chat.example.com/longshore/%2e%2e/admin",
            "https://chat.example.com/longshore/%2E%2e%2Fadmin",
            "https://chat.example.com/longshore/..%5cadmin",
            "https://chat.example.com/longshore/..;/admin",
            "https://chat.example.com/longshore/x%2e%2e;/admin",
            "https://chat.example.com/longshore\\..\\admin",
            "http://127.0.0.1:9000/exactly",
            "http://127.0.0.1:90/exact",
            "http://127.0.0.1.evil.test:9000/exact",
            "file:///longshore/",
            "javascript:alert(1)",
            "//chat.example.com/longshore/a",
            "/longshore/a",
            "",
        ] {
            assert!(callbacks().allowed(bad).is_err(), "{bad}");
        }
        assert!(
            Callbacks::default().allowed("https://chat.example.com/longshore/a").is_err(),
            "none is named: none is allowed"
        );
        let long = format!("https://chat.example.com/longshore/{}", "a".repeat(3_000));
        assert!(callbacks().allowed(&long).is_err());
        assert!(Callbacks::new(&["ftp://chat.example.com/".to_owned()]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_allowed_goes_to_a_named_host_below_its_path(tail in "[ -~]{0,40}", before in "[ -~]{0,20}") {
            for text in [format!("https://chat.example.com{tail}"), format!("https://{before}chat.example.com/longshore/{tail}")] {
                if let Ok(url) = callbacks().allowed(&text) {
                    prop_assert_eq!(url.host_str(), Some("chat.example.com"));
                    prop_assert!(url.path().starts_with("/longshore/") && !url.path().contains("/../"));
                }
            }
        }
    }
}
