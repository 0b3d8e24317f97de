//! Requests to the services that observers report to: one small client for all of them.
//!
//! An address is what its user has configured: https, or http on this machine, and beyond it for what may be read on
//! the way ([`Plain`]). Nothing is followed elsewhere, no answer is read without end, and the path of an address, which
//! may be a secret, is in no error.

mod proxies;
mod roots;

use self::proxies::Proxies;
use self::roots::Roots;
use crate::Environment;

use crate::limits::{HTTP_BYTES_MAX, RETRY_AFTER_MAX};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use ureq::Agent;
use ureq::RequestBuilder;
use ureq::http::{HeaderMap, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::WithBody;

/// A client with its connections. Cheap to clone; it blocks, and observers have threads of their own.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: Arc<OnceLock<Result<Agent, String>>>,
    plain: Plain,
    network: Network,
    /// Whom alone it trusts.
    trusted: Option<Arc<[Certificate<'static>]>>,
}

/// How an environment says that services are reached: through which proxies, and signed by whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    proxies: Proxies,
    roots: Roots,
}

impl Network {
    pub(crate) fn of(environment: &Environment) -> Self {
        Self { proxies: Proxies::of(environment), roots: Roots::of(environment) }
    }
}

/// How far http goes that is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Not beyond this machine.
    Here,
    /// Wherever the user has written it out; it is for requests that no login goes with.
    Anywhere,
}

/// What a service has answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// True if the status says that all went well.
    pub(crate) fn is_ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// Nothing is sent there; what is wrong with the address.
    #[error("{0}")]
    Address(String),
    /// It took longer than it may.
    #[error("{host} has not answered within {} ms", .after.as_millis())]
    Slow { host: String, after: Duration },
    /// The answer has no end.
    #[error("the answer of {host} is longer than {HTTP_BYTES_MAX} bytes")]
    Long { host: String },
    /// Anything else that keeps one from an answer.
    #[error("cannot reach {host}")]
    Unreachable {
        host: String,
        #[source]
        cause: Box<ureq::Error>,
    },
}

impl Http {
    /// A client of no surroundings: no proxy, no redirects, the roots that the program was built with.
    pub(crate) fn new() -> Self {
        let (agent, network) = (Arc::default(), Network::default());
        Self { agent, plain: Plain::Here, network, trusted: None }
    }

    /// Goes through the proxies of this network, and trusts whom it trusts.
    #[must_use]
    pub(crate) fn network(self, network: Network) -> Self {
        Self { agent: Arc::default(), network, ..self }
    }

    /// Speaks http this far.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub(crate) fn plain(self, plain: Plain) -> Self {
        Self { plain, ..self }
    }

    /// Trusts whom these have signed, and nobody else.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub(crate) fn trusting(self, roots: &[Certificate<'static>]) -> Self {
        Self { agent: Arc::default(), trusted: Some(roots.into()), ..self }
    }

    /// Made when it is needed first: roots are files, and most clients never speak.
    fn agent(&self) -> Result<&Agent, HttpError> {
        let made = self.agent.get_or_init(|| {
            let roots = match &self.trusted {
                Some(trusted) => Some(RootCerts::new_with_certs(trusted)),
                None => self.network.roots.read()?.map(|roots| RootCerts::new_with_certs(&roots)),
            };
            Ok(agent(roots))
        });
        made.as_ref().map_err(|why| HttpError::Address(why.clone()))
    }

    /// Says whether something may be sent to an address, as it is configured here, and to which host that is.
    #[cfg(any(feature = "otlp", feature = "freeplay"))]
    pub(crate) fn check(&self, url: &str) -> Result<String, String> {
        let host = check_address(url, self.plain)?;
        url.parse().map_or(Ok(None), |uri| self.network.proxies.on_the_way_to(&uri))?;
        Ok(host)
    }

    /// Sends `body` and waits for the whole answer, all in all for no longer than `timeout`.
    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Result<Response, HttpError> {
        self.send(self.agent()?.post(url), url, headers, body, timeout)
    }

    /// Like [`post`](Self::post), to change what is there.
    pub(crate) fn patch(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Result<Response, HttpError> {
        self.send(self.agent()?.patch(url), url, headers, body, timeout)
    }

    fn send(
        &self,
        request: RequestBuilder<WithBody>,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout: Duration,
    ) -> Result<Response, HttpError> {
        let host = check_address(url, self.plain).map_err(HttpError::Address)?;
        let failed = |error| failed(error, &host, timeout);
        let proxy = url.parse().map_or(Ok(None), |uri| self.network.proxies.on_the_way_to(&uri));
        let proxy = proxy.map_err(HttpError::Address)?;
        let request = request.config().timeout_global(Some(timeout)).proxy(proxy).build();
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut response = request.send(body).map_err(failed)?;
        let retry_after = retry_after(response.headers());
        let body = response.body_mut().with_config().limit(HTTP_BYTES_MAX).read_to_vec();
        let body = body.map_err(failed)?;
        Ok(Response { status: response.status().as_u16(), retry_after, body })
    }
}

fn agent(roots: Option<RootCerts>) -> Agent {
    let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
    let config = Agent::config_builder()
        .proxy(None)
        .tls_config(tls)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

fn failed(error: ureq::Error, host: &str, after: Duration) -> HttpError {
    let host = host.to_owned();
    match error {
        ureq::Error::Timeout(_) => HttpError::Slow { host, after },
        ureq::Error::BodyExceedsLimit(_) => HttpError::Long { host },
        // It would hold the address.
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            HttpError::Address(format!("the address at {host}, or a header for it, is none"))
        }
        error => HttpError::Unreachable { host, cause: Box::new(error) },
    }
}

/// Says whether something may be sent to an address, and to which host that is. The error is for people, and has
/// nothing of the address beyond its host.
pub(crate) fn check_address(url: &str, plain: Plain) -> Result<String, String> {
    let uri = url.parse::<Uri>().ok();
    let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
    let Some((scheme, host)) = parts else {
        return Err("an address is none; write one such as https://example.com/path".to_owned());
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let link_local = ip.is_some_and(|ip| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_link_local())
        }
    });
    match scheme {
        // There is nobody there who wants to be told; a cloud's machines get their keys there.
        _ if link_local => Err(format!("{host} is an address of this link alone")),
        "https" => Ok(host.to_owned()),
        "http" if is_here(host) || plain == Plain::Anywhere => Ok(host.to_owned()),
        "http" => Err(format!("{host} is not on this machine: use https")),
        _ => Err(format!("{host} is to be spoken to over {scheme}: use https")),
    }
}

/// True of the names and addresses of this machine alone.
fn is_here(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// What a header says of when to come again: so many seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let at = DateTimeParser::new().parse_timestamp(value).ok()?;
            Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn nothing_is_sent_in_the_clear_beyond_this_machine() {
        for fine in [
            "https://hooks.slack.com/x",
            "http://localhost:1/x",
            "http://127.0.0.1:80",
            "http://[::1]:9/x",
        ] {
            check_address(fine, Plain::Here).unwrap();
        }
        for (bad, want) in [
            ("http://example.com/x", "example.com is not on this machine: use https"),
            ("http://127.0.0.1@example.com/x", "example.com is not on this machine: use https"),
            (
                "http://localhost.example.com/",
                "localhost.example.com is not on this machine: use https",
            ),
            ("ftp://example.com/x", "example.com is to be spoken to over ftp: use https"),
            ("https://169.254.169.254/latest", "169.254.169.254 is an address of this link alone"),
            ("http://[fe80::1]/", "[fe80::1] is an address of this link alone"),
            (
                "hooks.slack.com/services",
                "an address is none; write one such as https://example.com/path",
            ),
            ("", "an address is none; write one such as https://example.com/path"),
        ] {
            assert_eq!(check_address(bad, Plain::Here).unwrap_err(), want);
        }
    }

    #[test]
    fn a_service_says_when_to_come_again() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(check("30"), Some(Duration::from_secs(30)));
        assert_eq!(check("0.4"), Some(Duration::from_millis(400)));
        assert_eq!(check("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(check("999999999999"), Some(RETRY_AFTER_MAX));
        for none in ["soon", "-5", "NaN", "inf"] {
            assert_eq!(check(none), None, "{none}");
        }
    }

    /// Answers one request with these bytes, and gives back what was asked.
    fn answer(bytes: Vec<u8>) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", listener.local_addr().unwrap());
        let asked = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"a body") {
                let mut piece = [0; 1024];
                let n = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..n]);
            }
            // The other side may have read enough.
            let _ = stream.write_all(&bytes);
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn an_answer_comes_with_its_status_and_a_redirect_is_one() {
        let head = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno";
        let (url, asked) = answer(head.into());
        let response = Http::new().post(&url, &[("x-one", "1")], b"a body", LONG).unwrap();
        let retry_after = Some(Duration::from_secs(7));
        assert_eq!(response, Response { status: 302, retry_after, body: b"no".into() });
        assert!(!response.is_ok());
        let asked = asked.join().unwrap().to_lowercase();
        assert!(
            asked.starts_with("post /secret http/1.1\r\n") && asked.contains("x-one: 1\r\n"),
            "{asked}"
        );
    }

    #[test]
    fn an_answer_without_an_end_is_none() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        bytes.resize(bytes.len() + 2 * usize::try_from(HTTP_BYTES_MAX).unwrap(), b'x');
        let (url, _asked) = answer(bytes);
        let error = Http::new().post(&url, &[], b"a body", LONG).unwrap_err();
        assert_eq!(error.to_string(), "the answer of 127.0.0.1 is longer than 1048576 bytes");
    }

    #[test]
    fn whoever_says_nothing_is_not_waited_for_and_no_error_tells_the_path() {
        // It takes connections, and no more.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/secret", silent.local_addr().unwrap());
        let error = Http::new().post(&url, &[], b"", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.1 has not answered within 50 ms");
        drop(silent);
        let error = Http::new().post(&url, &[], b"", LONG).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert_eq!(error.to_string(), "cannot reach 127.0.0.1");
        let error = Http::new().post("https://a b/secret", &[], b"", LONG).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        let (url, _) = ("http://127.0.0.1:1/secret", ());
        let error = Http::new().post(url, &[("x", "a\nb")], b"", LONG).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}
