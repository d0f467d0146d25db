//! The folder in which `dev` keeps everything: queue, store, keys, and when it was first started. All that the
//! samples hold follows from keys and that time, so that a second run sends the same events again.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::{
    error::Unspecified,
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{config::secret::SecretRef, domain::timestamp::Timestamp};

/// Files of keys, and what they look like.
const KEYS: &[(&str, Text)] = &[
    ("edge", Text::Whsec),
    ("edge-hubspot", Text::Whsec),
    ("wake", Text::Whsec),
    ("whatsapp", Text::Hex),
    ("whatsapp-token", Text::Hex),
    ("hubspot", Text::Hex),
    ("partner", Text::Whsec),
    ("chat", Text::Whsec),
    ("chat-retired", Text::Whsec),
    ("drills", Text::Whsec),
    ("late", Text::Whsec),
    ("stranger", Text::Whsec),
    ("stand-in", Text::Hex),
    ("gohighlevel", Text::Ed25519),
    ("pipedrive", Text::Password),
    ("clerk", Text::Whsec),
    ("twilio", Text::Hex),
    ("sendgrid", Text::EcdsaP256),
    ("salesforce-apex", Text::Whsec),
    ("dynamics", Text::Hex),
    ("billing", Text::Whsec),
    ("meter", Text::Hex),
    ("webhooks", Text::Whsec),
];
/// Length of a key's secret in bytes.
const KEY_BYTES: usize = 32;

#[derive(Clone, Copy)]
enum Text {
    /// Of the internal scheme: `whsec_` and base64.
    Whsec,
    /// Plain text.
    Hex,
    /// `user:password`.
    Password,
    /// A private key, PKCS#8 in base64: it also proves what it signed.
    Ed25519,
    EcdsaP256,
}

/// The folder, opened.
#[derive(Debug)]
pub(crate) struct StateDir {
    /// Absolute.
    root: PathBuf,
    /// When its samples were first sent.
    base: Option<Timestamp>,
    keys: BTreeMap<&'static str, String>,
}

/// What stands in `dev.json`.
#[derive(Serialize, Deserialize)]
struct Begun {
    first_sent_at_ms: i64,
}

/// When the samples of a folder were first sent.
const BEGUN: &str = "dev.json";

impl StateDir {
    /// Opens the folder; makes it and its keys when they are not there. Nobody else may read it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join("keys"))
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        let root = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        let mut keys = BTreeMap::new();
        for (name, text) in KEYS {
            keys.insert(*name, key(&root, name, *text)?);
        }
        let base = begun(&root.join(BEGUN))?;
        Ok(Self { root, base, keys })
    }

    /// When the samples were first sent: now, and written down, if this is the first time.
    pub(crate) fn begin(&mut self, now: Timestamp) -> anyhow::Result<Timestamp> {
        if let Some(base) = self.base {
            return Ok(base);
        }
        let base = Timestamp::from_millis(now.millis());
        let begun = serde_json::to_string(&Begun { first_sent_at_ms: base.millis() })?;
        write_private(&self.root.join(BEGUN), &begun)?;
        self.base = Some(base);
        Ok(base)
    }

    /// The folder, absolute.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A key's text.
    pub(crate) fn key(&self, name: &str) -> anyhow::Result<&str> {
        self.keys.get(name).map(String::as_str).ok_or_else(|| anyhow!("there is no key `{name}`"))
    }

    /// What was made at the first start and cannot be made again, such as a signature with a random part.
    pub(crate) fn kept(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        let file = self.root.join(name);
        if file.exists() {
            return fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
        }
        let text = make()?;
        write_private(&file, &text)?;
        Ok(text)
    }

    /// Where a key's text is.
    pub(crate) fn reference(&self, name: &str) -> SecretRef {
        SecretRef(format!("file:{}", self.key_file(name).display()))
    }

    /// Takes a key's file away, as if its owner had not delivered it yet.
    pub(crate) fn hide_key(&self, name: &str) -> anyhow::Result<()> {
        let file = self.key_file(name);
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Puts it back.
    pub(crate) fn show_key(&self, name: &str) -> anyhow::Result<()> {
        write_private(&self.key_file(name), self.key(name)?)
    }

    fn key_file(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }
}

fn begun(file: &Path) -> anyhow::Result<Option<Timestamp>> {
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let begun: Begun = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged: delete the folder to begin anew", file.display()))?;
    Ok(Some(Timestamp::from_millis(begun.first_sent_at_ms)))
}

/// Reads a key, or makes it. A hidden one that a killed run never put back is made anew: nothing that it signed
/// was accepted meanwhile.
fn key(root: &Path, name: &str, text: Text) -> anyhow::Result<String> {
    let file = root.join("keys").join(name);
    if file.exists() {
        return fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()));
    }
    let secret = new_key(text).map_err(|_| anyhow!("no random numbers for a key"))?;
    write_private(&file, &secret)?;
    Ok(secret)
}

fn new_key(text: Text) -> Result<String, Unspecified> {
    let random = SystemRandom::new();
    let mut bytes = [0; KEY_BYTES];
    rand::fill(&mut bytes)?;
    Ok(match text {
        Text::Whsec => format!("whsec_{}", STANDARD.encode(bytes)),
        Text::Hex => hex::encode(bytes),
        Text::Password => format!("longshore:{}", hex::encode(bytes)),
        Text::Ed25519 => STANDARD.encode(Ed25519KeyPair::generate_pkcs8(&random)?),
        Text::EcdsaP256 => {
            STANDARD.encode(EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?)
        }
    })
}

/// Readable by its owner only, and there whole or not at all.
fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let beside = file.with_extension("new");
    let write = || {
        let mut new =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&beside, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_second_start_finds_the_same_keys_and_the_same_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut first = StateDir::open(&path).unwrap();
        let base = first.begin(Timestamp(1_700_000_000_900_123)).unwrap();
        let mut second = StateDir::open(&path).unwrap();
        assert_eq!(first.keys, second.keys);
        assert_eq!(second.begin(Timestamp::from_seconds(1_800_000_000)).unwrap(), base);
        assert_eq!(base, Timestamp::from_millis(1_700_000_000_900));
        assert_ne!(first.key("chat").unwrap(), first.key("drills").unwrap());
    }

    #[test]
    fn keys_are_private_and_can_be_read_by_reference() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let mode = fs::metadata(state.key_file("edge")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = state.reference("edge").read().unwrap();
        assert_eq!(read.expose_secret(), state.key("edge").unwrap());
    }

    #[test]
    fn a_hidden_key_comes_back_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        state.hide_key("late").unwrap();
        assert!(state.reference("late").read().is_err());
        state.show_key("late").unwrap();
        assert_eq!(state.reference("late").read().unwrap().expose_secret(), state.key("late").unwrap());
    }
}
