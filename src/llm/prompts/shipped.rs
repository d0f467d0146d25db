//! The prompts of this release: what is asked, with which values, and the stored cases.

/// A prompt that some handler asks, with its built-in file.
#[derive(Debug)]
pub(crate) struct Shipped {
    pub(crate) id: &'static str,
    pub(crate) text: &'static str,
    /// Values that no stranger writes: the only ones that the system part can use.
    pub(crate) trusted: &'static [&'static str],
    /// The others. They must stand in fences.
    pub(crate) foreign: &'static [&'static str],
    /// Values that are the whole turn of whoever says them: the turn is their fence.
    pub(crate) spoken: &'static [&'static str],
    /// Name and text of each stored case.
    pub(crate) cases: &'static [(&'static str, &'static str)],
}

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../", $path))
    };
}

macro_rules! cases {
    ($id:literal: $($name:literal)+) => {
        &[$(($name, include_str!(concat!("../../../prompts/cases/", $id, "/", $name, ".json")))),+]
    };
}

/// All of them.
pub(crate) const SHIPPED: &[Shipped] = &[
    Shipped {
        id: "message_reading",
        text: file!("prompts/message_reading.md"),
        trusted: &["channel"],
        foreign: &["message", "choice"],
        spoken: &[],
        cases: cases!("message_reading": "price" "breaks-out" "button" "no-json"),
    },
    Shipped {
        id: "email_draft",
        text: file!("prompts/email_draft.md"),
        trusted: &["language", "tone", "regenerate"],
        foreign: &["order", "similar"],
        spoken: &[],
        cases: cases!("email_draft": "renewal" "again" "placeholder-field"),
    },
    Shipped {
        id: "chat_complete",
        text: file!("prompts/chat_complete.md"),
        trusted: &["specialist"],
        foreign: &[],
        spoken: &["message"],
        cases: cases!("chat_complete": "opening-hours" "plain"),
    },
];

/// The schemas of answers, by file name.
pub(crate) const SCHEMAS: &[(&str, &str)] = &[
    ("email_draft.v1.json", file!("schemas/email_draft.v1.json")),
    ("message_reading.v1.json", file!("schemas/message_reading.v1.json")),
];
