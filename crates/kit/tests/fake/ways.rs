//! The ways to a service: through a proxy that the environment names, and to one with a certificate of its own.
#![cfg(all(feature = "otlp", feature = "slack", feature = "webhook"))]
#![expect(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use crate::fake_run::{Stage, answer, run};
use belaykit::notify::Notify;
use belaykit::{BadOtlp, Client, Environment, Freeplay, Otlp, OtlpExport, OtlpSettings, slack};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

fn env(vars: &[(&str, &str)]) -> Environment {
    Environment::new(vars.iter().map(|(name, value)| ((*name).into(), (*value).into())))
}

/// A proxy that lets nobody through; gives its address, and where it was asked to go to, with which login.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let theirs = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let login = head.iter().find(|line| line.to_lowercase().starts_with("proxy-auth"));
            let login = login.and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
            theirs.lock().unwrap().push(format!("{} {login}", head[0]).trim().to_owned());
            // Whoever went away needs no answer.
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (address, asked)
}

fn told(client: Client, environment: &Environment, host: &str) -> Client {
    let url = format!("https://{host}/x");
    let slack = slack::Config { enabled: true, webhook_url: url.clone(), ..Default::default() };
    let notify = [
        Notify::slack(slack),
        Notify::webhook(&*url, None),
        Notify::ntfy(&*url, None),
        Notify::discord(&*url),
    ];
    let client = notify
        .into_iter()
        .fold(client, |client, notify| client.observe(notify.network_of(environment)));
    let settings = OtlpSettings::new(Some(&url), environment).unwrap().unwrap();
    client.observe(Otlp::new(settings)).observe(Freeplay::new(environment).unwrap())
}

#[tokio::test]
async fn whoever_is_told_of_a_run_is_told_through_the_proxy_of_the_environment() {
    let stage = Stage::new("claude", &answer());
    let (address, asked) = proxy();
    let freeplay = [
        ("FREEPLAY_API_KEY", "k"),
        ("FREEPLAY_PROJECT_ID", "p"),
        ("FREEPLAY_API_URL", "https://backend.invalid"),
    ];
    let named = format!("http://user:pass@{address}");
    let vars = [&freeplay[..], &[("HTTPS_PROXY", &*named)]].concat();
    let client = told(stage.claude(), &env(&vars), "backend.invalid");
    let seen = run(&client, "p").await;
    let errors = &seen.outcome.unwrap().observer_errors;
    assert_eq!(errors.len(), 6, "the proxy lets nobody through, and that is said: {errors:#?}");
    let all = errors.join(" ");
    assert!(!all.contains("user") && !all.contains("pass"), "{errors:#?}");
    {
        let asked = asked.lock().unwrap();
        assert!(asked.len() >= 6, "{asked:?}");
        let want = "CONNECT backend.invalid:443 HTTP/1.1 dXNlcjpwYXNz";
        assert!(asked.iter().all(|asked| asked == want), "{asked:?}");
    }

    // To these one goes without, and to this machine always.
    let (address, asked) = proxy();
    let named = format!("http://{address}");
    let vars = [&freeplay[..], &[("HTTPS_PROXY", &*named), ("NO_PROXY", "invalid")]].concat();
    run(&told(stage.claude(), &env(&vars), "backend.invalid"), "p").await;
    let mut here = vars[..4].to_vec();
    here[2] = ("FREEPLAY_API_URL", "https://127.0.0.1:1");
    run(&told(stage.claude(), &env(&here), "localhost:1"), "p").await;
    assert_eq!(*asked.lock().unwrap(), [""; 0]);
}

/// A backend with a certificate that nobody else has signed; it takes what comes.
fn backend() -> String {
    format!("https://localhost:{}", backend_with("cert.pem", "key.pem"))
}

/// The port of a backend with this certificate.
fn backend_with(certificate: &str, key: &str) -> u16 {
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake/tls").join(name);
    let certificate = CertificateDer::from_pem_file(file(certificate)).unwrap();
    let key = PrivateKeyDer::from_pem_file(file(key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            // Whoever does not trust us goes away.
            let _ = serve(StreamOwned::new(connection, stream));
        }
    });
    port
}

fn serve(stream: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length])?;
    let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream.get_mut().write_all(answer)
}

#[tokio::test]
async fn a_backend_with_a_certificate_of_its_own_is_trusted_if_that_is_named() {
    let stage = Stage::new("claude", &answer());
    let records = run(&stage.claude(), "p").await.records;
    let backend = backend();
    let send = |vars: &[(&str, &str)]| {
        let settings = OtlpSettings::new(Some(&backend), &env(vars)).unwrap().unwrap();
        let mut export = OtlpExport::new(settings);
        export.run(records.clone(), None);
        export.send(Duration::from_secs(3))
    };
    let unknown = send(&[]).unwrap_err();
    assert!(unknown.contains("certificate"), "{unknown}");
    let named = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/tls/cert.pem");
    for variable in ["OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] {
        assert_eq!(send(&[(variable, named)]), Ok(2));
    }
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fake/tls/key.pem");
    let error = OtlpSettings::new(Some(&backend), &env(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", key)]));
    assert!(matches!(error, Err(BadOtlp::Certificate { .. })), "{error:?}");
}

fn tls(name: &str) -> String {
    format!("{}/tests/fake/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Hands on what comes, and the end of it.
fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    // Either side may be gone first.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A proxy that lets everybody through to this port, whatever they ask for; and what they have asked for.
fn open_proxy(port: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let theirs = Arc::clone(&asked);
    thread::spawn(move || {
        for mut near in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(near.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            theirs.lock().unwrap().push(head[0].clone());
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || hand_on(forth, far));
            thread::spawn(move || hand_on(back, near));
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_company_s_own_certificates_and_proxy_hold_for_what_is_sent() {
    let stage = Stage::new("claude", &answer());
    let records = run(&stage.claude(), "p").await.records;
    let (proxy, asked) = open_proxy(backend_with("backend.pem", "backend-key.pem"));
    let proxy = format!("http://{proxy}");
    let send = |vars: &[(&str, &str)]| {
        let vars = [&[("HTTPS_PROXY", proxy.as_str())], vars].concat();
        let settings = OtlpSettings::new(Some("https://backend.invalid"), &env(&vars));
        let mut export = OtlpExport::new(settings.unwrap().unwrap());
        export.run(records.clone(), None);
        export.send(Duration::from_secs(5))
    };
    let unknown = send(&[]).unwrap_err();
    assert!(unknown.contains("certificate"), "{unknown}");
    assert_eq!(send(&[("SSL_CERT_FILE", &tls("ca.pem"))]), Ok(2));
    // A folder holds other things as well.
    assert_eq!(send(&[("SSL_CERT_DIR", &tls(""))]), Ok(2));
    assert_eq!(send(&[("SSL_CERT_FILE", &tls("cert.pem")), ("SSL_CERT_DIR", &tls(""))]), Ok(2));
    // The standard's own variable is about this alone, and goes before.
    let both =
        [("SSL_CERT_FILE", &*tls("cert.pem")), ("OTEL_EXPORTER_OTLP_CERTIFICATE", &*tls("ca.pem"))];
    assert_eq!(send(&both), Ok(2));
    let asked = asked.lock().unwrap();
    assert!(
        asked.iter().all(|asked| asked.starts_with("CONNECT backend.invalid:443 ")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_an_error_that_names_the_variable() {
    let stage = Stage::new("claude", &answer());
    let records = run(&stage.claude(), "p").await.records;
    let backend = backend();
    for (variable, path, want) in [
        (
            "SSL_CERT_FILE",
            "/nowhere/ca.pem",
            "cannot read /nowhere/ca.pem, which SSL_CERT_FILE names",
        ),
        ("SSL_CERT_FILE", &*tls("key.pem"), "there is no certificate in it"),
        ("SSL_CERT_DIR", "/nowhere", "cannot read /nowhere, which SSL_CERT_DIR names"),
    ] {
        let settings = OtlpSettings::new(Some(&backend), &env(&[(variable, path)]));
        let mut export = OtlpExport::new(settings.unwrap().unwrap());
        export.run(records.clone(), None);
        let error = export.send(Duration::from_secs(3)).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}

/// Freeplay and whoever is told of runs trust the same.
#[tokio::test]
async fn whoever_is_told_of_a_run_is_told_where_a_company_has_signed_the_certificate() {
    let stage = Stage::new("claude", &answer());
    let (proxy, asked) = open_proxy(backend_with("backend.pem", "backend-key.pem"));
    let (proxy, ca) = (format!("http://{proxy}"), tls("ca.pem"));
    let vars = [
        ("FREEPLAY_API_KEY", "k"),
        ("FREEPLAY_PROJECT_ID", "p"),
        ("FREEPLAY_API_URL", "https://backend.invalid"),
        ("HTTPS_PROXY", &*proxy),
        ("SSL_CERT_FILE", &*ca),
    ];
    let client = told(stage.claude(), &env(&vars), "backend.invalid");
    let seen = run(&client, "p").await;
    let errors = &seen.outcome.unwrap().observer_errors;
    assert!(errors.iter().all(|error| !error.contains("certificate")), "{errors:#?}");
    assert!(asked.lock().unwrap().len() >= 6);
}
