//! Everything that moves: receives, works, settles, sends, wakes.

mod abuse;
mod admit;
mod commit;
mod dead_letter_copy;
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
