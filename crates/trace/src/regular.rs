//! Files of belay's own, and those that must be files: a pipe in the place of one is never waited for.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Opens a regular file, or what a link to one names.
///
/// # Errors
/// The system's, and one that says so if there is something else, such as a pipe, which would be waited for.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path)
}

/// Reads a regular file whole, as [`open_regular`] opens it.
///
/// # Errors
/// As [`open_regular`], and those of reading.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = std::env::temp_dir().join(format!("belay-regular-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (socket, file) = (folder.join("socket"), folder.join("file"));
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [socket.as_path(), folder.as_path(), Path::new("/dev/null")] {
            assert_eq!(read_regular(path).unwrap_err().to_string(), "not a regular file");
        }
        let link = folder.join("link");
        fs::write(&file, "words").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_regular(&link).unwrap(), b"words");
        fs::remove_dir_all(&folder).unwrap();
    }
}
