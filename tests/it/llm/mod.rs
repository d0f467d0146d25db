//! The gateway against the stand-in: what is asked, what is bought, what is written down.

mod aimock;
mod answers;
mod bench;
mod bought_once;
mod dialects;
mod fakes;
mod manners;
mod vendor;
mod waits;
mod wire_anthropic;
mod wire_bedrock;
mod wire_gemini;
