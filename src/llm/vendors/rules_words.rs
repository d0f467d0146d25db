//! The word lists behind `rules`.

use std::collections::BTreeSet;

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Stop,
    Complain,
    Buy,
    Price,
    Meet,
    Help,
    Thank,
    Greet,
    Other,
}

/// How a person feels about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Positive,
    Neutral,
    Negative,
}

impl Mood {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Neutral => "neutral",
            Self::Negative => "negative",
        }
    }
}

/// The languages told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Spanish,
    German,
    French,
    Portuguese,
}

impl Language {
    /// BCP 47.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Spanish => "es",
            Self::German => "de",
            Self::French => "fr",
            Self::Portuguese => "pt",
        }
    }
}

/// In order: the first list with a hit counts.
const WISHES: &[(Wish, &[&str])] = &[
    (Wish::Stop, &["stop", "unsubscribe", "baja", "abmelden", "désabonner", "parar", "sair"]),
    (
        Wish::Complain,
        &[
            "complaint",
            "complain",
            "broken",
            "refund",
            "terrible",
            "awful",
            "angry",
            "queja",
            "reembolso",
            "kaputt",
            "beschwerde",
            "remboursement",
            "plainte",
            "reclamação",
        ],
    ),
    (Wish::Buy, &["buy", "purchase", "order", "comprar", "kaufen", "bestellen", "acheter", "commander"]),
    (
        Wish::Price,
        &[
            "price", "prices", "pricing", "cost", "costs", "quote", "plan", "precio", "precios", "cuánto",
            "cuesta", "preis", "kostet", "kosten", "prix", "tarif", "coûte", "preço", "custa",
        ],
    ),
    (
        Wish::Meet,
        &[
            "demo",
            "meeting",
            "call",
            "schedule",
            "appointment",
            "cita",
            "reunión",
            "termin",
            "rendez",
            "reunião",
        ],
    ),
    (
        Wish::Help,
        &[
            "help",
            "support",
            "problem",
            "issue",
            "error",
            "how",
            "ayuda",
            "problema",
            "hilfe",
            "aide",
            "problème",
            "ajuda",
        ],
    ),
    (Wish::Thank, &["thanks", "thank", "gracias", "danke", "merci", "obrigado", "obrigada"]),
    (Wish::Greet, &["hi", "hello", "hey", "hola", "hallo", "bonjour", "olá", "oi"]),
];

const GLAD: &[&str] = &[
    "love",
    "great",
    "good",
    "excellent",
    "perfect",
    "thanks",
    "thank",
    "happy",
    "genial",
    "gracias",
    "super",
    "danke",
    "merci",
    "parfait",
    "ótimo",
    "obrigado",
];
const CROSS: &[&str] = &[
    "terrible",
    "awful",
    "bad",
    "angry",
    "broken",
    "hate",
    "worst",
    "complaint",
    "mal",
    "malo",
    "schlecht",
    "kaputt",
    "mauvais",
    "ruim",
    "péssimo",
];

/// Short words that are frequent in one language and rare in the others.
const TONGUES: &[(Language, &[&str])] = &[
    (Language::English, &["the", "is", "and", "you", "what", "how", "my", "to", "it", "does"]),
    (
        Language::Spanish,
        &["el", "la", "es", "cuál", "cuánto", "para", "hola", "gracias", "quiero", "precio", "por"],
    ),
    (Language::German, &["der", "das", "ist", "und", "was", "für", "ich", "eine", "danke", "kostet", "wie"]),
    (Language::French, &["le", "est", "et", "je", "vous", "quel", "bonjour", "merci", "pour", "prix", "une"]),
    (Language::Portuguese, &["o", "é", "você", "não", "qual", "olá", "obrigado", "preço", "quero", "uma"]),
];

fn hits(words: &BTreeSet<&str>, list: &[&str]) -> usize {
    list.iter().filter(|word| words.contains(**word)).count()
}

/// A longer text with one of these words may well mean something else: a wish to leave must be plain.
const PLAIN_STOP: usize = 2;

/// What the words ask for.
pub(crate) fn wish(words: &BTreeSet<&str>) -> Wish {
    let counts = |wish: Wish| wish != Wish::Stop || words.len() <= PLAIN_STOP;
    let found = WISHES.iter().find(|(wish, list)| counts(*wish) && hits(words, list) > 0);
    found.map_or(Wish::Other, |(wish, _)| *wish)
}

/// How the words sound.
pub(crate) fn mood(words: &BTreeSet<&str>) -> Mood {
    match hits(words, GLAD).cmp(&hits(words, CROSS)) {
        std::cmp::Ordering::Greater => Mood::Positive,
        std::cmp::Ordering::Equal => Mood::Neutral,
        std::cmp::Ordering::Less => Mood::Negative,
    }
}

/// The language with most hits; English where nothing tells.
pub(crate) fn language(words: &BTreeSet<&str>) -> Language {
    let mut best = (0, Language::English);
    for (language, list) in TONGUES {
        let found = hits(words, list);
        if found > best.0 {
            best = (found, *language);
        }
    }
    best.1
}
