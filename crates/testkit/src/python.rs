//! What tests use of Python's: independent decoders and backends, each in a folder of its own.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An independent receiver of OTLP.
pub const OTELTAP: &str = "oteltap==1.0.0";
/// Arize's Phoenix: the real thing, 850 MB.
pub const PHOENIX: &str = "arize-phoenix==20.26.1";

/// A program that only prints its answer; it runs on Python 3.10 to 3.12.
pub const AIDER: &str = "aider-chat==0.86.2";
/// Another one, which writes its answer to a file.
pub const MINI: &str = "mini-swe-agent==2.4.6";

/// Where the packages are: below `BELAY_PYTHON_DIR`, or else `target/python`.
pub fn dir() -> PathBuf {
    let target = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python");
    std::env::var_os("BELAY_PYTHON_DIR").map_or_else(target, PathBuf::from)
}

/// A program of a package, if it is installed there.
pub fn program(package: &str, program: &str) -> Option<PathBuf> {
    let path = dir().join(package).join("bin").join(program);
    path.exists().then_some(path)
}

/// Installs a package with pip, unless it is there already.
///
/// # Errors
/// If there is no Python, or no way to the package.
pub fn install(package: &str) -> io::Result<()> {
    let folder = dir().join(package);
    let done = folder.join("installed");
    if done.exists() {
        return Ok(());
    }
    make(Path::new(python()), &folder, package)?;
    std::fs::write(done, "")
}

/// Makes an environment of this Python in a folder, with this package.
pub(crate) fn make(python: &Path, folder: &Path, package: &str) -> io::Result<()> {
    run(python, ["-m".as_ref(), "venv".as_ref(), folder.as_os_str()])?;
    let pip = folder.join("bin/pip");
    run(pip, ["install", "--quiet", "--disable-pip-version-check", package].map(OsStr::new))
}

/// The oldest Python 3 that is at least of this minor version, on the PATH or among those of pyenv: packages are
/// built for the newest one last.
pub(crate) fn at_least(minor: u32) -> Option<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let folders: Vec<_> = versions.into_iter().flatten().flatten().map(|it| it.path()).collect();
    let named = (minor..NEWEST_MINOR).flat_map(|minor| {
        let name = format!("python3.{minor}");
        let installed = folders.iter().map(|folder| folder.join("bin").join(&name));
        [PathBuf::from(&name)].into_iter().chain(installed).collect::<Vec<_>>()
    });
    named.into_iter().find(|python| works(python))
}

/// One more than the newest minor version of Python 3 that is looked for.
const NEWEST_MINOR: u32 = 20;

/// The newest Python that all the packages run on, or else the machine's own.
fn python() -> &'static str {
    let named = ["python3.12", "python3.11"].into_iter();
    named.into_iter().find(|name| works(Path::new(name))).unwrap_or("python3")
}

fn works(python: &Path) -> bool {
    let mut python = Command::new(python);
    python.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

fn run<const N: usize>(program: impl AsRef<OsStr>, args: [&OsStr; N]) -> io::Result<()> {
    let status = Command::new(&program).args(args).stdin(Stdio::null()).status()?;
    let name = program.as_ref().to_string_lossy().into_owned();
    status.success().then_some(()).ok_or_else(|| io::Error::other(format!("{name}: {status}")))
}
