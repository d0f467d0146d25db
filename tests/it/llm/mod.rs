//! The gateway against the stand-in: what is asked, what is bought, what is written down.

mod aimock;
mod answers;
mod bench;
mod bought_once;
mod budgets;
mod dialects;
mod fakes;
mod gates;
mod manners;
mod routes;
mod turns;
mod vendor;
mod waits;
mod wire_anthropic;
mod wire_bedrock;
mod wire_embeddings;
mod wire_gemini;
mod wire_openai_chat;
mod wire_openai_responses;
mod wire_openai_streams;
