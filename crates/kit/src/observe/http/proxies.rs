//! Which requests go through a proxy: what the usual variables of an environment say.

use super::is_here;
use crate::Environment;
use std::fmt;
use std::net::IpAddr;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

/// The proxies of an environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in small letters too.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    https: Option<Named>,
    http: Option<Named>,
    /// Where one goes without.
    except: Vec<String>,
}

/// What a variable says, or what is wrong with it.
type Named = Result<Proxy, String>;

impl fmt::Debug for Proxies {
    // There may be a login in their addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").finish_non_exhaustive()
    }
}

impl Proxies {
    pub(crate) fn of(environment: &Environment) -> Self {
        let get = |name: &str| {
            let value = environment.get(name)?.to_str()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let first = |names: [&str; 4]| names.into_iter().find_map(|name| named(name, &get(name)?));
        let except = get("no_proxy").or_else(|| get("NO_PROXY")).unwrap_or_default();
        let except = except.split([',', ' ']).filter(|entry| !entry.is_empty());
        Self {
            https: first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            http: first(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            except: except.map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The proxy on the way to an address; there is none on the way to this machine.
    pub(crate) fn on_the_way_to(&self, uri: &Uri) -> Result<Option<Proxy>, String> {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        if is_here(&host) || self.except.iter().any(|entry| is_meant(entry, &host)) {
            return Ok(None);
        }
        let proxy = if uri.scheme_str() == Some("http") { &self.http } else { &self.https };
        proxy.clone().transpose()
    }
}

/// The error names the variable and not its value, in which there may be a login.
fn named(variable: &str, value: &str) -> Option<Named> {
    let Ok(proxy) = Proxy::new(value) else {
        return Some(Err(format!("{variable} is no address of a proxy")));
    };
    Some(match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(proxy),
        _ => Err(format!("{variable} asks for SOCKS; belay goes through http and https proxies")),
    })
}

/// True if an entry of `NO_PROXY` is about a host: `*`, a name and all below it, an address, or a range of them.
fn is_meant(entry: &str, host: &str) -> bool {
    let ip = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    if entry == "*" {
        return true;
    }
    if let Some((range, bits)) = entry.split_once('/') {
        let bits = bits.parse::<u32>().ok();
        return match (ip(range), ip(host), bits) {
            (Some(IpAddr::V4(range)), Some(IpAddr::V4(host)), Some(bits @ 0..=32)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                range.to_bits() & mask == host.to_bits() & mask
            }
            (Some(IpAddr::V6(range)), Some(IpAddr::V6(host)), Some(bits @ 0..=128)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                range.to_bits() & mask == host.to_bits() & mask
            }
            _ => false,
        };
    }
    if let (Some(entry), Some(host)) = (ip(entry), ip(host)) {
        return entry == host;
    }
    // Of a port nothing depends here.
    let name = entry.rsplit_once(':').filter(|(name, _)| !name.contains(':'));
    let name = name.map_or(entry, |(name, _)| name);
    let name = name.trim_start_matches('*').trim_start_matches('.');
    let below = host.strip_suffix(name);
    !name.is_empty() && below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(vars: &[(&str, &str)]) -> Proxies {
        let vars = vars.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Proxies::of(&Environment::new(vars))
    }

    fn port(proxies: &Proxies, url: &str) -> Result<Option<u16>, String> {
        let found = proxies.on_the_way_to(&url.parse().unwrap())?;
        Ok(found.map(|proxy| proxy.port()))
    }

    #[test]
    fn each_scheme_has_its_proxy_and_there_is_none_to_this_machine() {
        let some = proxies(&[("HTTPS_PROXY", "http://u:p@proxy:1"), ("http_proxy", "proxy:2")]);
        assert_eq!(port(&some, "https://hooks.slack.com/x"), Ok(Some(1)));
        assert_eq!(port(&some, "http://collector:4318/v1"), Ok(Some(2)));
        for here in ["http://localhost:1/", "https://127.0.0.9/", "http://[::1]:4318/"] {
            assert_eq!(port(&some, here), Ok(None), "{here}");
        }
        let all = proxies(&[("ALL_PROXY", "https://proxy:3"), ("https_proxy", "")]);
        assert_eq!(port(&all, "https://hooks.slack.com/x"), Ok(Some(3)));
        assert_eq!(port(&proxies(&[]), "https://hooks.slack.com/x"), Ok(None));
        assert!(!format!("{some:?}").contains("u:p"));
    }

    #[test]
    fn no_proxy_names_hosts_and_what_is_below_them_addresses_and_ranges() {
        for (entry, host, want) in [
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", true),
            (".example.com", "a.Example.com", true),
            ("*.example.com", "a.example.com", true),
            ("example.com:443", "example.com", true),
            ("example.com", "badexample.com", false),
            ("other, example.com", "example.com", true),
            ("*", "example.com", true),
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("fd00::/8", "[fd12::1]", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1/33", "10.0.0.1", false),
            ("", "example.com", false),
            (".", "example.com", false),
        ] {
            let some = proxies(&[("HTTPS_PROXY", "proxy:1"), ("NO_PROXY", entry)]);
            let found = port(&some, &format!("https://{host}/"));
            assert_eq!(found, Ok((!want).then_some(1)), "{entry} {host}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_is_said_by_its_variable() {
        let socks = proxies(&[("ALL_PROXY", "socks5://user:secret@proxy:1")]);
        let want = "ALL_PROXY asks for SOCKS; belay goes through http and https proxies";
        assert_eq!(port(&socks, "https://example.com"), Err(want.to_owned()));
        let none = proxies(&[("HTTPS_PROXY", "secret secret")]);
        let want = "HTTPS_PROXY is no address of a proxy";
        assert_eq!(port(&none, "https://example.com"), Err(want.to_owned()));
    }
}
