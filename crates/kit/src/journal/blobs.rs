//! The long texts of a run, each in a file that is named after its content.

use super::files::{private_dir, private_file};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folder of a run's long texts, made with the first of them.
#[derive(Debug)]
pub(super) struct Blobs {
    folder: PathBuf,
    is_made: bool,
}

/// A text that is stored.
pub(super) struct Blob {
    pub(super) sha256: String,
    /// Its file, if it was not there before.
    pub(super) new: Option<PathBuf>,
}

impl Blobs {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, is_made: false }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stores a text; the same text is stored once.
    pub(super) fn store(&mut self, text: &str) -> io::Result<Blob> {
        if !self.is_made {
            private_dir(&self.folder)?;
            self.is_made = true;
        }
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(text.as_bytes()) {
            let _ = write!(sha256, "{byte:02x}");
        }
        let path = self.folder.join(&sha256);
        match private_file(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())?;
                Ok(Blob { sha256, new: Some(path) })
            }
            // Nobody else writes here, and one that we could not write whole was the end of the journal.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Blob { sha256, new: None })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_stored_once_under_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let mut blobs = Blobs::new(dir.path().join("blobs"));
        let (one, two) = (blobs.store("abc").unwrap(), blobs.store("abc").unwrap());
        // The example of FIPS 180-2.
        let want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((one.sha256.as_str(), two.sha256.as_str()), (want, want));
        assert!(one.new.is_some() && two.new.is_none());
        assert_eq!(std::fs::read_to_string(blobs.folder().join(want)).unwrap(), "abc");
    }
}
