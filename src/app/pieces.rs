//! Pieces of answers go out as signed requests.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    handlers::tools::PiecePost,
    messaging::webhook::{Posted, WebhookSender},
};

/// The sender, as chats see it.
pub(super) struct Pieces(pub(super) Arc<WebhookSender>);

#[async_trait]
impl PiecePost for Pieces {
    async fn post(&self, url: &str, id: &str, event_type: &str, data: &Value) -> Result<(), String> {
        match self.0.post_now(url, id, event_type, data).await {
            Posted::Delivered => Ok(()),
            Posted::Gone => Err("the reader is gone".to_owned()),
            Posted::Failed(why) => Err(why),
        }
    }
}
