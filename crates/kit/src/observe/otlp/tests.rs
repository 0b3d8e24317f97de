//! What the bytes are, and what the settings say.

use super::encode;
use super::metrics::{Metrics, Sums};
use super::run_spans::{Options, RunSpans};
use super::settings::{BadOtlp, OtlpSettings};
use super::span::Span;
use crate::Environment;
use belay_trace::{
    AttemptEnded, AttemptStarted, CostSource, Event, Failure, FailureKind, Json, Phase, Record,
    RunResult, RunStarted, SessionStarted, Text, ToolCall, ToolId, ToolResult, TurnStarted, Usage,
    UsageReport,
};
use jiff::Timestamp;
use std::ffi::OsString;
use std::path::Path;

fn records() -> Vec<Record> {
    let usage = |input: u64, cost| Usage {
        input_tokens: Some(input),
        output_tokens: Some(20),
        cache_read_input_tokens: Some(1000),
        total_cost_usd: cost,
        cost_source: CostSource::Reported,
        num_turns: Some(2),
        ..Usage::default()
    };
    let turn = |id: &str| {
        let (message_id, model) = (Some(id.to_owned()), Some("claude-opus-5-5".to_owned()));
        Event::TurnStarted(TurnStarted { message_id, model })
    };
    let call = |id: &str, name: &str, args: &str| {
        let (tool_id, args) = (Some(ToolId::from(id)), Json::parse(args).unwrap());
        Event::ToolCall(ToolCall { tool_id, name: name.into(), args, ..ToolCall::default() })
    };
    let result = |id: &str, tool_error| {
        let tool_id = Some(ToolId::from(id));
        Event::ToolResult(ToolResult { tool_id, tool_error, ..ToolResult::default() })
    };
    let failure = Some(Failure::new(FailureKind::RateLimited, "slow down"));
    let events = [
        (
            None,
            Event::RunStarted(RunStarted {
                trace_id: Some("hive".into()),
                ..RunStarted::default()
            }),
        ),
        (None, Event::Phase(Phase { phase_name: "discovery".into() })),
        (
            None,
            Event::AttemptStarted(AttemptStarted {
                model: Some("opus".into()),
                ..AttemptStarted::default()
            }),
        ),
        (
            None,
            Event::SessionStarted(SessionStarted {
                session_id: "s1".into(),
                agent_version: Some("2.1".into()),
                ..SessionStarted::default()
            }),
        ),
        (None, turn("m1")),
        (None, Event::Text(Text { text: "Hello".into(), message_id: None })),
        (None, call("t1", "Task", r#"{"subagent_type":"scout"}"#)),
        (None, Event::Usage(UsageReport { usage: usage(50, None) })),
        (Some("t1"), turn("m2")),
        (Some("t1"), call("t2", "mcp__files__read", "{}")),
        (Some("t1"), result("t2", true)),
        (None, result("t1", false)),
        (None, turn("m3")),
        (None, call("t3", "Bash", "{}")),
        (
            None,
            Event::AttemptEnded(AttemptEnded {
                usage: usage(150, Some(0.5)),
                failure: failure.clone(),
                exit_code: Some(1),
                ..AttemptEnded::default()
            }),
        ),
        (
            None,
            Event::Result(RunResult {
                usage: usage(150, Some(0.5)),
                failure,
                is_error: true,
                ..RunResult::default()
            }),
        ),
    ];
    let records = events.into_iter().enumerate().map(|(seq, (parent, event))| {
        let mut record = Record::new("0193f2b2-7c4e-7d7a-9d0a-0123456789ab", event);
        (record.seq, record.attempt, record.agent) = (seq as u64, 1, "claude-code".into());
        record.ts = Timestamp::from_millisecond(1_700_000_000_000 + 10 * seq as i64).unwrap();
        record.parent_tool_id = parent.map(ToolId::from);
        record
    });
    records.collect()
}

/// The spans of that.
fn spans() -> Vec<Span> {
    let records = records();
    let mut run = RunSpans::begin(&records[0], Options::default()).unwrap();
    let mut spans = Vec::new();
    for record in &records {
        run.push(record);
        spans.extend(run.take());
    }
    spans.extend(run.finish(None));
    spans
}

/// All bytes of a run, as they are sent. `BELAY_GOLDEN=new` writes the file anew: look at what has changed.
#[test]
fn the_bytes_of_a_run_are_those_in_the_golden_file() {
    let spans = spans();
    let resource = [("service.name".to_owned(), "belay".to_owned())];
    let bytes = encode::traces(&spans, &resource, "0.0.0");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/otlp-traces.bin");
    if std::env::var_os("BELAY_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    if bytes != golden {
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
        use prost::Message as _;
        let decode = |bytes: &[u8]| format!("{:#?}", Request::decode(bytes));
        assert_eq!(decode(&bytes), decode(&golden), "BELAY_GOLDEN=new writes it anew");
        panic!("the same spans in other bytes");
    }
}

/// From the request (the session is open, the tools have returned) to the last that came of it.
#[test]
fn a_response_lasts_from_its_request_to_its_end() {
    let at = |at: Timestamp| (at.as_millisecond() - 1_700_000_000_000) / 10;
    let spans = spans();
    let chats = spans.iter().filter(|span| span.name.starts_with("chat"));
    let times: Vec<_> = chats.map(|span| (at(span.start), at(span.end))).collect();
    assert_eq!(times, [(3, 7), (6, 9), (11, 13)]);
}

fn env(vars: &[(&str, &str)]) -> Environment {
    let vars = vars.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Environment::new(vars)
}

fn of(to: Option<&str>, vars: &[(&str, &str)]) -> OtlpSettings {
    OtlpSettings::new(to, &env(vars)).unwrap().unwrap()
}

#[test]
fn the_standard_variables_say_where_to_and_how() {
    let settings = of(
        None,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics.example.com/as/it/is"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-one=1,authorization=Basic%20abc"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "X-One=2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=ci,service.name=no"),
            ("OTEL_SERVICE_NAME", "hive"),
        ],
    );
    let (traces, metrics) = (settings.traces.as_ref().unwrap(), settings.metrics.as_ref().unwrap());
    assert_eq!(&*traces.url, "http://localhost:4318/v1/traces");
    assert_eq!(&*metrics.url, "https://metrics.example.com/as/it/is");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(*traces.headers, [pair("authorization", "Basic abc"), pair("X-One", "2")]);
    assert_eq!(*metrics.headers, [pair("x-one", "1"), pair("authorization", "Basic abc")]);
    assert_eq!((settings.timeout.as_millis(), settings.is_gzip()), (1500, false));
    assert!(settings.resource.contains(&pair("service.name", "hive")));
    assert!(settings.resource.contains(&pair("deployment.environment.name", "ci")));
    assert!(!format!("{settings:?}").contains("abc"), "a login");
}

#[test]
fn presets_know_where_a_backend_is_and_say_what_they_need() {
    let settings =
        of(Some("langfuse"), &[("LANGFUSE_PUBLIC_KEY", "pk"), ("LANGFUSE_SECRET_KEY", "sk")]);
    assert_eq!(settings.endpoint(), "https://cloud.langfuse.com/api/public/otel/v1/traces");
    let headers = &settings.traces.as_ref().unwrap().headers;
    assert_eq!(headers[0].1, "Basic cGs6c2s=");
    assert!(settings.metrics.is_none());
    let error = OtlpSettings::new(Some("datadog"), &env(&[])).unwrap_err();
    assert_eq!(error.to_string(), "datadog needs DD_API_KEY in the environment");
    let settings = of(
        Some("freeplay"),
        &[
            ("FREEPLAY_API_KEY", "k"),
            ("FREEPLAY_PROJECT_ID", "p"),
            ("FREEPLAY_API_URL", "https://acme.freeplay.ai/api"),
        ],
    );
    assert_eq!(settings.endpoint(), "https://acme.freeplay.ai/api/v0/otel/v1/traces");
    for preset in OtlpSettings::presets() {
        let vars = [
            "LANGSMITH_API_KEY",
            "DD_API_KEY",
            "BRAINTRUST_API_KEY",
            "LANGFUSE_PUBLIC_KEY",
            "LANGFUSE_SECRET_KEY",
            "FREEPLAY_API_KEY",
            "FREEPLAY_PROJECT_ID",
        ];
        of(Some(preset), &vars.map(|name| (name, "x")));
    }
}

#[test]
fn what_switches_it_off_does_and_what_is_wrong_is_said() {
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let settings = OtlpSettings::new(Some("phoenix"), &env(&[off])).unwrap();
        assert!(settings.is_none(), "{off:?}");
    }
    let metrics = of(Some("http://localhost:1"), &[("OTEL_TRACES_EXPORTER", "none")]);
    assert!(metrics.traces.is_none() && metrics.metrics.is_some());
    fn error(to: Option<&str>, vars: &[(&str, &str)]) -> String {
        OtlpSettings::new(to, &env(vars)).unwrap_err().to_string()
    }
    assert_eq!(OtlpSettings::new(None, &env(&[])).unwrap_err(), BadOtlp::NoEndpoint);
    assert_eq!(
        error(Some("https://user:secret@"), &[]),
        "cannot send spans to https://: an address is none; write one such as https://example.com/path"
    );
    assert_eq!(
        error(Some("http://user:secret@example.com/"), &[]),
        "cannot send spans to http://example.com: example.com is not on this machine: use https; \
         what goes with each request there would be in the clear"
    );
    assert_eq!(
        error(
            Some("http://localhost:1"),
            &[("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sigma")]
        ),
        r#"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is "sigma"; it can be cumulative, delta or lowmemory"#
    );
    let missing = "/nowhere/ca.pem";
    assert_eq!(
        error(Some("http://localhost:1"), &[("OTEL_EXPORTER_OTLP_CERTIFICATE", missing)]),
        "cannot read the certificates in /nowhere/ca.pem, which OTEL_EXPORTER_OTLP_CERTIFICATE names: \
         No such file or directory (os error 2)"
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    let named = ("OTEL_EXPORTER_OTLP_CERTIFICATE", empty.path().to_str().unwrap());
    let words = error(Some("http://localhost:1"), &[named]);
    assert!(words.ends_with("there is none in it; it is to be PEM"), "{words}");
    assert_eq!(
        error(Some("https://example.com"), &[("HTTPS_PROXY", "socks5://user:secret@proxy:1")]),
        "cannot send spans to https://example.com: HTTPS_PROXY asks for SOCKS; belay goes through http \
         and https proxies"
    );
    assert_eq!(
        error(
            None,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            ]
        ),
        r#"OTEL_EXPORTER_OTLP_PROTOCOL asks for "grpc"; belay speaks http/protobuf, usually on port 4318"#
    );
}

#[test]
fn plain_http_goes_where_the_user_says_and_no_login_goes_with_it() {
    let there = "http://collector:4318";
    assert_eq!(of(Some(there), &[]).endpoint(), "http://collector:4318/v1/traces");
    let settings = of(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", there)]);
    assert_eq!(settings.endpoint(), "http://collector:4318/v1/traces");
    let settings = of(Some("phoenix"), &[("PHOENIX_COLLECTOR_ENDPOINT", "http://phoenix:6006")]);
    assert_eq!(settings.endpoint(), "http://phoenix:6006/v1/traces");
    assert!(settings.header("authorization", "Bearer x").is_err());

    fn is_refused(to: Option<&str>, vars: &[(&str, &str)]) {
        let error = OtlpSettings::new(to, &env(vars)).unwrap_err().to_string();
        assert!(error.ends_with("would be in the clear"), "{error}");
    }
    let login = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc");
    is_refused(Some(there), &[login]);
    is_refused(None, &[login, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", there)]);
    is_refused(
        Some("phoenix"),
        &[("PHOENIX_COLLECTOR_ENDPOINT", "http://phoenix:6006"), ("PHOENIX_API_KEY", "x")],
    );
    let link = OtlpSettings::new(Some("http://169.254.169.254"), &env(&[])).unwrap_err();
    assert!(link.to_string().contains("is an address of this link alone"), "{link}");
}

#[test]
fn sums_are_of_all_or_of_what_is_new() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use prost::Message as _;

    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let preferred = |value| of(Some("http://localhost:1"), &[(name, value)]).sums;
    assert_eq!(["Delta", "lowmemory"].map(preferred), [Sums::OfWhatIsNew; 2]);
    assert_eq!(preferred("cumulative"), of(Some("http://localhost:1"), &[]).sums);

    // The temporality, the beginning and the count of the first histogram, told twice.
    let at = |second| Timestamp::from_second(second).unwrap();
    let told = |sums| {
        let mut metrics = Metrics::new(at(0), sums);
        [at(10), at(20)].map(|now| {
            spans().iter().for_each(|span| metrics.add(span));
            let request = metrics.take(now, &[]).unwrap();
            let request = ExportMetricsServiceRequest::decode(&*request).unwrap();
            let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
            let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
            let [point, ..] = &histogram.data_points[..] else { panic!("{histogram:?}") };
            let began = point.start_time_unix_nano / 1_000_000_000;
            (histogram.aggregation_temporality, began, point.count)
        })
    };
    let [(_, _, once), _] = told(Sums::OfAll);
    assert_eq!(told(Sums::OfAll), [(2, 0, once), (2, 0, 2 * once)]);
    assert_eq!(told(Sums::OfWhatIsNew), [(1, 0, once), (1, 10, once)]);
}

#[test]
fn bodies_go_as_they_are_unless_something_says_gzip() {
    let to = Some("http://localhost:4318");
    let check = |vars: &[(&str, &str)], configured: Option<&str>| {
        let settings = of(to, vars);
        configured.map_or(settings.clone(), |it| settings.compression(it).unwrap()).is_gzip()
    };
    let (common, own) = ("OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION");
    assert!(!check(&[], None));
    assert!(check(&[(common, "gzip")], None));
    assert!(!check(&[(common, "gzip"), (own, "none")], None));
    assert!(check(&[], Some("gzip")));
    assert!(!check(&[(common, "none")], Some("gzip")), "a variable goes before");
    for variable in [common, own] {
        let error = OtlpSettings::new(to, &env(&[(variable, "zstd")])).unwrap_err();
        assert_eq!(error.to_string(), format!("{variable} is \"zstd\"; it can be gzip or none"));
    }
    assert!(of(to, &[]).compression("zstd").is_err());
}
