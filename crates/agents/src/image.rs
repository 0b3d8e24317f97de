//! Images that go with a prompt.

use crate::Unsupported;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image for the model: a file, whose content whoever runs the request puts in.
///
/// It is stored as its path.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "PathBuf", into = "String")]
pub struct Image {
    path: PathBuf,
    content: Option<Content>,
}

#[derive(Clone, PartialEq, Eq)]
struct Content {
    media_type: &'static str,
    bytes: Arc<[u8]>,
}

/// The content of a file is no image that models take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image that models take: PNG, JPEG, GIF or WebP")]
pub struct NotAnImage;

impl Image {
    /// The image in this file, which has not been read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), content: None }
    }

    /// Puts the content of the file in. What it is, its first bytes say and not its name.
    ///
    /// # Errors
    /// [`NotAnImage`] if it is none that models take.
    pub fn with_content(self, bytes: impl Into<Arc<[u8]>>) -> Result<Self, NotAnImage> {
        let bytes = bytes.into();
        let media_type = media_type(&bytes).ok_or(NotAnImage)?;
        Ok(Self { content: Some(Content { media_type, bytes }), ..self })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if its content is here.
    pub fn is_loaded(&self) -> bool {
        self.content.is_some()
    }

    /// Its media type and its content in base64, if it is here.
    pub(crate) fn base64(&self) -> Option<(&'static str, String)> {
        let content = self.content.as_ref()?;
        Some((content.media_type, STANDARD.encode(&content.bytes)))
    }

    /// The same as a URL that holds everything.
    pub(crate) fn data_url(&self) -> Option<(&'static str, String)> {
        let (media_type, data) = self.base64()?;
        Some((media_type, format!("data:{media_type};base64,{data}")))
    }

    /// The name of the file, for people.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its path as a part of an argument.
    ///
    /// # Errors
    /// [`Unsupported`] if the agent would take it for something else, or it is not UTF-8.
    pub(crate) fn argument(
        &self,
        agent: &'static str,
        forbidden: &[char],
    ) -> Result<&str, Unsupported> {
        let path = self.path.to_str().filter(|path| !path.contains(forbidden));
        let hint = "over this transport its path must be UTF-8 without a comma";
        path.ok_or(Unsupported { agent, option: "images", hint: Some(hint) })
    }
}

/// What the first bytes say.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Without its megabytes.
impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.content.as_ref().map(|content| content.bytes.len());
        f.debug_struct("Image").field("path", &self.path).field("bytes", &bytes).finish()
    }
}

impl From<PathBuf> for Image {
    fn from(path: PathBuf) -> Self {
        Self::new(path)
    }
}

impl From<&str> for Image {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl From<&Path> for Image {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

/// A path that is not UTF-8 is stored as it is shown.
impl From<Image> for String {
    fn from(image: Image) -> Self {
        image.path.to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_what_its_first_bytes_say() {
        for (bytes, want) in [
            (&b"\x89PNG\r\n\x1a\n rest"[..], "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"GIF89a", "image/gif"),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
        ] {
            let image = Image::new("x.txt").with_content(bytes).unwrap();
            assert_eq!(image.base64().unwrap().0, want);
        }
        for bytes in [&b""[..], b"%PDF-1.7", b"<svg/>", b"RIFF1234WAVE"] {
            assert_eq!(Image::new("x.png").with_content(bytes), Err(NotAnImage));
        }
    }

    #[test]
    fn an_image_is_stored_as_its_path() {
        let image = Image::new("/a/b.png").with_content(&b"GIF89a"[..]).unwrap();
        let stored = serde_json::to_string(&image).unwrap();
        assert_eq!(stored, r#""/a/b.png""#);
        let read: Image = serde_json::from_str(&stored).unwrap();
        assert_eq!((read.path(), read.is_loaded()), (Path::new("/a/b.png"), false));
    }
}
