//! What is paid, judged by the bill of who was asked, and how the gateway behaves for minutes. Apart from the quick
//! suite, because it takes its time: `make test-money`. One test at a time: some restart the database.
//!
//! # What the comparison with the bill rests on
//!
//! The stand-in counts four characters as a token, so that an estimate can be judged; whatever it bills it has sent.
//! *Exact by the provider's own counts*: every whole answer, plain or streamed, and every stream that was cut after its
//! counts. *Estimated* (`usage_source = estimated`): streams that were cut before them. The wire says then nothing but
//! the pieces that came; the ledger holds a quarter of the characters of what was asked, and of what had come, rounded
//! up, which is this stand-in's bill to the token. What nobody can know from such a stream is how much of the input came
//! from the provider's cache: those questions are shorter than what a provider caches. Streams that are cut after their
//! counts are long enough for it. A stream that is cut before its first piece says nothing at all about what was generated
//! (reasoning comes unseen): such a call is ambiguous, charged at its worst case, and not among these.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing, and its figures by printing them"
)]

mod bench;
mod bill;
mod budget;
mod crash;
mod limits;
mod patience;
mod postgres;
mod process;
#[expect(dead_code, reason = "the quick suite uses all of it")]
#[path = "../it/senders.rs"]
mod senders;
mod store;
#[expect(dead_code, unused_imports, unused_macros, reason = "the quick suite uses all of it")]
#[path = "../it/world/mod.rs"]
mod world;
