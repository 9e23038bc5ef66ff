"""Settings: file < environment < arguments, and unknown keys are errors."""

from __future__ import annotations

import pytest

from treadle.core import settings
from treadle.core.errors import NotFound, SettingsError


def write(folder, text):
    (folder / "treadle.toml").write_text(text)
    return folder


def test_defaults_hold_without_a_file(tmp_path):
    found = settings.load(tmp_path, environment={})

    assert found == settings.Settings()


def test_environment_goes_before_the_file_and_arguments_before_both(tmp_path):
    write(tmp_path, "[serving]\nport = 1\nworkers = 1\nmax_rows = 1\n")

    found = settings.load(
        tmp_path,
        {"serving.port": 3},
        environment={"TREADLE_SERVING__PORT": "2", "TREADLE_SERVING__WORKERS": "2"},
    )

    assert (found.serving.port, found.serving.workers, found.serving.max_rows) == (3, 2, 1)


def test_an_unknown_key_names_the_nearest(tmp_path):
    write(tmp_path, "[serving]\nprot = 1\n")

    with pytest.raises(SettingsError, match=r"Unknown key 'prot' .*treadle.toml.*Did you mean 'port'\?"):
        settings.load(tmp_path, environment={})


def test_an_unknown_section_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match=r"TREADLE_LEGDER__URL.*Did you mean 'ledger'\?"):
        settings.load(tmp_path, environment={"TREADLE_LEGDER__URL": "x"})


def test_a_wrong_type_says_what_came_and_where_it_stood(tmp_path):
    write(tmp_path, '[serving]\nport = "many"\n')

    with pytest.raises(SettingsError, match=r"serving.port = 'many' in .*treadle.toml"):
        settings.load(tmp_path, environment={})


def test_a_secret_comes_from_a_file_and_is_not_shown(tmp_path):
    (tmp_path / "token").write_text("hush\n")

    found = settings.load(tmp_path, environment={"TREADLE_SERVING__TOKEN_FILE": str(tmp_path / "token")})

    assert found.serving.token == "hush"
    with pytest.raises(SettingsError) as told:
        settings.load(tmp_path, {"serving.token": 5}, environment={})
    assert "5" not in str(told.value).split("in an argument")[0]


def test_broken_toml_is_told_with_its_place(tmp_path):
    write(tmp_path, "[serving\n")

    with pytest.raises(SettingsError, match="not valid TOML.*line 1"):
        settings.load(tmp_path, environment={})


def test_a_key_outside_a_table_says_where_keys_belong(tmp_path):
    write(tmp_path, "port = 1\n")

    with pytest.raises(SettingsError, match="stands outside a table"):
        settings.load(tmp_path, environment={})


def test_the_root_is_the_nearest_folder_upward(tmp_path):
    write(tmp_path, "")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    assert settings.find_root(deep) == tmp_path.resolve()


def test_no_project_says_how_to_begin(tmp_path):
    with pytest.raises(NotFound, match="treadle init"):
        settings.find_root(tmp_path)


def test_aws_variables_pass_through_and_http_is_allowed_only_for_http():
    plain = settings.aws_options({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "HOME": "/"})
    safe = settings.aws_options({"AWS_ENDPOINT_URL": "https://s3"})

    assert plain == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true"}
    assert safe == {"AWS_ENDPOINT_URL": "https://s3"}


def test_a_reference_is_a_variable_or_the_file_that_a_variable_names(tmp_path):
    (tmp_path / "secret").write_text("amqp://host/queue\n")

    assert settings.referenced("amqp://plain/queue", {}) == "amqp://plain/queue"
    assert (
        settings.referenced("env:BROKER", {"BROKER": "amqp://own/queue", "BROKER_FILE": "/none"})
        == "amqp://own/queue"
    )
    assert settings.referenced("env:BROKER", {"BROKER_FILE": str(tmp_path / "secret")}) == "amqp://host/queue"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "no variable BROKER, and none BROKER_FILE"),
        ({"BROKER_FILE": "/none"}, "BROKER_FILE names the file '/none'"),
    ],
)
def test_a_reference_to_nothing_says_what_to_set(environment, told):
    with pytest.raises(SettingsError, match=told):
        settings.referenced("env:BROKER", environment)
