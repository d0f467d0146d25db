//! The life of the process: signs of life, stopping in two stages, the service manager, exit codes.

mod exit;
mod manager;
mod shutdown;
mod vitals;

pub use exit::{ExitCode, Stop, exit_code_of};
pub use manager::{keep_watchdog, ready, status, stopping};
pub use shutdown::Shutdown;
pub use vitals::Vitals;
