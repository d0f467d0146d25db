//! Signatures that need a public key only: Ed25519, ECDSA on P-256 and RSA, under keys as vendors publish them.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, VerificationAlgorithm,
    },
};
use rustls::pki_types::{
    CertificateDer,
    pem::{PemObject as _, SectionKind},
};

use crate::{
    signature::{BadKey, base64},
    sources::contract::SignError,
};

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Ed25519: 64 bytes.
    Ed25519,
    /// ECDSA on P-256 with SHA-256: an ASN.1 DER pair of numbers.
    EcdsaP256,
    /// RSA PKCS#1 v1.5 with SHA-256, 2048 to 8192 bits.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-1: only where a vendor still makes them, never to sign with.
    RsaSha1,
}

/// A key that proves.
pub(super) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// Reads a key as vendors publish it: PEM (public key, certificate), base64 of the same in DER, or, for Ed25519,
    /// of its 32 bytes, with or without `whpk_`. A private key counts as its public half, so that the key that signs
    /// test events verifies them, too.
    pub(super) fn parse(text: &str, algorithm: Algorithm) -> Result<Self, BadKey> {
        if let Some(private) = PrivateKey::read(text, algorithm) {
            return Self::from_bytes(&private.public(), algorithm);
        }
        let bytes = if is_pem(text) {
            published_in_pem(text)
        } else {
            base64(text.strip_prefix("whpk_").unwrap_or(text))
        };
        Self::from_bytes(&bytes.ok_or(BadKey("neither PEM nor base64 of a public key"))?, algorithm)
    }

    fn from_bytes(bytes: &[u8], algorithm: Algorithm) -> Result<Self, BadKey> {
        ParsedPublicKey::new(algorithm.verification(), bytes)
            .map(Self)
            .map_err(|_| BadKey(algorithm.expected_key()))
    }

    /// Did the owner of this key sign this message? A signature of another form or length is simply wrong.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

impl Algorithm {
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &ED25519,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::RsaSha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::RsaSha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }

    fn expected_key(self) -> &'static str {
        match self {
            Self::Ed25519 => "not an Ed25519 public key",
            Self::EcdsaP256 => "not a public key on P-256",
            Self::RsaSha256 | Self::RsaSha1 => "not an RSA public key of 2048 to 8192 bits",
        }
    }
}

/// A key that signs.
pub(super) enum PrivateKey {
    /// Ed25519.
    Ed25519(Ed25519KeyPair),
    /// ECDSA on P-256.
    EcdsaP256(EcdsaKeyPair),
    /// RSA.
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Reads PKCS#8 (PEM, or base64 of its DER); for Ed25519 also `whsk_` and base64 of seed and public key.
    ///
    /// # Errors
    /// When it is no private key of this algorithm.
    pub(super) fn parse(text: &str, algorithm: Algorithm) -> Result<Self, SignError> {
        Self::read(text, algorithm).ok_or(SignError::Key(
            "a private key of the scheme's algorithm is needed, as PKCS#8 in PEM or base64",
        ))
    }

    fn read(text: &str, algorithm: Algorithm) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("whsk_").filter(|_| algorithm == Algorithm::Ed25519) {
            let both = base64(rest).filter(|both| both.len() == 64)?;
            return Ed25519KeyPair::from_seed_and_public_key(&both[..32], &both[32..])
                .ok()
                .map(Self::Ed25519);
        }
        let der = if is_pem(text) { private_in_pem(text) } else { base64(text) }?;
        match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8(&der).ok().map(Self::Ed25519),
            Algorithm::EcdsaP256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der).ok().map(Self::EcdsaP256)
            }
            Algorithm::RsaSha256 | Algorithm::RsaSha1 => RsaKeyPair::from_pkcs8(&der).ok().map(Self::Rsa),
        }
    }

    fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Self::EcdsaP256(pair) => pair.public_key().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// Signs a message; RSA always with SHA-256.
    ///
    /// # Errors
    /// When the library cannot: a defect, or no randomness.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Message("the key could not sign");
        let random = SystemRandom::new();
        match self {
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::EcdsaP256(pair) => Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

/// The first section of a PEM text: a public key as it is, of a certificate the key inside.
fn published_in_pem(text: &str) -> Option<Vec<u8>> {
    match <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes()).ok()? {
        (SectionKind::PublicKey, der) => Some(der),
        (SectionKind::Certificate, der) => {
            let certificate = CertificateDer::from(der);
            let parsed = webpki::EndEntityCert::try_from(&certificate).ok()?;
            Some(parsed.subject_public_key_info().as_ref().to_vec())
        }
        _ => None,
    }
}

fn private_in_pem(text: &str) -> Option<Vec<u8>> {
    match <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes()).ok()? {
        (SectionKind::PrivateKey, der) => Some(der),
        _ => None,
    }
}
