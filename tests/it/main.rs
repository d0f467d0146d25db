//! The stories: every part at work, against real counterparts where there are any.

mod senders;
mod sources_decode;
mod sources_known_answers;
mod sources_properties;
mod sources_read;
mod sources_trust;
mod sources_verify;
