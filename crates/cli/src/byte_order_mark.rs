//! The byte order mark that some editors write before a text, in files that people write.

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Returns the text without the mark before it.
pub(crate) fn without_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    bytes
}
