import json

import pytest

from littoral.app.settings import InvalidSetting, load, names


@pytest.fixture
def found(tmp_path):
    def look(*, flags=None, text=None, environment=None):
        file = None
        if text is not None:
            file = tmp_path / "node.toml"
            file.write_text(text)
        config, settings = load(flags or {}, file=file, environment=environment or {})
        return config, {s.name: (s.value, s.source.rpartition("/")[2]) for s in settings}

    return look


def test_every_setting_has_a_value_and_a_source(found):
    _, settings = found()
    assert set(settings) == set(names())
    assert {source for _, source in settings.values()} == {"default"}


def test_an_option_beats_the_environment_and_that_beats_the_file(found):
    config, settings = found(
        text='name = "file"\ndata_dir = "file"\n[mqtt]\nlisten = "127.0.0.1:1"\n',
        environment={"LITTORAL_DATA_DIR": "env", "LITTORAL_MQTT__LISTEN": "127.0.0.1:2"},
        flags={"mqtt.listen": "127.0.0.1:3"},
    )
    assert (config.name, config.data_dir, config.mqtt.listen) == ("file", "env", "127.0.0.1:3")
    assert settings["name"] == ("file", "node.toml")
    assert settings["data_dir"] == ("env", "LITTORAL_DATA_DIR")
    assert settings["mqtt.listen"] == ("127.0.0.1:3", "flag")


def test_numbers_and_lists_come_as_text_from_the_environment(found):
    config, _ = found(
        environment={
            "LITTORAL_MQTT__CONNECTIONS_MAX": "12",
            "LITTORAL_FUNCTIONS__FILES": "a.py,b.py",
        }
    )
    assert config.mqtt.connections_max == 12
    assert config.functions.files == ("a.py", "b.py")


def test_the_variables_of_the_command_line_are_no_settings(found):
    found(environment={"LITTORAL_URL": "http://x", "LITTORAL_PASSWORD": "y", "HOME": "/"})


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"text": "[mqtt]\nlisten_at = 1\n"}, ("node.toml sets mqtt.listen_at", "mqtt.listen?")),
        (
            {"environment": {"LITTORAL_NAMEE": "x"}},
            ("LITTORAL_NAMEE sets namee", "Did you mean name?"),
        ),
        ({"environment": {"LITTORAL_ZZZZ": "x"}}, ("littoral config lists them all",)),
        (
            {"environment": {"LITTORAL_MQTT__CONNECTIONS_MAX": "many"}},
            ("LITTORAL_MQTT__CONNECTIONS_MAX sets mqtt.connections_max to 'many'", "int"),
        ),
        ({"text": "role = 'moon'\n"}, ("sets role to 'moon'",)),
        ({"text": "a = [\n"}, ("is not TOML",)),
    ],
)
def test_a_wrong_setting_is_told_with_its_source(found, given, parts):
    with pytest.raises(InvalidSetting) as caught:
        found(**given)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InvalidSetting, match="cannot be read"):
        load({}, file=tmp_path / "nothing.toml", environment={})


ISSUER = {"issuers": ["sso.example.com"], "subjects": ["{{ jwt:email }}"]}


def test_a_table_with_keys_of_the_users_choice_is_toml_or_json(found):
    text = '[auth.issuers.plant]\nissuers = ["sso.example.com"]\nsubjects = ["{{ jwt:email }}"]\n'
    by_file, settings = found(text=text)
    by_environment, _ = found(environment={"LITTORAL_AUTH__ISSUERS": json.dumps({"plant": ISSUER})})
    assert by_file.auth == by_environment.auth
    assert by_file.auth.issuers["plant"].subjects == ("{{ jwt:email }}",)
    assert settings["auth.issuers"][1] == "node.toml"


@pytest.mark.parametrize(
    "text",
    ["nonsense", '{"plant": 1}', '{"plant": {"issuer": "x"}}', '{"plant": {"issuers": "x"}}'],
)
def test_a_table_that_makes_no_sense_names_its_variable(found, text):
    with pytest.raises(InvalidSetting, match="LITTORAL_AUTH__ISSUERS"):
        found(environment={"LITTORAL_AUTH__ISSUERS": text})
