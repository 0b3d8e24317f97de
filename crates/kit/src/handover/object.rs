//! The names of git's objects.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io::{self, Read};

/// The hash that a repository names its objects by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum HashKind {
    #[default]
    Sha1,
    Sha256,
}

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Oid {
    bytes: [u8; 32],
    length: u8,
}

impl HashKind {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The name that a file of this size and content has as a blob.
    pub(super) fn blob(self, size: u64, content: impl Read) -> io::Result<Oid> {
        match self {
            Self::Sha1 => hash(Sha1::new(), size, content),
            Self::Sha256 => hash(Sha256::new(), size, content),
        }
    }
}

fn hash<D: sha2::Digest>(mut hasher: D, size: u64, mut content: impl Read) -> io::Result<Oid> {
    hasher.update(format!("blob {size}\0"));
    let mut piece = [0; 16 << 10];
    loop {
        match content.read(&mut piece)? {
            0 => break,
            read => hasher.update(&piece[..read]),
        }
    }
    Oid::new(&hasher.finalize()).ok_or_else(|| io::Error::other("a hash of an unknown length"))
}

impl Oid {
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; 32];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: all, length: u8::try_from(bytes.len()).ok()? })
    }

    pub(super) fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if !matches!(digits.len(), 40 | 64) || !hex.is_ascii() {
            return None;
        }
        let pairs = (0..digits.len()).step_by(2);
        let bytes: Option<Vec<u8>> =
            pairs.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect();
        Self::new(&bytes?)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.bytes == [0; 32]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..usize::from(self.length)].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
