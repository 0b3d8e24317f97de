//! Where spans and metrics go: the standard variables, and presets of backends.

use super::metrics::Sums;
use super::names;
use super::presets::{Header, PRESETS, Preset, Template};
use crate::Environment;
use crate::limits::SENDER_TIMEOUT;
use crate::observe::http::{Http, Network, Plain, check_address};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use belay_trace::read_regular;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{PemItem, parse_pem};

/// Where the spans and the metrics of an [`Otlp`](super::Otlp) go, and what is in them.
///
/// ```
/// use belaykit::{Environment, OtlpSettings};
///
/// let environment = Environment::new([("PHOENIX_PROJECT_NAME".into(), "climbing".into())]);
/// let settings = OtlpSettings::new(Some("phoenix"), &environment)?.expect("nobody has switched it off");
/// assert_eq!(settings.endpoint(), "http://localhost:6006/v1/traces");
///
/// let settings = OtlpSettings::new(Some("https://collector.example.com:4318"), &environment)?;
/// assert_eq!(settings.unwrap().endpoint(), "https://collector.example.com:4318/v1/traces");
/// # Ok::<(), belaykit::BadOtlp>(())
/// ```
#[derive(Clone)]
pub struct OtlpSettings {
    pub(super) traces: Option<Target>,
    pub(super) metrics: Option<Target>,
    pub(super) http: Http,
    pub(super) timeout: Duration,
    pub(super) gzip: Option<bool>,
    pub(super) resource: Vec<(String, String)>,
    pub(super) sums: Sums,
    pub(super) with_content: bool,
}

/// An address and what goes with each request to it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: Arc<str>,
    pub(super) headers: Arc<[(String, String)]>,
}

/// Why spans cannot go where they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadOtlp {
    /// A preset needs a variable.
    #[error("{preset} needs {variable} in the environment")]
    Needs {
        /// Which preset.
        preset: &'static str,
        /// Which variable.
        variable: &'static str,
    },
    /// Nothing says where to.
    #[error("no endpoint: name one, or a preset ({}), or set OTEL_EXPORTER_OTLP_ENDPOINT", OtlpSettings::presets().collect::<Vec<_>>().join(", "))]
    NoEndpoint,
    /// Nothing is sent there.
    #[error("cannot send spans to {whence}: {why}")]
    Address {
        /// What named the address.
        whence: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is another language than ours.
    #[error("{variable} asks for {value:?}; belay speaks http/protobuf, usually on port 4318")]
    Protocol {
        /// Which variable says so.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// It says what nobody knows.
    #[error("{variable} is {value:?}; it can be {can_be}")]
    Value {
        /// Which variable.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What it could say.
        can_be: &'static str,
    },
    /// Nobody can be trusted who is signed by what is there.
    #[error("cannot read the certificates in {path}, which {variable} names: {why}")]
    Certificate {
        /// Which variable.
        variable: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Debug for OtlpSettings {
    // Headers are logins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("with_content", &self.with_content)
            .finish_non_exhaustive()
    }
}

impl OtlpSettings {
    /// For a preset, an address (to which `/v1/traces` is added), or what `OTEL_EXPORTER_OTLP_ENDPOINT` and the like
    /// say. The other standard variables hold in each case; `None` if one of them switches everything off.
    ///
    /// # Errors
    /// [`BadOtlp`] with what is missing.
    pub fn new(to: Option<&str>, env: &Environment) -> Result<Option<Self>, BadOtlp> {
        let get = |name: &str| text(env, name);
        let is_off = get("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
        if is_off {
            return Ok(None);
        }
        let preset = to.and_then(|to| PRESETS.iter().find(|preset| preset.name == to));
        let (traces, metrics) = match (preset, to) {
            // They take spans only.
            (Some(preset), _) => (Some(of_preset(preset, env)?), None),
            (None, to) => of_address(to, env)?,
        };
        let exports = |name: &str| get(name).is_none_or(|exporter| exporter != "none");
        let traces = traces.filter(|_| exports("OTEL_TRACES_EXPORTER"));
        let metrics = metrics.filter(|_| exports("OTEL_METRICS_EXPORTER"));
        if traces.is_none() && metrics.is_none() {
            return Ok(None);
        }
        let mut http = Http::new().plain(Plain::Anywhere).network(Network::of(env));
        if let Some(roots) = roots(env)? {
            http = http.trusting(&roots);
        }
        for target in [&traces, &metrics].into_iter().flatten() {
            let why = |why| BadOtlp::Address { whence: host_of(&target.url), why };
            http.check(&target.url).map_err(why)?;
        }
        let timeout = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let timeout = timeout.iter().find_map(|name| get(name)?.parse().ok());
        let compression =
            ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
        let compression = compression.into_iter().find_map(|name| Some((name, get(name)?)));
        Ok(Some(Self {
            traces,
            metrics,
            timeout: timeout.map_or(SENDER_TIMEOUT, Duration::from_millis),
            gzip: match compression {
                None => None,
                Some((variable, value)) => match is_gzip(&value) {
                    None => return Err(BadOtlp::Value { variable, value, can_be: COMPRESSIONS }),
                    gzip => gzip,
                },
            },
            resource: resource(preset, env),
            http,
            sums: sums(env)?,
            with_content: false,
        }))
    }

    /// The names of the presets.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.name)
    }

    /// Lets the spans hold what was said: prompts, answers, what tools were told and have printed. Secrets are taken
    /// out as everywhere else.
    #[must_use]
    pub fn content(mut self, with_content: bool) -> Self {
        self.with_content = with_content;
        self
    }

    /// Sends this with each request, in the place of one of the same name: what a configuration says.
    ///
    /// # Errors
    /// [`BadOtlp::Address`] if it would go to another machine over plain http: it may be a login.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, BadOtlp> {
        for target in [&mut self.traces, &mut self.metrics].into_iter().flatten() {
            let mut headers = target.headers.to_vec();
            put(&mut headers, name, value);
            check(&target.url, &target.url, &headers)?;
            target.headers = headers.into();
        }
        Ok(self)
    }

    /// The variables that hold a login for `to`, which is as in [`new`](Self::new): no agent needs them.
    pub fn secrets(to: &str) -> Vec<&'static str> {
        match PRESETS.iter().find(|preset| preset.name == to) {
            Some(preset) => preset.headers.iter().filter_map(Header::secret).collect(),
            None => {
                [COMMON_HEADERS].into_iter().chain(SIGNALS.map(|(_, _, headers)| headers)).collect()
            }
        }
    }

    /// Sends bodies in this way, `gzip` or `none`, where no variable says otherwise.
    ///
    /// # Errors
    /// [`BadOtlp::Value`] if it is neither.
    pub fn compression(mut self, compression: &str) -> Result<Self, BadOtlp> {
        let (variable, value) = ("the compression", compression.to_owned());
        let gzip = is_gzip(compression);
        let gzip = gzip.ok_or(BadOtlp::Value { variable, value, can_be: COMPRESSIONS })?;
        self.gzip.get_or_insert(gzip);
        Ok(self)
    }

    /// True if bodies are compressed; the standard sends them as they are unless it is told otherwise.
    pub(super) fn is_gzip(&self) -> bool {
        self.gzip.unwrap_or(false)
    }

    /// Where the spans go; empty if only metrics go anywhere.
    pub fn endpoint(&self) -> &str {
        self.traces.as_ref().map_or("", |traces| &traces.url)
    }
}

fn of_preset(preset: &Preset, env: &Environment) -> Result<Target, BadOtlp> {
    let base = preset.bases.iter().find_map(|name| text(env, name));
    let base = base.unwrap_or_else(|| preset.base.to_owned());
    let mut headers = Vec::new();
    for header in preset.headers {
        let get = |variable: &'static str| {
            text(env, variable).ok_or(BadOtlp::Needs { preset: preset.name, variable })
        };
        let value = match header.value {
            Template::Fixed(value) => Ok(value.to_owned()),
            Template::Of(before, variable) => get(variable).map(|value| format!("{before}{value}")),
            Template::Basic(user, password) => get(user).and_then(|user| {
                Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{}", get(password)?))))
            }),
        };
        match value {
            Ok(value) => headers.push((header.name.to_owned(), value)),
            Err(error) if header.needed => return Err(error),
            Err(_) => {}
        }
    }
    target(
        preset.name,
        &format!("{}{}", base.trim_end_matches('/'), preset.path),
        "traces",
        headers,
    )
}

type Targets = (Option<Target>, Option<Target>);

/// Headers of all signals, and each signal with its own address and headers.
const COMMON_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SIGNALS: [(&str, &str, &str); 2] = [
    ("traces", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
    ("metrics", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"),
];

fn of_address(to: Option<&str>, env: &Environment) -> Result<Targets, BadOtlp> {
    let common = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let mut targets = [None, None];
    for (target, (signal, own, own_headers)) in targets.iter_mut().zip(SIGNALS) {
        let mut headers = Vec::new();
        for name in [COMMON_HEADERS, own_headers] {
            pairs(&text(env, name).unwrap_or_default())
                .for_each(|(name, value)| put(&mut headers, &name, &value));
        }
        *target = match (to, text(env, own), text(env, common)) {
            // A name that is no address is a preset that there is not.
            (Some(to), ..) => Some(self::target(to, to, signal, headers)?),
            // The particular one is taken as it is.
            (None, Some(url), _) => {
                check(own, &url, &headers)?;
                Some(Target { url: url.into(), headers: headers.into() })
            }
            (None, None, Some(base)) => Some(self::target(common, &base, signal, headers)?),
            (None, None, None) => None,
        };
    }
    let [traces, metrics] = targets;
    if traces.is_none() && metrics.is_none() {
        return Err(BadOtlp::NoEndpoint);
    }
    if to.is_none() {
        for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            match text(env, variable) {
                Some(value) if value != "http/protobuf" => {
                    return Err(BadOtlp::Protocol { variable, value });
                }
                Some(_) => break,
                None => {}
            }
        }
    }
    Ok((traces, metrics))
}

fn target(
    whence: &str,
    base: &str,
    signal: &str,
    headers: Vec<(String, String)>,
) -> Result<Target, BadOtlp> {
    let base = base.trim_end_matches('/');
    let base = base.strip_suffix("/v1/traces").unwrap_or(base);
    let url = format!("{base}/v1/{signal}");
    check(whence, &url, &headers)?;
    Ok(Target { url: url.into(), headers: headers.into() })
}

/// Over plain http, which the standard allows, goes what is no secret to its user: a login never does.
fn check(whence: &str, url: &str, headers: &[(String, String)]) -> Result<(), BadOtlp> {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    let has_login = !headers.is_empty() || authority.is_some_and(|it| it.contains('@'));
    let mut checked = check_address(url, Plain::Anywhere);
    if has_login && checked.is_ok() {
        let words = "; what goes with each request there would be in the clear";
        checked = check_address(url, Plain::Here).map_err(|why| format!("{why}{words}"));
    }
    checked.map(drop).map_err(|why| BadOtlp::Address { whence: host_of(whence), why })
}

/// Whom a backend's certificate must be signed by, if that is not for the roots that belay was built with.
fn roots(env: &Environment) -> Result<Option<Vec<ureq::tls::Certificate<'static>>>, BadOtlp> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"] {
        let Some(path) = text(env, variable) else { continue };
        let wrong = |why: String| BadOtlp::Certificate { variable, path: path.clone(), why };
        let pem = read_regular(path.as_ref()).map_err(|error| wrong(error.to_string()))?;
        let found = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
            Ok(_) => None,
            Err(error) => Some(Err(wrong(error.to_string()))),
        });
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Err(wrong("there is none in it; it is to be PEM".to_owned()));
        }
        return Ok(Some(found));
    }
    Ok(None)
}

/// What the standard knows; it says to send as it is unless told otherwise.
fn is_gzip(compression: &str) -> Option<bool> {
    match compression.to_ascii_lowercase().as_str() {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    }
}

const COMPRESSIONS: &str = "gzip or none";

fn sums(env: &Environment) -> Result<Sums, BadOtlp> {
    let variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let Some(value) = text(env, variable) else { return Ok(Sums::OfAll) };
    match value.to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Sums::OfAll),
        // For what belay measures both are the same.
        "delta" | "lowmemory" => Ok(Sums::OfWhatIsNew),
        _ => Err(BadOtlp::Value { variable, value, can_be: "cumulative, delta or lowmemory" }),
    }
}

/// What was named, without a path or a login in it.
fn host_of(whence: &str) -> String {
    let (scheme, rest) = whence.split_once("://").unwrap_or(("", whence));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

fn resource(preset: Option<&Preset>, env: &Environment) -> Vec<(String, String)> {
    let mut resource = vec![
        ("service.name".to_owned(), "belay".to_owned()),
        ("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id".to_owned(), uuid::Uuid::new_v4().to_string()),
    ];
    let said = text(env, "OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    pairs(&said).for_each(|(name, value)| put(&mut resource, &name, &value));
    if let Some(name) = text(env, "OTEL_SERVICE_NAME") {
        put(&mut resource, "service.name", &name);
    }
    if let Some(project) = preset.and_then(|preset| text(env, preset.project?)) {
        put(&mut resource, names::PROJECT, &project);
    }
    resource
}

/// `a=1,b=2`, with percent signs for what would not go in.
fn pairs(list: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| percent_decode_str(text.trim()).decode_utf8_lossy().into_owned();
    let pairs = list.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(move |(name, value)| (decode(name), decode(value)))
}

fn put(into: &mut Vec<(String, String)>, name: &str, value: &str) {
    into.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    into.push((name.to_owned(), value.to_owned()));
}

/// An empty variable is none.
fn text(env: &Environment, name: &str) -> Option<String> {
    env.get(name)?.to_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
