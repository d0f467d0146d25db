//! The gateway against the stand-in: what is asked, what is bought, what is written down.

mod answers;
mod bench;
mod bought_once;
mod dialects;
mod manners;
mod vendor;
mod waits;
