//! Servers that say exactly the bytes that a test wants, and what the providers ask of them.

pub(super) mod anthropic;
pub(super) mod bedrock;
pub(super) mod gemini;
pub(super) mod openai;
pub(super) mod raw;
