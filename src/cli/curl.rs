//! A request as a curl line that a shell takes, byte for byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::domain::envelope::HttpRequest;

/// A line that sends this request to `url`. A body that a shell could not take as text travels as base64.
pub(super) fn line(request: &HttpRequest, url: &str) -> String {
    let mut words = vec!["curl".to_owned(), "-sS".to_owned(), "-X".to_owned(), quoted(&request.method)];
    for (name, value) in &request.headers {
        words.extend(["-H".to_owned(), quoted(&format!("{name}: {value}"))]);
    }
    // curl would wait for a `100 Continue` before it sends a large body.
    words.extend(["-H".to_owned(), quoted("expect:")]);
    let text = std::str::from_utf8(&request.body).ok().filter(|text| !text.contains(['\0', '\r']));
    let body = text.map_or_else(
        || ["--data-binary".to_owned(), "@-".to_owned()],
        |text| ["--data-raw".to_owned(), quoted(text)],
    );
    words.extend(body);
    words.push(quoted(url));
    let feed = text.map_or_else(
        || format!("printf %s {} | base64 -d | ", STANDARD.encode(&request.body)),
        |_| String::new(),
    );
    feed + &words.join(" ")
}

/// In single quotes, in which a shell takes everything as it is but the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &[u8]) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            url: "https://hooks.example.com/in?a=1&b='2'".to_owned(),
            headers: vec![("x-signature".to_owned(), "a b".to_owned())],
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_shell_takes_the_line_as_it_is_meant() {
        let bodies: [&[u8]; 4] = [b"{\"it's\": \"$HOME `id` \\n\"}\n", b"@/etc/passwd", b"a\r\n\0\xff", b""];
        for body in bodies {
            let request = request(body);
            // `curl` as a function that shows what it was given.
            let shell = r#"curl() { for word; do printf '%s\n--\n' "$word"; done; case "$*" in *@-*) cat;; esac; }; "#;
            let script = shell.to_owned() + &line(&request, &request.url);
            let shown = std::process::Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
            let wanted = [b"\n".as_slice(), body].concat();
            let found = |needle: &[u8]| shown.windows(needle.len()).any(|window| window == needle);
            assert!(found(&wanted) || body.is_empty(), "{}", String::from_utf8_lossy(&shown));
            assert!(found(b"https://hooks.example.com/in?a=1&b='2'\n") && found(b"x-signature: a b\n"));
        }
    }
}
