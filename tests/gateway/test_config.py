"""The configuration: what loads, what every fault says, and that no secret is ever in one."""

import dataclasses
from pathlib import Path

import pytest

from gateway.config import Retention, load
from gateway.errors import ConfigError
from gateway.model import Webhook
from gateway.retry import RetryPolicy
from gateway.verify import NoVerifier
from tests.support.gateway_app import SECRET

SAMPLE = Path("tests/data/gateway.contract.toml").resolve()
SENSITIVE = "do-not-print-me"
ENVIRON = {
    "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
    "CONVEX_SITE_URL": "https://happy-animal-1.convex.site",
    "CONVEX_WEBHOOK_KEY": SENSITIVE,
}
SOURCE = f"""
[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
"""
DESTINATION = """
[[destinations]]
name = "app"
url = "https://app.example/in"
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """The working directory, where gateway.toml is looked for."""
    monkeypatch.chdir(tmp_path)


def loaded(text, **environ):
    path = Path("some.toml")
    path.write_text(text, "utf-8")
    return load(path, environ=environ)


def faults(text, **environ):
    with pytest.raises(ConfigError) as refused:
        loaded(text, **environ)
    return refused.value.faults


def fault(text, **environ):
    (only,) = faults(text, **environ)
    return only


def comparable(config):
    """Without what cannot be compared by value: the functions inside selectors."""
    (source,) = config.sources
    selectors = {key: getattr(source, key).text for key in ("event_type", "dedupe_key", "ordering_key")}
    return (
        dataclasses.replace(config, sources=()),
        source.name,
        source.same_id,
        source.verifier.tolerance_seconds,
        selectors,
    )


def test_the_documented_sample_loads_as_it_is():
    config = load(SAMPLE, environ=ENVIRON)
    assert config.server.port == 8080
    assert config.server.admin_token is None
    assert config.store.retention == Retention(7, 30, 30, 30)
    (destination,) = config.destinations
    assert destination.url == "https://happy-animal-1.convex.site/webhooks/transcription-jobs"
    assert destination.retry == RetryPolicy(quick_attempts=3, horizon_hours=72)
    assert (destination.payload, destination.filter) == ("data", None)
    assert destination.dead_on == {409, 413}


def test_the_built_in_configuration_has_the_documented_values():
    assert comparable(load(None, environ=ENVIRON)) == comparable(load(SAMPLE, environ=ENVIRON))


def test_the_built_in_configuration_names_every_variable_it_lacks():
    with pytest.raises(ConfigError) as refused:
        load(None, environ={})
    text = str(refused.value)
    assert all(name in text for name in ENVIRON)
    assert refused.value.faults[-1].startswith(f"there is no gateway.toml in {Path.cwd()}: ")
    assert len(refused.value.faults) == len(ENVIRON) + 1


@pytest.mark.parametrize(
    ("site", "more", "allowed"),
    [
        ("http://127.0.0.1:3211", {}, True),
        ("http://[::1]:3211/", {}, True),
        ("http://localhost:3211", {}, False),
        ("http://10.0.0.5", {}, False),
        ("http://convex:3211", {"CONVEX_ALLOW_PRIVATE_ADDRESS": "true"}, True),
        ("https://happy.convex.site", {"CONVEX_ALLOW_PRIVATE_ADDRESS": "false"}, False),
    ],
)
def test_built_in_a_private_address_is_allowed_where_it_is_loopback_or_asked_for(site, more, allowed):
    (destination,) = load(None, environ={**ENVIRON, "CONVEX_SITE_URL": site, **more}).destinations
    assert destination.allow_private_address is allowed
    assert "//webhooks" not in destination.url


def test_in_a_file_a_loopback_address_has_to_be_allowed_in_writing():
    (destination,) = load(SAMPLE, environ={**ENVIRON, "CONVEX_SITE_URL": "http://127.0.0.1:1"}).destinations
    assert destination.allow_private_address is False


def test_the_file_is_the_one_given_else_of_the_variable_else_in_the_folder():
    for name in ("given", "variable"):
        Path(f"{name}.toml").write_text(f'[server]\nhost = "{name}"\n{SOURCE}', "utf-8")
    Path("gateway.toml").write_text(f'[server]\nhost = "folder"\n{SOURCE}', "utf-8")
    variable = {"GATEWAY_CONFIG": "variable.toml"}
    assert load(Path("given.toml"), environ=variable).server.host == "given"
    assert load(None, environ=variable).server.host == "variable"
    assert load(None, environ={}).server.host == "folder"


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda path: path.unlink(missing_ok=True), "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda path: path.write_text("port = "), "some.toml: not TOML"),
        (lambda path: path.write_text("x = " + "[" * 5000), "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_fault(make, complaint):
    make(Path("some.toml"))
    with pytest.raises(ConfigError, match=complaint):
        load(Path("some.toml"), environ={})


def test_every_fault_is_told_at_once():
    found = faults(
        """
        [server]
        prot = 1
        port = 99999
        [store]
        url = "postgresql://db/x"
        [[sources]]
        name = "Producer"
        preset = "standart-webhooks"
        [[destinations]]
        name = "app"
        url = "ftp://x"
        sources = ["nobody"]
        """
    )
    for place in ("server: unknown key 'prot'", "server.port", "store.url: Postgres", "must be 1 to 64 of a-z",
                  "did you mean 'standard-webhooks'", "(app).url", "no source is called 'nobody'"):  # fmt: skip
        assert any(place in one for one in found), (place, found)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[servr]\n", "unknown key 'servr'; did you mean 'server'?"),
        ("[server]\nhots = 'x'\n", "server: unknown key 'hots'; did you mean 'host'?"),
        (
            "[store]\nretention = { dead_day = 1 }\n",
            "store.retention: unknown key 'dead_day'; did you mean 'dead_days'?",
        ),
        (f"{SOURCE}ordering_keys = 'x'\n", "unknown key 'ordering_keys'; did you mean 'ordering_key'?"),
        (f"{DESTINATION}timeout = 5\n", "unknown key 'timeout'; did you mean 'timeout_seconds'?"),
        (f"{DESTINATION}retry = {{ quick = 1 }}\n", "unknown key 'quick'; did you mean 'quick_attempts'?"),
        (f"{DESTINATION}zzz = 5\n", "unknown key 'zzz'; known are allow_private_address, "),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_known_one(text, expected):
    text = text if SOURCE in text else text + SOURCE
    assert expected in fault(text)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("127.0.0.1:8081", ("127.0.0.1", 8081)),
        ("[::1]:8081", ("::1", 8081)),
        ("localhost:0", ("localhost", 0)),
        ("", None),
    ],
)
def test_the_address_of_the_admin_api_is_read_from_the_file_and_from_the_environment(written, read):
    assert loaded(f"[server]\nadmin_listen = '{written}'\n{SOURCE}").server.admin_listen == read
    assert loaded(SOURCE, GATEWAY_ADMIN_LISTEN=written).server.admin_listen == read


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("port = true", "port: must be a whole number"),
        ("port = 80.5", "port: must be a whole number"),
        ("port = -1", "port: must be a whole number"),
        ("max_body_bytes = 0", "max_body_bytes: must be a whole number"),
        ("host = 3", "host: must be a string"),
        ("log_level = 'loud'", "log_level: must be one of debug, info, warning, error"),
        ("admin_listen = '8081'", "admin_listen: must be an address and a port, as 127.0.0.1:8081"),
        ("admin_listen = ':8081'", "admin_listen: must be an address and a port"),
        ("admin_listen = '::1:8081'", "admin_listen: must be an address and a port"),
        ("admin_listen = 'localhost:65536'", "admin_listen: must be an address and a port"),
        ("admin_listen = 'http://localhost:1'", "admin_listen: must be an address and a port"),
        ("admin_listen = 8081", "admin_listen: must be a string"),
        ("admin_listen = '0.0.0.0:8080'", "admin_listen: 0.0.0.0:8080 is where webhooks are taken"),
        ("admin_token = 'a b'", "admin_token: must be printable ASCII without spaces"),
        ("admin_token = 'é'", "admin_token: must be printable ASCII without spaces"),
    ],
)
def test_a_server_setting_of_the_wrong_form_is_a_fault(line, complaint):
    assert complaint in fault(f"[server]\n{line}\n{SOURCE}")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgres://h/d", "Postgres is not supported"),
        ("sqlite://x", "must be sqlite:///"),
        ("sqlite:///", "must be sqlite:///"),
        (f"mysql://u:{SENSITIVE}@h/d", "must be sqlite:///"),
    ],
)
def test_a_store_that_is_no_sqlite_file_is_a_fault_without_its_password(url, complaint):
    found = fault(f'[store]\nurl = "{url}"\n{SOURCE}')
    assert complaint in found
    assert SENSITIVE not in found


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "'x'", "true"])
def test_a_retention_that_is_no_span_is_a_fault(days):
    assert "dead_days: must be a number" in fault(f"[store]\nretention = {{ dead_days = {days} }}\n{SOURCE}")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("", "needs a preset or [sources.verify]"),
        ("verify = {}", "needs a preset or [sources.verify]"),
        (f'verify = {{}}\nsecrets = ["{SECRET}"]', "needs a preset or [sources.verify]"),
        ("verify = 3", "needs a preset or [sources.verify]"),
        ("verify = ['x']", "needs a preset or [sources.verify]"),
        ('preset = ""', "needs a preset or [sources.verify]"),
        ("verify = { kind = 'hmac' }", "kind hmac: algorithm is missing"),
        ("verify = { kind = 'hmak' }", "verify.kind 'hmak' is not known"),
        ("verify = { secret_encoding = 'utf8' }", "verify.kind None is not known"),
        ("verify = { kind = ['none'] }", "is not known"),
        (
            f'preset = "standard-webhooks"\nsecrets = ["{SECRET}"]\nverify = {{ kind = "none" }}',
            "both preset and verify",
        ),
        ('preset = "standard-webhooks"', "at least one secret"),
        ('preset = "standard-webhooks"\nsecrets = []', "at least one secret"),
        ('preset = "standard-webhooks"\nsecrets = [""]', "a secret is empty"),
        ('preset = "svix"\nsecrets = ["${UNSET:-}"]', "a secret is empty"),
        ('preset = "svik"', "'svik' is not known; did you mean 'svix'?"),
        ("verify = { kind = 'none' }\nsame_id = 'old'", "same_id: must be one of new, duplicate"),
        ("verify = { kind = 'none' }\ndedupe_key = 'cookie:x'", "'cookie:x' is not json:PATH"),
        ("verify = { kind = 'none' }\nevent_type = 'json:['", "is not a JMESPath expression"),
        ("verify = { kind = 'none' }\nevent_type = 'header:'", "is not json:PATH"),
        ("verify = { kind = 'none' }\nallow_ips = ['10.0.0.1/8']", "allow_ips: '10.0.0.1/8' is neither"),
        ("verify = { kind = 'none' }\nreplay_guard = 1", "replay_guard: must be true or false"),
    ],
)
def test_a_source_that_would_not_do_what_is_written_is_a_fault(lines, complaint):
    assert any(complaint in one for one in faults(f'[[sources]]\nname = "a"\n{lines}\n'))


@pytest.mark.parametrize("secrets", ["'x'", "[1]", f'[{{ vaule = "{SENSITIVE}" }}]', "[[]]"])
def test_secrets_that_are_no_list_of_texts_or_tables_are_a_fault(secrets):
    found = faults(f'[[sources]]\nname = "a"\npreset = "svix"\nsecrets = {secrets}\n')
    assert any("secrets" in one and "must be a" in one for one in found)
    assert SENSITIVE not in str(found)


@pytest.mark.parametrize("name", ["", "A", "a/b", "a b", "é", "-a", "a" * 65])
def test_a_name_that_could_not_stand_in_a_url_is_a_fault(name):
    found = fault(f'[[sources]]\nname = "{name}"\nverify = {{ kind = "none" }}\n')
    assert found.startswith("sources[0]")
    assert "name" in found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "sources: there is none"),
        ("sources = 3\n", "must be written as [[sources]]"),
        ("sources = [3]\n", "sources[0]: must be a table"),
        ("server = 3\n" + SOURCE, "server: must be a table"),
        (SOURCE + SOURCE, "'producer' stands more than once"),
        (SOURCE + DESTINATION + DESTINATION, "'app' stands more than once"),
    ],
)
def test_tables_of_the_wrong_shape_are_faults(text, complaint):
    assert any(complaint in one for one in faults(text))


@pytest.mark.parametrize(
    "url",
    [
        "", "app.example/in", "ftp://app.example", "http://", "http:///x", "http://[::1/", "http://h:99999/", "http://h/#a",
        "http://h/a b", "http://user:pass@h/", "http://h\\\\@x/", "http://a..b/", "http://xn--/", "http://a%2fb/", "http://é/",
        f"http://{'a' * 64}/", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_a_url_that_no_request_could_go_to_is_a_fault(url):
    found = fault(f'{SOURCE}[[destinations]]\nname = "app"\nurl = "{url}"\n')
    assert found.startswith("destinations[0] (app).url")
    assert "pass@" not in found


@pytest.mark.parametrize(
    "url",
    ["http://a", "https://a-b.c_d.example:8443/x?y=z", "http://[::1]:1/", "http://127.1/", "http://a./"],
)
def test_an_ordinary_url_is_kept_as_it_is(url):
    (destination,) = loaded(f'{SOURCE}[[destinations]]\nname = "app"\nurl = "{url}"\n').destinations
    assert destination.url == url


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("timeout_seconds = 0", "timeout_seconds: must be a number"),
        ("timeout_seconds = '5 s'", "timeout_seconds: must be a number"),
        ("max_in_flight = 0", "max_in_flight: must be a whole number"),
        ("max_in_flight = '1_0'", "max_in_flight: must be a whole number"),
        ("max_in_flight = '٣'", "max_in_flight: must be a whole number"),
        ("order_wait_seconds = -1", "order_wait_seconds: must be a number"),
        ("retry = 3", "retry: must be a table"),
        ("retry = { quick_attempts = 0 }", "quick_attempts: must be a whole number"),
        ("retry = { horizon_hours = 0 }", "horizon_hours: must be a number"),
        ("dead_on = 409", "dead_on: must be a list of status codes"),
        ("dead_on = [200]", "dead_on: must be a list of status codes"),
        ("dead_on = [true]", "dead_on: must be a list of status codes"),
        ("event_types = 'x'", "event_types: must be a list of strings"),
        ("sources = [1]", "sources: must be a list of strings"),
        ("filter = 'data.x'", "filter: must be json: and a JMESPath expression"),
        ("payload = 'json:'", "is not a JMESPath expression"),
        ("allow_private_address = 'yes'", "allow_private_address: must be true or false"),
        ("bearer_token = 'a\\nb'", "bearer_token: has a character"),
        ("bearer_token = ' a'", "bearer_token: has a character"),
        ("headers = { 'a b' = 'x' }", "'a b' is not a header's name"),
        ("headers = { a = 'é' }", "the value of a has a character"),
        ("headers = { a = 3 }", "headers: must be a table of strings"),
        ("headers = { Host = 'x' }", "Host is set by the gateway itself"),
        ("headers = { Content-Length = '1' }", "Content-Length is set by the gateway itself"),
        ("headers = { webhook-id = 'x' }", "webhook-id is set by the gateway itself"),
        ("bearer_token = 'x'\nheaders = { Authorization = 'y' }", "Authorization is set by bearer_token already"),
        ("sign = { scheme = 'standard-webhooks' }", "sign.secret: is missing"),
        ("rate_per_second = -1", "rate_per_second: must be a number from 0 to 100000"),
    ],
)  # fmt: skip
def test_a_destination_setting_of_the_wrong_form_is_a_fault(line, complaint):
    found = fault(f"{SOURCE}{DESTINATION}{line.replace(chr(92) + chr(92), chr(92))}\n".replace("'", '"'))
    assert complaint.replace("'", '"') in found.replace("'", '"')


def test_settings_at_their_unset_value_pass_even_where_this_version_has_no_other():
    config = loaded(
        f"{SOURCE}rate_per_second = 0\nallow_ips = []\nreplay_guard = false\npublic_url = ''\n"
        f"{DESTINATION}rate_per_second = 0\nfilter = ''\nheaders = {{}}\nbearer_token = ''\n"
    )
    assert config.destinations[0].bearer_token is None


def test_a_variable_that_is_unset_or_empty_is_named_with_its_place():
    text = DESTINATION.replace("app.example", "${APP_HOST}") + SOURCE
    for environ in ({}, {"APP_HOST": ""}):
        assert (
            fault(text, **environ)
            == "destinations[0].url: the environment variable APP_HOST is not set or empty"
        )


def test_references_are_replaced_wherever_they_stand_in_a_string():
    Path("secret").write_text("from a file\n", "utf-8")
    text = f"""
    {SOURCE}
    [[destinations]]
    name = "app"
    url = "https://${{HOST}}:${{PORT:-443}}/${{PATH_OF_IT:-in}}"
    headers = {{ a = "${{HOST}}", b = "${{file:secret}}", c = "${{EMPTY:-}}", d = "${{OTHER}}" }}
    """
    (destination,) = loaded(text, HOST="h", OTHER="${HOST}").destinations
    assert destination.url == "https://h:443/in"
    assert destination.headers == {"a": "h", "b": "from a file", "c": "", "d": "${HOST}"}


@pytest.mark.parametrize(
    "reference", ["${", "${}", "${A", "${A:B}", "${A-b}", "${1A}", "${A:-${B}}", "${file:}"]
)
def test_a_reference_that_is_none_of_the_forms_is_a_fault_and_not_sent_as_it_stands(reference):
    found = faults(f'{SOURCE}{DESTINATION}bearer_token = "{reference}"\n', A="a", B="b")
    assert any("bearer_token: has a ${ that begins none of" in one for one in found)


@pytest.mark.parametrize("content", [f"{SECRET}\n", f"{SECRET}\r\n", SECRET])
def test_a_secret_comes_from_the_file_that_name_file_names(content):
    Path("secret").write_bytes(content.encode())
    environ = {**ENVIRON, "TRANSCRIBER_WEBHOOK_SECRET": "", "TRANSCRIBER_WEBHOOK_SECRET_FILE": "secret"}
    by_file, by_variable = load(None, environ=environ), load(None, environ=ENVIRON)
    webhook = Webhook(headers=((b"webhook-id", b"m"),), query=b"", body=b"")
    signed = by_file.sources[0].verifier.sign(webhook, now=1, url="")
    assert signed == by_variable.sources[0].verifier.sign(webhook, now=1, url="")


@pytest.mark.parametrize(
    "reference", ["${file:nowhere}", "${S}", "${file:/\\u0000}", "${file:folder}", "${file:binary}"]
)
def test_a_secret_file_that_cannot_be_read_is_a_fault(reference):
    Path("folder").mkdir()
    Path("binary").write_bytes(b"\xff\xfe")
    text = f'[[sources]]\nname = "a"\npreset = "svix"\nsecrets = ["{reference}"]\n'
    found = fault(text, S_FILE="nowhere")
    assert found.startswith("sources[0].secrets[0]: ")
    assert found.count("nowhere") <= 1


def test_a_signing_secret_that_cannot_be_read_is_one_fault():
    text = (
        f'{SOURCE}{DESTINATION}sign = {{ scheme = "standard-webhooks", secrets = ["${{file:nowhere}}"] }}\n'
    )
    assert fault(text) == "destinations[0].sign.secrets[0]: No such file or directory: nowhere"


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_secret_file_is_a_fault_wherever_it_is_named(content):
    Path("empty").write_text(content, "utf-8")
    assert (
        fault(f"[server]\nadmin_token = '${{file:empty}}'\n{SOURCE}")
        == "server.admin_token: the file empty is empty"
    )
    assert (
        fault(f"{SOURCE}{DESTINATION}bearer_token = '${{file:empty}}'\n")
        == "destinations[0].bearer_token: the file empty is empty"
    )


@pytest.mark.parametrize("name", ["GATEWAY_ADMIN_TOKEN", "GATEWAY_STORE_URL"])
def test_the_gateways_own_variables_have_files_too_and_a_missing_one_is_a_fault(name):
    Path("value").write_text("sqlite:///from-a-file.db\n", "utf-8")
    config = loaded(SOURCE, **{f"{name}_FILE": "value"})
    assert "sqlite:///from-a-file.db" in (config.server.admin_token, config.store.url)
    assert f"{name}_FILE: No such file" in fault(SOURCE, **{f"{name}_FILE": "nowhere"})


def test_the_environment_overrides_the_file():
    text = f"""
    [server]
    host = "a"
    port = 1
    admin_token = "a"
    log_level = "info"
    [store]
    url = "sqlite:///a"
    {SOURCE}"""
    config = loaded(
        text,
        GATEWAY_HOST="b",
        GATEWAY_PORT="2",
        GATEWAY_ADMIN_TOKEN="b",
        GATEWAY_LOG_LEVEL="debug",
        GATEWAY_STORE_URL="sqlite:///b",
    )
    assert (config.server.host, config.server.port, config.server.admin_token) == ("b", 2, "b")
    assert (config.server.log_level, config.store.url) == ("debug", "sqlite:///b")


@pytest.mark.parametrize("port", ["x", "80 80", "8_0", "65536", "-1"])
def test_an_override_of_the_wrong_form_is_a_fault(port):
    assert "server.port: must be a whole number from 0 to 65535" in fault(SOURCE, GATEWAY_PORT=port)


def test_no_destination_at_all_is_legal():
    assert loaded(SOURCE).destinations == ()


def test_an_open_source_has_to_be_written_out():
    (source,) = loaded('[[sources]]\nname = "a"\nverify = { kind = "none" }\n').sources
    assert isinstance(source.verifier, NoVerifier)


def test_secrets_are_in_no_text_of_a_fault_and_in_no_repr():
    config = load(SAMPLE, environ={**ENVIRON, "GATEWAY_ADMIN_TOKEN": f"{SENSITIVE}-token"})
    assert SENSITIVE not in repr(config)
    assert SECRET.removeprefix("whsec_") not in repr(config)
    broken = SAMPLE.read_text("utf-8").replace("timeout_seconds", "timeout_secs")
    environ = {
        **ENVIRON,
        "TRANSCRIBER_WEBHOOK_SECRET": f"whsec_{SENSITIVE}!",
        "GATEWAY_ADMIN_TOKEN": f"{SENSITIVE} x",
    }
    found = faults(broken, **environ)
    assert len(found) == 3
    assert SENSITIVE not in str(found)
