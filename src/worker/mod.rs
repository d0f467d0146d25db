//! Everything that moves: receives, works, settles, sends, wakes.

mod abuse;
mod admit;
mod alerts;
mod commit;
mod dead_letter_copy;
mod dead_letter_watch;
mod janitor;
mod lanes;
mod lease;
mod model_watch;
mod outbox;
pub mod parts;
mod pipeline;
mod pressure;
mod rates;
mod receiver;
pub mod run;
mod scheduler;
mod settlement;
mod slots;
pub mod trail;
mod work;
