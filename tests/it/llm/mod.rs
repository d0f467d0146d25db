//! The gateway against the stand-in: what is asked, what is bought, what is written down.

mod answers;
mod bench;
mod bought_once;
mod fakes;
mod wire_embeddings;
mod wire_openai_chat;
mod wire_openai_responses;
mod wire_openai_streams;
