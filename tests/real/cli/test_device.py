"""The command line and a device of paho's: what it reports is seen, what it is sent it answers."""

import json
import threading

import pytest

mqtt = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")

pytestmark = [pytest.mark.real, pytest.mark.slow]

THING = "org.littoral:4711"


@pytest.fixture
def device(node):
    """4711 of the development tenant: reports once, then answers each command with its status."""
    ready = threading.Event()

    def connected(client, *_):
        client.subscribe("command///req/#", qos=1)

    def subscribed(client, *_):
        client.publish("telemetry", '{"rpm": 1480}', qos=1)

    def answer(client, _, message):
        *_, request, subject = message.topic.split("/")
        status = "418" if subject == "brew" else "200"
        client.publish(f"command///res/{request}/{status}", b'{"got": ' + message.payload + b"}")

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho")
    client.username_pw_set("sensor1@DEFAULT_TENANT", "hono-secret")
    client.on_connect, client.on_subscribe, client.on_message = connected, subscribed, answer
    client.on_publish = lambda *_: ready.set()
    host, _, port = node.mqtt.rpartition(":")
    client.connect(host, int(port))
    client.loop_start()
    try:
        assert ready.wait(10)
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def test_what_a_device_reports_is_in_its_thing(node, device):
    thing = json.loads(
        node.run("describe", "thing", THING, "-o", "json", user="ditto", password="ditto").out
    )
    assert thing["features"]["telemetry"]["properties"]["rpm"] == 1480


def test_a_device_answers_what_it_is_sent(node, device):
    done = node.run("send", THING, "hoist", '{"m": 3}', user="ditto", password="ditto")
    assert (done.code, json.loads(done.out)) == (0, {"got": {"m": 3}})
    assert done.err == "status 200\n"


def test_a_payload_may_come_from_standard_input(node, device):
    done = node.run("send", THING, "hoist", "-", stdin="[1]", user="ditto", password="ditto")
    assert json.loads(done.out) == {"got": [1]}


def test_a_device_that_refuses_makes_exit_code_1_and_its_answer_is_shown(node, device):
    done = node.run("send", THING, "brew", "0", user="ditto", password="ditto")
    assert (done.code, json.loads(done.out)) == (1, {"got": 0})
    assert done.err == "status 418\n"
