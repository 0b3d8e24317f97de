//! Every name that a span or a metric of belay's has, in one table: the GenAI conventions of OpenTelemetry as of
//! v1.41, the last version with a tag (the ones after it rename things while they are written), the few keys of
//! OpenInference that Phoenix does not derive from those, and our own below `belay.`.

/// The conventions that the names are of.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";
/// Who makes the spans.
pub(super) const SCOPE: &str = "belay";

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const WORKFLOW: &str = "gen_ai.workflow.name";
pub(super) const AGENT: &str = "gen_ai.agent.name";
pub(super) const AGENT_VERSION: &str = "gen_ai.agent.version";
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(super) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(super) const CONVERSATION: &str = "gen_ai.conversation.id";
/// Cached tokens included.
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Reasoning included.
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
pub(super) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// No convention has it; Langfuse reads it.
pub(super) const COST: &str = "gen_ai.usage.cost";
pub(super) const TOOL: &str = "gen_ai.tool.name";
pub(super) const TOOL_CALL: &str = "gen_ai.tool.call.id";
pub(super) const TOOL_TYPE: &str = "gen_ai.tool.type";
pub(super) const ERROR: &str = "error.type";
pub(super) const EXIT_CODE: &str = "process.exit.code";
pub(super) const MCP_METHOD: &str = "mcp.method.name";

/// What people and models have said: only when asked for.
pub(super) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(super) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(super) const TOOL_ARGUMENTS: &str = "gen_ai.tool.call.arguments";
pub(super) const TOOL_OUTPUT: &str = "gen_ai.tool.call.result";

/// OpenInference.
pub(super) const KIND: &str = "openinference.span.kind";
pub(super) const INPUT_VALUE: &str = "input.value";
pub(super) const OUTPUT_VALUE: &str = "output.value";
/// Langfuse wants it on every span.
pub(super) const SESSION: &str = "session.id";
pub(super) const PROJECT: &str = "openinference.project.name";

pub(super) const RUN: &str = "belay.run.id";
pub(super) const TRACE: &str = "belay.trace.id";
pub(super) const PHASE: &str = "belay.phase.name";
pub(super) const ATTEMPT: &str = "belay.attempt";
pub(super) const FAILOVER: &str = "belay.failover.reason";
pub(super) const INTERRUPTED: &str = "belay.interrupted";
pub(super) const DELIVERED: &str = "belay.delivered";
pub(super) const MCP_SERVER: &str = "belay.mcp.server";
pub(super) const TURNS: &str = "belay.num_turns";
/// Totals stand under names that no backend adds up a second time.
pub(super) const TOTAL_INPUT: &str = "belay.usage.input_tokens";
pub(super) const TOTAL_OUTPUT: &str = "belay.usage.output_tokens";
pub(super) const TOTAL_CACHE_READ: &str = "belay.usage.cache_read_tokens";
pub(super) const TOTAL_CACHE_WRITE: &str = "belay.usage.cache_creation_tokens";
pub(super) const TOTAL_COST: &str = "belay.cost.usd";
pub(super) const COST_SOURCE: &str = "belay.cost.source";
/// The cost of one response is its share of what the agent told of all.
pub(super) const COST_SHARED: &str = "belay.cost.shared";
/// The span stands for all responses, because the agent tells nothing of each.
pub(super) const SYNTHETIC: &str = "belay.synthetic";
pub(super) const CONTEXT_USED: &str = "belay.context.used_tokens";
pub(super) const CONTEXT_WINDOW: &str = "belay.context.window";

pub(super) const TOKEN_METRIC: &str = "gen_ai.client.token.usage";
pub(super) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(super) const DURATION_METRIC: &str = "gen_ai.client.operation.duration";
pub(super) const COST_METRIC: &str = "belay.cost";
