//! Who serves a model, for the services that want to know.

/// Who serves a model, in the words of the conventions, as far as the model's name says so.
pub(super) fn provider(model: &str) -> Option<&'static str> {
    let (prefix, name) = model.split_once('/').unwrap_or(("", model));
    let of_prefix = match prefix {
        "anthropic" => "anthropic",
        "openai" => "openai",
        "google" | "gemini" => "gcp.gemini",
        "google-vertex" | "vertex" | "vertex_ai" => "gcp.vertex_ai",
        "bedrock" | "amazon-bedrock" => "aws.bedrock",
        "azure" => "azure.ai.openai",
        "xai" => "x_ai",
        "deepseek" => "deepseek",
        "mistral" => "mistral_ai",
        "moonshotai" => "moonshot_ai",
        "groq" => "groq",
        _ => "",
    };
    if !prefix.is_empty() {
        return Some(of_prefix).filter(|provider| !provider.is_empty());
    }
    // Of the ones that nearly everybody is served by their makers.
    let makers = [
        ("claude", "anthropic"),
        ("gpt-", "openai"),
        ("o3", "openai"),
        ("o4", "openai"),
        ("codex", "openai"),
        ("gemini", "gcp.gemini"),
        ("grok", "x_ai"),
    ];
    makers.into_iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, maker)| maker)
}
