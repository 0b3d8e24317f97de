//! Whom a service's certificate must be signed by: what an environment and the machine say.

use crate::Environment;
use crate::limits::{ROOTS_BYTES_MAX, ROOTS_FILES_MAX};
use belay_trace::open_regular;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, PemItem, parse_pem};

/// Where systems keep their roots in one file: Debian, Fedora and RHEL, openSUSE, Alpine and macOS.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Roots that are read when they are needed first.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    /// `SSL_CERT_FILE`.
    file: Option<PathBuf>,
    /// `SSL_CERT_DIR`, which may name several.
    dirs: Vec<PathBuf>,
    is_of_system: bool,
}

impl Roots {
    /// As OpenSSL has it: the two variables take the place of the system's roots.
    pub(super) fn of(environment: &Environment) -> Self {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let dirs = get("SSL_CERT_DIR").map(|dirs| std::env::split_paths(dirs).collect());
        Self {
            file: get("SSL_CERT_FILE").map(PathBuf::from),
            dirs: dirs.unwrap_or_default(),
            is_of_system: true,
        }
    }

    /// The certificates; `None` where the roots that the program was built with must do.
    ///
    /// # Errors
    /// Which variable names something that cannot be read, or holds no certificate.
    pub(super) fn read(&self) -> Result<Option<Vec<Certificate<'static>>>, String> {
        let mut found = Vec::new();
        if let Some(file) = &self.file {
            let read = of_file(file).and_then(|found| match found.is_empty() {
                true => Err("there is no certificate in it; PEM is expected".to_owned()),
                false => Ok(found),
            });
            found.extend(read.map_err(|why| {
                format!("cannot read {}, which SSL_CERT_FILE names: {why}", file.display())
            })?);
        }
        for dir in &self.dirs {
            let read = of_dir(dir);
            found.extend(read.map_err(|why| {
                format!("cannot read {}, which SSL_CERT_DIR names: {why}", dir.display())
            })?);
        }
        let is_named = self.file.is_some() || !self.dirs.is_empty();
        if !is_named && self.is_of_system {
            let of_system = SYSTEM_FILES.iter().filter_map(|file| of_file(file.as_ref()).ok());
            found = of_system.into_iter().find(|found| !found.is_empty()).unwrap_or_default();
        }
        match (is_named, found.is_empty()) {
            (true, true) => Err("there is no certificate in what SSL_CERT_DIR names".to_owned()),
            (_, is_empty) => Ok((!is_empty).then_some(found)),
        }
    }
}

/// The certificates of a PEM file; what else stands there is passed over, and so is a damaged one among them.
fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let mut pem = Vec::new();
    let file = open_regular(path).map_err(|error| error.to_string())?;
    file.take(ROOTS_BYTES_MAX).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(certificates.collect())
}

fn of_dir(dir: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let entries = fs::read_dir(dir).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path())).take(ROOTS_FILES_MAX);
    Ok(paths.filter_map(|path| of_file(&path).ok()).flatten().collect())
}
