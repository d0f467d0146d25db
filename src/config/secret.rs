//! Secrets by reference: the configuration says where a secret is, never what it is.

use std::{
    collections::HashMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::config::environment;

/// `env:NAME`, `file:/path` or `credential:NAME` (systemd). Read at use, so that a new value counts without
/// a restart. Its text is shown nowhere unless it has one of these forms: somebody may have pasted the secret.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

/// Why a secret cannot be read. No message holds the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A value where a reference belongs.
    #[error(
        "a secret must be a reference: `env:NAME`, `file:/path` or `credential:NAME`, not the value itself"
    )]
    Literal,
    /// A key with neither a secret nor a public key.
    #[error("the key has neither `secret` nor `public_key`")]
    NoKey,
    /// The name or path after the colon is empty, relative, or leaves its directory.
    #[error("`{0}` is not a usable reference: {1}")]
    BadReference(String, &'static str),
    /// No such variable.
    #[error("environment variable {0} is not set")]
    NoVariable(String),
    /// systemd did not start us with credentials.
    #[error("credential {0}: $CREDENTIALS_DIRECTORY is not set; add LoadCredential={0}:PATH to the unit")]
    NoCredentials(String),
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Everybody on the machine can read the file.
    #[error("{0} can be read by every user: chmod o-r it")]
    WorldReadable(PathBuf),
    /// There, but empty.
    #[error("the secret behind `{0}` is empty")]
    Empty(String),
}

/// Where a reference points.
enum Place<'a> {
    Variable(&'a str),
    File(&'a Path),
    Credential(&'a str),
}

impl SecretRef {
    /// The secret as it is now. A file is read again when it has changed.
    ///
    /// # Errors
    /// See [`SecretError`]. Nothing is remembered of a failure: the next call tries again.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        let secret = match self.place()? {
            Place::Variable(name) => environment::var(name)
                .map(SecretString::from)
                .ok_or_else(|| SecretError::NoVariable(name.to_owned()))?,
            Place::File(path) => read_file(path, true)?,
            Place::Credential(name) => {
                let directory = environment::var("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
                read_file(&Path::new(&directory).join(name), false)?
            }
        };
        if secret.expose_secret().is_empty() { Err(SecretError::Empty(self.0.clone())) } else { Ok(secret) }
    }

    /// As [`read`](Self::read), but `sqlite:PATH` stands for itself: such a URL holds no password.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn read_url(&self) -> Result<SecretString, SecretError> {
        if self.0.starts_with("sqlite:") { Ok(SecretString::from(self.0.clone())) } else { self.read() }
    }

    /// Is its form right? Reads nothing.
    ///
    /// # Errors
    /// [`SecretError::Literal`] or [`SecretError::BadReference`].
    pub fn check(&self) -> Result<(), SecretError> {
        self.place().map(drop)
    }

    /// What may be shown of it: the reference, or `(hidden)` where the text may be the secret itself.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.0.starts_with("sqlite:") || self.place().is_ok() { &self.0 } else { "(hidden)" }
    }

    fn place(&self) -> Result<Place<'_>, SecretError> {
        let bad = |why| Err(SecretError::BadReference(self.0.clone(), why));
        match self.0.split_once(':') {
            Some(("env" | "file" | "credential", "")) => bad("nothing after the colon"),
            Some(("env", name)) if name.contains(['=', ' ', '\0']) => bad("not a variable name"),
            Some(("env", name)) => Ok(Place::Variable(name)),
            Some(("file", path)) if !path.starts_with('/') => bad("the path must be absolute"),
            Some(("file", path)) => Ok(Place::File(Path::new(path))),
            Some(("credential", name)) if name.contains('/') || name == ".." => bad("a name, not a path"),
            Some(("credential", name)) => Ok(Place::Credential(name)),
            _ => Err(SecretError::Literal),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({})", self.shown())
    }
}

/// What tells one state of a file from the next: device, inode, size, and both times to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        let number = |n: u64| n.cast_signed();
        let (device, inode, size) = (number(meta.dev()), number(meta.ino()), number(meta.size()));
        Self([device, inode, size, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()])
    }
}

type Cache = Mutex<HashMap<PathBuf, (Stamp, SecretString)>>;

static FILES: LazyLock<Cache> = LazyLock::new(Cache::default);

/// Reads a small file, or its remembered content while nothing about the file has changed. One trailing
/// newline is cut: editors and `echo` add it.
fn read_file(path: &Path, guarded: bool) -> Result<SecretString, SecretError> {
    let failed = |error| SecretError::File(path.to_owned(), error);
    let meta = fs::metadata(path).map_err(failed)?;
    if guarded && meta.mode() & 0o004 != 0 {
        return Err(SecretError::WorldReadable(path.to_owned()));
    }
    let stamp = Stamp::of(&meta);
    if let Some((seen, secret)) = FILES.lock().unwrap_or_else(PoisonError::into_inner).get(path)
        && *seen == stamp
    {
        return Ok(secret.clone());
    }
    let mut text = fs::read_to_string(path).map_err(failed)?;
    text.truncate(text.strip_suffix('\n').map_or(text.len(), |t| t.strip_suffix('\r').unwrap_or(t).len()));
    let secret = SecretString::from(text);
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    files.insert(path.to_owned(), (stamp, secret.clone()));
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn secret_file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn reference(file: &tempfile::NamedTempFile) -> SecretRef {
        SecretRef(format!("file:{}", file.path().display()))
    }

    fn plain(read: Result<SecretString, SecretError>) -> String {
        read.unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_file_is_read_again_when_it_changes_and_loses_one_newline() {
        let file = secret_file("first\n");
        let secret = reference(&file);
        assert_eq!(plain(secret.read()), "first");
        assert_eq!(plain(secret.read()), "first");
        fs::write(file.path(), "second, longer\r\n").unwrap();
        assert_eq!(plain(secret.read()), "second, longer");
        fs::write(file.path(), "two lines\n\n").unwrap();
        assert_eq!(plain(secret.read()), "two lines\n");
    }

    #[test]
    fn a_file_that_everybody_can_read_is_refused() {
        let file = secret_file("x");
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(reference(&file).read(), Err(SecretError::WorldReadable(_))));
        fs::set_permissions(file.path(), Permissions::from_mode(0o640)).unwrap();
        assert_eq!(plain(reference(&file).read()), "x");
    }

    #[test]
    fn a_variable_is_read_and_a_missing_one_named() {
        assert_eq!(plain(SecretRef("env:CARGO_PKG_NAME".into()).read()), "longshore");
        let error = SecretRef("env:LONGSHORE_NO_SUCH".into()).read().unwrap_err();
        assert!(error.to_string().contains("LONGSHORE_NO_SUCH"));
    }

    #[test]
    fn an_empty_secret_is_an_error() {
        assert!(matches!(reference(&secret_file("\n")).read(), Err(SecretError::Empty(_))));
    }

    #[test]
    fn a_literal_is_refused_and_never_shown() {
        for text in
            ["sk-live-1234", "postgres://u:hunter2@db/x", "", "file:relative", "env:", "credential:../x"]
        {
            let secret = SecretRef(text.into());
            let error = secret.read().unwrap_err();
            assert!(secret.check().is_err(), "{text}");
            for secret_word in ["1234", "hunter2"] {
                assert!(!format!("{error} {error:?} {secret:?}").contains(secret_word));
            }
        }
        assert_eq!(format!("{:?}", SecretRef("env:KEY".into())), "SecretRef(env:KEY)");
    }

    #[test]
    fn only_a_store_url_may_be_sqlite_literally() {
        let url = SecretRef("sqlite:/var/lib/longshore/store.db".into());
        assert!(matches!(url.read(), Err(SecretError::Literal)));
        assert_eq!(plain(url.read_url()), url.0);
    }
}
