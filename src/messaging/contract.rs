//! What every channel can do.

use async_trait::async_trait;

use crate::domain::{
    command::{Command, Sent},
    ids::CommandId,
};

/// One channel on which people are reached.
#[async_trait]
pub trait ChannelSender: Send + Sync + 'static {
    /// Carries out one message command: one attempt, no retries inside. The answer says whether it may be
    /// repeated; nothing else does.
    async fn send(&self, id: &CommandId, command: &Command) -> Sent;
}
