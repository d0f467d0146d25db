//! Settings: a TOML file, the environment over it, secrets by reference.

mod environment;
mod load;
mod print;
mod problem;
mod rules;
pub mod secret;
mod senders;
mod settings;
mod shape;
mod template;

pub use environment::var as environment_variable;
pub use load::{Loaded, Origin, from_file, from_toml};
pub use print::{Effective, effective};
pub use problem::{Problem, Problems, Severity};
pub use rules::Known;
pub use senders::{
    FieldSettings, KeySettings, KeyState, ProviderKind, ProviderSettings, SealKeySettings, SourceSettings,
    TenantSettings,
};
pub use settings::{
    AdminSettings, IntakeSettings, LlmSettings, LogSettings, QueueSettings, SealSettings, Settings,
    StoreSettings, WhatsappSettings, WorkerSettings,
};
pub use template::{Template, render};
