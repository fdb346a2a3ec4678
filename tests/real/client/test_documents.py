"""What the documents of the SDK show is what happens: their examples run, in order."""

import doctest
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

import littoral.client
from littoral.api.operations.metrics import LINK_MEMBERS
from littoral.app.settings import load
from littoral.client import Client, rql

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def run_page(name, known, **instead):
    page = (ROOT / name).read_text()
    for text, other in instead.values():
        page = page.replace(text, other)
    for found in FENCE.finditer(page):
        line = page[: found.start(1)].count("\n")
        exec(compile("\n" * line + found[1], name, "exec"), known)


def test_the_page_about_the_sdk_is_true(dev_node, capsys):
    pytest.importorskip("pandas", reason="pandas is in the extra dataframe")
    run_page("docs/howto/use-the-python-sdk.md", {"url": dev_node.url, "__name__": "page"})
    assert "things:condition.failed" in capsys.readouterr().out


def test_things_are_moved_as_the_page_about_ditto_says(dev_node, made):
    thing_id = made(attributes={"moved": True})
    known = {"__name__": "page"}
    run_page("docs/howto/from-ditto.md", known)
    with (
        Client(dev_node.url, user="ditto", password="ditto") as one,
        Client(dev_node.url, user="devops", password="foobar") as other,
    ):
        assert known["move"](one, other) >= 1
        assert other.things.get(thing_id, "/attributes/moved") is True


def test_what_the_readme_shows_of_the_twin_api_is_true(dev_node, client, capsys):
    hot = {"features": {"telemetry": {"properties": {"temp": 31}}}}
    client.things.put("org.littoral:4711", {"policyId": "org.littoral:default", **hot})
    address = ("http://127.0.0.1:8080", dev_node.url)
    run_page("README.md", {"__name__": "page"}, address=address, idle=("idle_s=60", "idle_s=0.1"))
    count, groups = capsys.readouterr().out.splitlines()
    assert int(count) >= 1
    assert "avg(features/telemetry/properties/temp)" in groups

    readme = (ROOT / "README.md").read_text().replace(*address)
    command = readme.partition("$ curl -su ditto:ditto -G")[2].partition("\n{")[0]
    curl = shutil.which("curl") or pytest.skip("curl is not on this machine")
    done = subprocess.run(
        ["bash", "-c", f"{curl} -su ditto:ditto -G {command}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '{"thingId":"org.littoral:4711"}' in done.stdout


def test_what_the_page_about_search_shows_is_true(dev_node, client):
    page = (ROOT / "docs/howto/search.md").read_text()
    filters = re.findall(r"^\| `(\w+\(.*\))` \|", page, re.MULTILINE)
    assert len(filters) >= 12
    for one in filters:
        client.search.count(one)
    run_page("docs/howto/search.md", {"url": dev_node.url, "__name__": "page"})


def test_the_page_about_running_names_figures_and_settings_that_there_are(
    dev_node, admin, tmp_path
):
    page = (ROOT / "docs/howto/run-a-node.md").read_text()
    key = admin.administration.issue_api_key(["app:prometheus"], roles=["status"]).key
    told = httpx.get(f"{dev_node.url}/metrics", headers={"authorization": f"Bearer {key}"}).text
    known = {line.split()[0] for line in told.splitlines() if not line.startswith("#")}
    known |= {f"littoral_link_{member}" for member in LINK_MEMBERS}
    assert set(re.findall(r"\blittoral_\w+", page)) <= known
    (settings,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    file = tmp_path / "cloud.toml"
    file.write_text(settings)
    config, _ = load({}, file=file)
    assert config.retention.telemetry_days == 90


@pytest.mark.parametrize("module", [littoral.client, rql], ids=["client", "rql"])
def test_what_the_front_door_shows_is_true(module, dev_node, client):
    shared = {**vars(rql), "url": dev_node.url} if module is rql else {"url": dev_node.url}
    client.things.put("org.littoral:sdk", {"policyId": "org.littoral:default"})
    found = doctest.DocTestParser().get_doctest(module.__doc__, shared, module.__name__, None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    told = []
    runner.run(found, out=told.append)
    assert runner.failures == 0, "".join(told)
