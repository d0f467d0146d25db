//! Settings: a TOML file, the environment over it, secrets by reference.

mod environment;
mod llm;
mod llm_rules;
mod load;
mod print;
mod problem;
mod rules;
pub mod secret;
mod senders;
mod settings;
mod shape;
mod source_rules;
mod template;

pub use environment::var as environment_variable;
pub use llm::{
    KeyHeader, LlmSettings, ProviderKind, ProviderSettings, SchemaSupport, Unpriced, WebhookSettings,
};
pub use load::{Loaded, Origin, from_file, from_toml};
pub use print::{Effective, effective};
pub use problem::{Problem, Problems, Severity};
pub use rules::Known;
pub use senders::{
    CredentialPlace, FieldSettings, KeySettings, KeyState, SealKeySettings, SourceSettings, TenantSettings,
    USUAL_CREDENTIAL_HEADER,
};
pub use settings::{
    AdminSettings, IntakeSettings, LogSettings, ObjectSettings, QueueSettings, SealSettings, Settings,
    StoreSettings, Trust, WhatsappSettings, WorkerSettings,
};
pub use template::{Template, render};
