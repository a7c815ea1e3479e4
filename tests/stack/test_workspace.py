"""What a stack remembers, and for whom."""

import json

import pytest

from stack.workspace import Keys, WorkspaceError, claim, remembered_keys


@pytest.fixture
def directory(tmp_path):
    with claim(tmp_path / "var"):
        yield tmp_path / "var"


def test_the_second_run_has_the_keys_of_the_first(directory):
    assert remembered_keys(directory) == remembered_keys(directory)


def test_every_directory_has_keys_of_its_own():
    assert Keys.made_up() != Keys.made_up()


def test_only_the_owner_can_read_data_and_keys(directory):
    remembered_keys(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "stack.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"webhook_secret": "whsec_"}'])
def test_spoilt_keys_are_named_and_not_replaced(directory, text):
    (directory / "stack.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"stack\.json.*Delete it"):
        remembered_keys(directory)
    assert (directory / "stack.json").read_text() == text


def test_a_directory_in_use_is_refused(directory):
    with pytest.raises(WorkspaceError, match="Another run uses"), claim(directory):
        pass


def test_a_directory_is_free_again_after_its_run(tmp_path):
    for _ in range(2):
        with claim(tmp_path / "var"):
            pass


def test_a_file_in_place_of_the_directory_is_named(tmp_path):
    (tmp_path / "var").write_text("")
    with pytest.raises(WorkspaceError, match="var cannot be used"), claim(tmp_path / "var"):
        pass


def test_the_keys_are_what_json_readers_expect(directory):
    keys = remembered_keys(directory)
    assert json.loads((directory / "stack.json").read_text())["webhook_secret"] == keys.webhook_secret
    assert keys.webhook_secret.startswith("whsec_")
