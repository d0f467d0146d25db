//! Prompts as files: front matter and a template, compiled in, replaceable by a folder.

pub mod cases;
pub mod catalogue;
pub mod error;
pub mod fence;
mod front_matter;
mod portable;
pub mod prompt;
mod shipped;
mod template;
