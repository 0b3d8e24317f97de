//! Files and folders that only their owner can read, whatever the umask.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

/// Makes a file that nobody else can read; what is there already is not touched, nor is where a link points.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().create_new(true).read(true).append(true).mode(0o600).open(path)?;
    // The umask may have taken more away than the others' rights.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Makes a folder that only its owner can enter.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Makes a folder if it does not exist, and those above it.
pub(crate) fn private_dirs(path: &Path) -> io::Result<()> {
    match private_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The empty path is where we are.
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            private_dirs(parent.ok_or(error)?)?;
            match private_dir(path) {
                // Somebody else was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                made => made,
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        // What stands there is no folder: say that, not that it exists.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(io::ErrorKind::NotADirectory.into())
        }
        made => made,
    }
}

/// Refuses a folder in which others could put their own files or links under our names.
pub(crate) fn check_owner(path: &Path) -> io::Result<()> {
    let data = fs::metadata(path)?;
    let refuse = |words: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
    if data.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!("{} belongs to another user (uid {})", path.display(), data.uid()));
    }
    let (anyone_writes, sticky) = (data.mode() & 0o002 != 0, data.mode() & 0o1000 != 0);
    if anyone_writes && !sticky {
        let mode = data.mode() & 0o777;
        return refuse(format!(
            "anyone can write to {} (mode {mode:o}): chmod o-w it",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_anyone_can_write_to_is_refused_unless_it_is_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        private_dirs(&path).unwrap();
        private_dirs(&path).unwrap();
        for (mode, fine) in [(0o700, true), (0o755, true), (0o777, false), (0o1777, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_owner(&path).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        if rustix::process::geteuid().is_root() {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::chown(dir.path(), Some(12345), None).unwrap();
            let error = check_owner(dir.path()).unwrap_err();
            assert!(error.to_string().ends_with("belongs to another user (uid 12345)"), "{error}");
        } else {
            assert!(check_owner(Path::new("/")).is_err());
        }
    }

    #[test]
    fn a_file_is_never_put_where_a_link_points() {
        let dir = tempfile::tempdir().unwrap();
        let (there, link) = (dir.path().join("there"), dir.path().join("link"));
        std::os::unix::fs::symlink(&there, &link).unwrap();
        assert!(private_file(&link).is_err() && !there.exists());
    }
}
