"""The generator and its ceiling, over real sockets, in processes of their own."""

import asyncio

import msgspec
import pytest

from littoral.app.bench import peers
from littoral.app.bench.model import LoadPlan, LoadReport
from littoral.app.bench.peers import PeerAbsent, run_generator
from littoral.app.bench.processes import free_port

pytestmark = [pytest.mark.real, pytest.mark.slow]


def drive(server, **changes):
    plan = LoadPlan(
        "127.0.0.1",
        server.port,
        server.identities,
        server_pids=server.pids,
        warmup_s=0.1,
        measure_s=0.3,
        **changes,
    )
    return msgspec.json.decode(
        asyncio.run(run_generator(msgspec.json.encode(plan))), type=LoadReport
    )


@pytest.mark.parametrize("version", [4, 5])
def test_in_the_closed_loop_every_message_is_acknowledged(version):
    with peers.null_server(20) as server:
        report = drive(server, in_flight=5, version=version)
    assert report.errors == ()
    assert report.connections == 20
    assert report.acknowledged_total == report.sent_total > 0
    assert report.latency_ms(0.5) > 0


def test_the_open_loop_keeps_its_rate():
    with peers.null_server(20) as server:
        report = drive(server, in_flight=50, rate=2000.0)
    assert report.errors == ()
    assert 0.5 < report.per_s / 2000 < 1.5


def test_a_server_that_does_not_listen_is_an_error_and_not_a_hang():
    plan = LoadPlan("127.0.0.1", free_port(), peers.anonymous(5), measure_s=60.0)
    with pytest.raises(RuntimeError, match="generator ended"):
        asyncio.run(run_generator(msgspec.json.encode(plan)))


def test_mosquitto_acknowledges_the_same_load():
    try:
        with peers.mosquitto(20) as server:
            report = drive(server, in_flight=5)
    except PeerAbsent as e:
        pytest.skip(str(e))
    assert report.errors == ()
    assert report.acknowledged_total > 0


def test_nats_stores_and_acknowledges_the_same_load():
    try:
        with peers.nats(20, sync_always=False) as server:
            report = drive(server, in_flight=5)
    except PeerAbsent as e:
        pytest.skip(str(e))
    assert report.errors == ()
    assert report.acknowledged_total > 0
