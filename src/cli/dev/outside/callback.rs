//! Takes answers of chats, as the chat's own system would.

use axum::http::StatusCode;

pub(crate) async fn take() -> StatusCode {
    StatusCode::NO_CONTENT
}
