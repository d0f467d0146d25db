//! Words with which a person stops and restarts messages. They count only as the whole message.

use crate::domain::event::InboundMessage;

/// The carriers' list of stop words, without `CANCEL` and `END`, which in a conversation mean an order or a call;
/// in other words a model reads the wish. Plus the word in the languages that the built-in texts speak.
const STOP: &[&str] = &[
    "STOP",
    "STOPALL",
    "STOP ALL",
    "UNSUBSCRIBE",
    "OPTOUT",
    "OPT OUT",
    "OPT-OUT",
    "REVOKE",
    "QUIT",
    "STOPP",
    "ABMELDEN",
    "BAJA",
    "ARRET",
    "ARRÊT",
    "DESABONNER",
    "DÉSABONNER",
    "PARAR",
    "SAIR",
];
const START: &[&str] = &["START", "UNSTOP", "SUBSCRIBE", "OPTIN", "OPT IN", "OPT-IN"];

/// What a message says about being written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// No messages any more.
    Stop,
    /// Messages again.
    Start,
}

/// The wish in a message, if it is nothing but one: as its words, or as the machine value of a button.
pub(super) fn wish(message: &InboundMessage) -> Option<Wish> {
    let words = [message.choice.as_deref(), message.text.as_deref()];
    words.into_iter().flatten().find_map(|words| {
        let plain = plain(words);
        let known = |list: &[&str]| list.contains(&plain.as_str());
        if known(STOP) {
            Some(Wish::Stop)
        } else if known(START) {
            Some(Wish::Start)
        } else {
            None
        }
    })
}

/// Upper case, single spaces, without the punctuation around it.
fn plain(words: &str) -> String {
    let trimmed = words.trim_matches(|c: char| c.is_whitespace() || c.is_ascii_punctuation());
    trimmed.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::{START, STOP, plain};

    #[test]
    fn only_the_whole_message_counts() {
        for stop in ["stop", " Stop! ", "STOP\n", "opt  out", "\"arrêt\"", "Unsubscribe."] {
            assert!(STOP.contains(&plain(stop).as_str()), "{stop}");
        }
        for other in ["please stop calling", "end", "cancel", "stopwatch", ""] {
            assert!(!STOP.contains(&plain(other).as_str()), "{other}");
        }
        assert!(START.contains(&plain("start").as_str()));
        assert!(
            STOP.iter().chain(START).all(|word| plain(word) == *word),
            "lists are written as they are compared"
        );
    }
}
