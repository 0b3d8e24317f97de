//! Where some backends take OTLP, and how one logs in there: data.

/// One backend. `${NAME}` is the value of an environment variable.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// Variables that hold the beginning of the address, most particular first, and what it is without them.
    pub(super) bases: &'static [&'static str],
    pub(super) base: &'static str,
    /// What comes after the beginning, up to `/v1/traces`.
    pub(super) path: &'static str,
    pub(super) headers: &'static [Header],
    /// The variable that names the project as a resource attribute.
    pub(super) project: Option<&'static str>,
}

/// A header of each request.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) value: Template,
    /// Without its variables it cannot work.
    pub(super) needed: bool,
}

#[derive(Debug)]
pub(super) enum Template {
    Fixed(&'static str),
    /// What stands before the value of the variable, and its name.
    Of(&'static str, &'static str),
    /// User and password for HTTP's basic authentication.
    Basic(&'static str, &'static str),
}

impl Header {
    /// The variable that holds the secret of it.
    pub(super) fn secret(&self) -> Option<&'static str> {
        match self.value {
            Template::Fixed(_) => None,
            Template::Of(_, variable) | Template::Basic(_, variable) => Some(variable),
        }
    }
}

const fn header(name: &'static str, value: Template) -> Header {
    Header { name, value, needed: true }
}

const fn optional(name: &'static str, value: Template) -> Header {
    Header { name, value, needed: false }
}

pub(super) const PRESETS: [Preset; 6] = [
    Preset {
        name: "phoenix",
        bases: &["PHOENIX_COLLECTOR_ENDPOINT"],
        base: "http://localhost:6006",
        path: "",
        headers: &[optional("authorization", Template::Of("Bearer ", "PHOENIX_API_KEY"))],
        project: Some("PHOENIX_PROJECT_NAME"),
    },
    Preset {
        name: "langfuse",
        bases: &["LANGFUSE_BASE_URL", "LANGFUSE_HOST"],
        base: "https://cloud.langfuse.com",
        path: "/api/public/otel",
        headers: &[
            header("authorization", Template::Basic("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")),
            header("x-langfuse-ingestion-version", Template::Fixed("4")),
        ],
        project: None,
    },
    Preset {
        name: "langsmith",
        bases: &["LANGSMITH_ENDPOINT"],
        base: "https://api.smith.langchain.com",
        path: "/otel",
        headers: &[
            header("x-api-key", Template::Of("", "LANGSMITH_API_KEY")),
            optional("Langsmith-Project", Template::Of("", "LANGSMITH_PROJECT")),
        ],
        project: None,
    },
    Preset {
        name: "datadog",
        bases: &["DD_OTLP_ENDPOINT"],
        base: "https://otlp.datadoghq.com",
        path: "",
        headers: &[
            header("dd-api-key", Template::Of("", "DD_API_KEY")),
            header("dd-otlp-source", Template::Fixed("llmobs")),
        ],
        project: None,
    },
    Preset {
        name: "braintrust",
        bases: &["BRAINTRUST_API_URL"],
        base: "https://api.braintrust.dev",
        path: "/otel",
        headers: &[
            header("authorization", Template::Of("Bearer ", "BRAINTRUST_API_KEY")),
            optional("x-bt-parent", Template::Of("", "BRAINTRUST_PARENT")),
        ],
        project: None,
    },
    Preset {
        name: "freeplay",
        bases: &["FREEPLAY_API_URL"],
        base: "https://app.freeplay.ai/api",
        path: "/v0/otel",
        headers: &[
            header("authorization", Template::Of("Bearer ", "FREEPLAY_API_KEY")),
            header("X-Freeplay-Project-Id", Template::Of("", "FREEPLAY_PROJECT_ID")),
        ],
        project: None,
    },
];
