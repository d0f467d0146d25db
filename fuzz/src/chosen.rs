//! Which row of a table a fuzzer's binary works on.

/// The target of this binary: its own name and, where it has rows, the one in the environment variable FUZZ_ROW.
pub(crate) fn chosen(binary: &'static str) -> &'static str {
    static CHOSEN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| match std::env::var("FUZZ_ROW") {
        Ok(row) => format!("{binary}/{row}"),
        Err(_) => binary.to_owned(),
    })
}
