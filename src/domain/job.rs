//! Work that our own systems order by signed jobs.

use serde::{Deserialize, Serialize};

/// An e-mail is to be drafted; a person reads it before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailDraft {
    /// What it is for.
    pub purpose: String,
    /// To whom it goes.
    #[serde(default)]
    pub recipient: Recipient,
    /// Who signs it.
    pub sender: Signer,
    /// BCP 47.
    pub language: String,
    /// How it sounds.
    #[serde(default)]
    pub tone: Tone,
    /// What may be said.
    #[serde(default)]
    pub facts: Vec<GivenFact>,
    /// Is the model shown similar past drafts?
    #[serde(default)]
    pub similar: bool,
    /// Made once more on request.
    pub regenerate: Option<Regenerate>,
}

/// To whom an e-mail goes, as far as it matters for its words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// How they are called.
    pub name: Option<String>,
    /// Where they work.
    pub company: Option<String>,
    /// What they do there.
    pub role: Option<String>,
}

/// Who signs an e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The name below it.
    pub name: String,
    /// Whose they are.
    pub company: Option<String>,
}

/// How a text sounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As usual in business.
    #[default]
    Neutral,
    /// Warm.
    Friendly,
    /// With distance.
    Formal,
    /// Short, to the point.
    Direct,
}

/// Something that may be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenFact {
    /// Unique within the order.
    pub id: String,
    /// What is true.
    pub text: String,
}

/// An order to make something once more, unlike before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regenerate {
    /// Id of the earlier job of the same sender.
    pub of: String,
    /// Sets this order apart from every other one.
    pub nonce: String,
}

/// A person waits for an answer in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatComplete {
    /// The chat's own id at the sender.
    pub chat_id: String,
    /// Hashed user.
    pub user: Option<String>,
    /// Which specialist answers.
    pub specialist: Option<String>,
    /// The conversation: the person speaks first and last.
    pub messages: Vec<ChatMessage>,
    /// Output cap in tokens; the prompt's where absent.
    pub max_output: Option<u32>,
    /// Where the answer is posted to, piece by piece and then whole.
    pub callback_url: Option<String>,
}

/// What was said in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Who said it.
    pub role: ChatRole,
    /// What.
    pub content: String,
}

/// Who speaks in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRole {
    /// The person.
    User,
    /// The machine.
    Assistant,
}

/// A text is to be stored by its meaning, to be found by similar ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingStore {
    /// What kind of item it is.
    pub kind: String,
    /// The item's own id: a later text of the same item stands in for an earlier one.
    pub item: String,
    /// What is shown of it when it is found.
    pub text: String,
}
