//! The one place that reads the process environment.

/// The value of a variable; `None` when it is unset or not UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Every variable whose name starts with `prefix`, by name. A value that is not UTF-8 is made printable.
#[must_use]
pub(super) fn with_prefix(prefix: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    found.sort();
    found
}
