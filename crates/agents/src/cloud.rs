//! Clouds that an agent can get its model from, by a switch in the environment: which variables go with each switch.

/// A switch that sends an agent's requests to a cloud, where it needs a place and a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cloud {
    /// The cloud's name for people.
    pub name: &'static str,
    /// The variable that switches to it.
    pub switch: &'static str,
    /// The variables that its libraries read, which pass with the switch in a clean environment; a trailing `*` stands
    /// for any ending.
    pub variables: &'static [&'static str],
    /// What has to be known, and what says it.
    pub needs: &'static [Need],
}

impl Cloud {
    /// True if a value of the switch is one that switches.
    pub fn is_on(value: &str) -> bool {
        !["", "0", "false", "no", "off"].contains(&value.trim().to_ascii_lowercase().as_str())
    }
}

/// Something that an agent has to know: one of these says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Need {
    /// What it is: `a region`.
    pub what: &'static str,
    /// Variables, any of which says it; `A+B` stands for both.
    pub variables: &'static [&'static str],
    /// Files below the home, any of which may say it.
    pub files: &'static [&'static str],
    /// It may also be known otherwise: the machine has a role, or the agent a guess.
    pub is_certain: bool,
}

/// What AWS's libraries read. A login may also be the role of the machine.
const AWS: [Need; 2] = [
    Need {
        what: "a region",
        variables: &["AWS_REGION", "AWS_DEFAULT_REGION"],
        files: &[".aws/config"],
        is_certain: true,
    },
    Need {
        what: "a login",
        variables: &[
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_ACCESS_KEY_ID+AWS_SECRET_ACCESS_KEY",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
        ],
        files: &[".aws/credentials", ".aws/config"],
        is_certain: false,
    },
];

/// The clouds of Claude Code (from its documents and its source, 2.1.329).
pub(crate) const OF_CLAUDE: &[Cloud] = &[
    Cloud {
        name: "Amazon Bedrock",
        switch: "CLAUDE_CODE_USE_BEDROCK",
        variables: &["AWS_*"],
        needs: &AWS,
    },
    Cloud {
        name: "Amazon Bedrock (Mantle)",
        switch: "CLAUDE_CODE_USE_MANTLE",
        variables: &["AWS_*"],
        needs: &AWS,
    },
    Cloud {
        name: "Google Vertex AI",
        switch: "CLAUDE_CODE_USE_VERTEX",
        variables: &[
            "GOOGLE_*",
            "GCLOUD_PROJECT",
            "CLOUDSDK_*",
            "CLOUD_ML_REGION",
            "VERTEX_REGION_*",
        ],
        needs: &[
            Need {
                what: "a region",
                variables: &["CLOUD_ML_REGION"],
                files: &[],
                is_certain: true,
            },
            Need {
                what: "a project",
                variables: &[
                    "ANTHROPIC_VERTEX_PROJECT_ID",
                    "GOOGLE_CLOUD_PROJECT",
                    "GCLOUD_PROJECT",
                    "GOOGLE_APPLICATION_CREDENTIALS",
                ],
                files: &[".config/gcloud/configurations/config_default"],
                is_certain: true,
            },
            Need {
                what: "a login",
                variables: &["GOOGLE_APPLICATION_CREDENTIALS", "CLAUDE_CODE_SKIP_VERTEX_AUTH"],
                files: &[".config/gcloud/application_default_credentials.json"],
                is_certain: false,
            },
        ],
    },
    Cloud {
        name: "Microsoft Foundry",
        switch: "CLAUDE_CODE_USE_FOUNDRY",
        variables: &["AZURE_*"],
        needs: &[
            Need {
                what: "a resource",
                variables: &["ANTHROPIC_FOUNDRY_RESOURCE", "ANTHROPIC_FOUNDRY_BASE_URL"],
                files: &[],
                is_certain: true,
            },
            Need {
                what: "a login",
                variables: &[
                    "ANTHROPIC_FOUNDRY_API_KEY",
                    "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
                    "AZURE_CLIENT_ID",
                    "AZURE_FEDERATED_TOKEN_FILE",
                    "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
                ],
                files: &[".azure/msal_token_cache.json"],
                is_certain: false,
            },
        ],
    },
];
