//! Whether Freeplay or a backend of OpenTelemetry's is told of a run, and which.

use crate::fail::Fail;
use crate::surroundings;
use belay_trace::open_regular;
use belaykit::{BadOtlp, Client, Freeplay, Otlp, OtlpSettings, TraceContext};
use clap::Args;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What is said of it on the command line, and filled in by the configuration.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OtelFlags {
    /// Send what happens as OpenTelemetry's traces and metrics: to phoenix, langfuse, langsmith, datadog, braintrust,
    /// freeplay, an address (OTLP over HTTP), or without one where OTEL_EXPORTER_OTLP_ENDPOINT says; `off` sends
    /// nothing [default: the configuration's `otel.to`, or off].
    #[arg(long, value_name = "PRESET|ADDRESS", help_heading = "Observability")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) otel: Option<String>,

    /// Send prompts, answers, and what tools were told and have printed as well.
    #[arg(long, value_name = "BOOL", help_heading = "Observability")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) otel_content: Option<bool>,

    /// Tell Freeplay of the run, prompts and answers as well: FREEPLAY_API_KEY and FREEPLAY_PROJECT_ID say whom.
    #[arg(long, value_name = "BOOL", help_heading = "Observability")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) freeplay: Option<bool>,

    /// What the configuration says where nothing was given.
    #[arg(skip)]
    pub(crate) configured: Configured,
}

/// What the user's file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    pub(crate) to: Option<String>,
    pub(crate) content: Option<bool>,
    pub(crate) freeplay: Option<bool>,
    /// `gzip` or `none`.
    pub(crate) compression: Option<String>,
    /// A file of mode 0600 with headers for `to`, `NAME: VALUE` a line.
    pub(crate) headers_file: Option<PathBuf>,
}

impl OtelFlags {
    /// Where to, if anywhere.
    pub(crate) fn settings(&self) -> Result<Option<OtlpSettings>, Fail> {
        let to = self.otel.as_ref().or(self.configured.to.as_ref()).filter(|to| *to != "off");
        let Some(to) = to.map(String::as_str) else { return Ok(None) };
        let to = Some(to).filter(|to| !to.is_empty());
        let found = OtlpSettings::new(to, &surroundings::environment());
        let Some(mut settings) = found.map_err(wrong)? else { return Ok(None) };
        if let Some(compression) = &self.configured.compression {
            settings = settings.compression(compression).map_err(wrong)?;
        }
        // Headers are for where they were written down for, and for nobody else.
        if let (None, Some(path)) = (&self.otel, &self.configured.headers_file) {
            for (name, value) in headers(path)? {
                settings = settings.header(&name, &value).map_err(wrong)?;
            }
        }
        let content = self.otel_content.or(self.configured.content);
        Ok(Some(settings.content(content.unwrap_or(false))))
    }

    /// The variables that hold the logins of those who are told.
    pub(crate) fn secrets(&self) -> Vec<&'static str> {
        let to = self.otel.as_ref().or(self.configured.to.as_ref()).filter(|to| *to != "off");
        let otlp = to.map(|to| OtlpSettings::secrets(to)).unwrap_or_default();
        let freeplay = self.freeplay.or(self.configured.freeplay) == Some(true);
        otlp.into_iter().chain(freeplay.then_some("FREEPLAY_API_KEY")).collect()
    }

    /// Lets the client tell what it does, and its agents where they stand.
    pub(crate) fn watch(&self, mut client: Client) -> Result<Client, Fail> {
        if self.freeplay.or(self.configured.freeplay) == Some(true) {
            let freeplay = Freeplay::new(&surroundings::environment());
            client = client.observe(freeplay.map_err(|error| {
                Fail::usage(error).hint("docs/otel.md has what Freeplay needs")
            })?);
        }
        let Some(settings) = self.settings()? else { return Ok(client) };
        let context = TraceContext::of(&surroundings::environment());
        Ok(client.observe(Otlp::new(settings)).trace_context(context))
    }
}

pub(crate) fn wrong(error: BadOtlp) -> Fail {
    let hint = match &error {
        BadOtlp::Needs { .. } => "docs/otel.md has what each backend needs",
        BadOtlp::Value { .. } | BadOtlp::Certificate { .. } => {
            "docs/otel.md has the variables that hold"
        }
        _ => "such as --otel=phoenix, or --otel=http://localhost:4318",
    };
    Fail::usage(error).hint(hint)
}

/// Headers are logins: whoever else can read the file has them too.
fn headers(path: &Path) -> Result<Vec<(String, String)>, Fail> {
    let cannot = |error| {
        Fail::usage(format!("cannot read the headers in {}: {error}", path.display()))
            .hint("`otel.headers_file` names it in the configuration")
    };
    let mode = fs::metadata(path).map_err(cannot)?.permissions().mode();
    if mode & 0o077 != 0 {
        let words = format!("others can read the headers in {}", path.display());
        return Err(Fail::usage(words).hint(format_args!("chmod 600 {}", path.display())));
    }
    let text = open_regular(path).and_then(std::io::read_to_string).map_err(cannot)?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let pairs = lines.enumerate().map(|(n, line)| {
        pair(line).ok_or_else(|| {
            Fail::usage(format!("header {} in {} is none", n + 1, path.display()))
                .hint("write NAME: VALUE")
        })
    });
    pairs.collect()
}
