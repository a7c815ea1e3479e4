"""OpenTelemetry's variables: which send traces where, and what cannot be meant."""

import pytest

from gateway.config.tracing import read_tracing

SENSITIVE = "do-not-print-me"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def read(**environ):
    faults: list[str] = []
    return read_tracing(environ=environ, faults=faults), faults


def fault(**environ):
    _, (only,) = read(**{**ENDPOINT, **environ})
    assert SENSITIVE not in only
    return only


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "hooks", "OTEL_TRACES_SAMPLER": "nonsense"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "None"},
    ],
)
def test_traces_are_sent_only_where_an_endpoint_is_set_and_nothing_switches_them_off(environ):
    assert read(**environ) == (None, [])


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (ENDPOINT, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example/otlp/"}, "https://c.example/otlp/v1/traces"),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t.example/in"}, "https://t.example/in"),
    ],
)
def test_the_endpoint_for_traces_is_taken_as_it_is_and_the_one_for_all_as_its_base(environ, url):
    tracing, faults = read(**environ)
    assert (tracing.endpoint, dict(tracing.headers), faults) == (url, {}, [])


@pytest.mark.parametrize(
    "url",
    [
        "collector:4318",
        "ftp://collector",
        "http://",
        "http://c:port",
        f"http://me:{SENSITIVE}@c",
        f"http://c:4318?key={SENSITIVE}",
    ],
)
def test_an_endpoint_that_is_no_url_for_the_exporter_is_a_fault(url):
    assert fault(OTEL_EXPORTER_OTLP_ENDPOINT=url).startswith("OTEL_EXPORTER_OTLP_ENDPOINT: must be")


def test_headers_are_read_as_the_exporter_reads_them_and_never_shown():
    tracing, faults = read(
        **ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS=f"X-Key={SENSITIVE} , authorization=Basic%20a%3D="
    )
    assert (tracing.headers, faults) == ({"x-key": SENSITIVE, "authorization": "Basic a=="}, [])
    assert SENSITIVE not in repr(tracing)


def test_the_headers_for_traces_take_the_place_of_those_for_all():
    tracing, _ = read(**ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS="a=1", OTEL_EXPORTER_OTLP_TRACES_HEADERS="b=2")
    assert tracing.headers == {"b": "2"}


@pytest.mark.parametrize(
    "text",
    [
        SENSITIVE,
        f"={SENSITIVE}",
        f"a b={SENSITIVE}",
        f"a={SENSITIVE}%0d%0Ab",
        f"a={SENSITIVE}é",
        "a=",
        f"a={SENSITIVE};b",
    ],
)
def test_headers_that_no_request_could_carry_are_a_fault_that_does_not_quote_them(text):
    said = fault(OTEL_EXPORTER_OTLP_HEADERS=text, OTEL_EXPORTER_OTLP_TRACES_HEADERS="a=1")
    assert said.startswith("OTEL_EXPORTER_OTLP_HEADERS: must be name=value")


def test_a_file_of_headers_that_cannot_be_read_is_a_fault(tmp_path):
    said = fault(OTEL_EXPORTER_OTLP_HEADERS_FILE=str(tmp_path / "none"))
    assert said.startswith("OTEL_EXPORTER_OTLP_HEADERS_FILE: No such file")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1.5"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "br"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0.0"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/"),
    ],
)
def test_what_the_exporter_would_put_right_in_silence_or_fall_over_is_a_fault(name, value):
    assert fault(**{name: value}).startswith(f"{name}: must ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "None"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", __file__),
    ],
)
def test_what_the_exporter_takes_is_taken(name, value):
    assert read(**ENDPOINT, **{name: value})[1] == []


@pytest.mark.parametrize("sampler", ["parentbased_traceidratio", "TraceIdRatio"])
@pytest.mark.parametrize("share", ["", "2", "-0.1", "1.1", "half", "nan"])
def test_a_share_that_is_none_is_a_fault(sampler, share):
    said = fault(OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=share)
    assert said.startswith("OTEL_TRACES_SAMPLER_ARG: must ")


@pytest.mark.parametrize("share", ["0", "1", "1.0", "0.05", ".5"])
def test_a_share_is_a_number_from_0_to_1(share):
    _, faults = read(**ENDPOINT, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG=share)
    assert faults == []


def test_the_protocol_for_traces_takes_the_place_of_the_one_for_all():
    protocols = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}
    assert read(**ENDPOINT, **protocols)[1] == []
