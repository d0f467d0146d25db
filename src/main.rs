//! The `longshore` binary: sets up TLS and the executor, and leaves the rest to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One TLS provider for every client in the process. An error means that one is there already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(executor) => {
            let code = executor.block_on(longshore::cli::run());
            // Nothing that matters runs any more: whatever still waits for a name or a socket may not hold us.
            executor.shutdown_background();
            code.into()
        }
        Err(_) => longshore::lifecycle::ExitCode::Unavailable.into(),
    }
}
