//! A path as text in a file, without the loss of a byte.
//!
//! A path that is UTF-8 stands as it is. Any other one becomes a `file:` URI with its odd bytes written as `%FF`; so
//! does the rare path that itself begins with `file:`.
//!
//! With serde: `#[serde(with = "belay_trace::stored_path")]` on a `PathBuf`, and [`option`] on an `Option<PathBuf>`.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

const SCHEME: &str = "file:";

/// The bytes of a path that a URI cannot have as they are.
const ODD: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'#').add(b'?').add(b'"').add(b'\\');

/// The path as text.
pub fn to_text(path: &Path) -> Cow<'_, str> {
    match path.to_str() {
        Some(text) if !text.starts_with(SCHEME) => Cow::Borrowed(text),
        _ => {
            let authority = if path.is_absolute() { "//" } else { "" };
            let path = percent_encode(path.as_os_str().as_bytes(), ODD);
            Cow::Owned(format!("{SCHEME}{authority}{path}"))
        }
    }
}

/// The path that the text stands for.
pub fn from_text(text: &str) -> PathBuf {
    let Some(path) = text.strip_prefix(SCHEME) else { return text.into() };
    let path = path.strip_prefix("//").unwrap_or(path);
    OsString::from_vec(percent_decode_str(path).collect()).into()
}

/// Writes the text.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    to_text(path).serialize(serializer)
}

/// Reads the text.
///
/// # Errors
/// When there is no text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(from_text(&Cow::<str>::deserialize(deserializer)?))
}

/// The same for a path that may be missing.
pub mod option {
    use super::{from_text, to_text};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::path::PathBuf;

    /// Writes the text, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_deref().map(to_text).serialize(serializer)
    }

    /// Reads the text, if there is one.
    ///
    /// # Errors
    /// When there is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.as_deref().map(from_text))
    }
}

/// The same for several paths.
pub mod list {
    use super::{from_text, to_text};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::path::PathBuf;

    /// Writes the texts.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| to_text(path)))
    }

    /// Reads the texts.
    ///
    /// # Errors
    /// When there is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Ok(texts.iter().map(|text| from_text(text)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &[u8], want: &str) {
        let path = PathBuf::from(OsString::from_vec(path.to_vec()));
        assert_eq!(to_text(&path), want);
        assert_eq!(from_text(want), path);
    }

    #[test]
    fn a_path_is_its_own_text_if_it_is_utf_8() {
        for path in ["/home/ü/a b", "", ".", "%FF", "/a/file:/b", "C:\\x"] {
            check(path.as_bytes(), path);
        }
    }

    #[test]
    fn every_byte_of_any_other_path_comes_back() {
        check(b"/work/\xff dir", "file:///work/%FF%20dir");
        check(b"\xe4/100%", "file:%E4/100%25");
        check(b"//x\xff", "file:////x%FF");
        check(b"file:x", "file:file:x");
        check(b"/a\n\xff\"\\", "file:///a%0A%FF%22%5C");
        let all: Vec<u8> = (1..=255).collect();
        let path = PathBuf::from(OsString::from_vec(all));
        assert_eq!(from_text(&to_text(&path)), path);
    }
}
