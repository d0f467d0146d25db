//! messaging.
