"""A small device: it publishes a reading every second and answers commands.

    python examples/device.py                        until Ctrl-C
    python examples/device.py --once '{"temp": 31}'  one reading, and the end
    python examples/device.py --port 1884            at another node

It does what every device should: QoS 1; a number in each message (``id``), so that a resend after
a lost acknowledgement is stored once; its own time (``ts``, ms). Needs paho-mqtt, which
`make setup` installs for the tests.
"""

import argparse
import itertools
import json
import math
import secrets
import sys
import time

import paho.mqtt.client as mqtt

START = secrets.token_hex(4)
"""Numbers of messages begin anew with each start, so each start has a name of its own."""


def on_connect(client, _userdata, _flags, reason, _properties):
    print(f"connected: {reason}", flush=True)
    if reason.is_failure:
        client.disconnect()
    client.subscribe("command///req/#", qos=1)


def on_command(client, _userdata, message):
    # command///req/REQUEST-ID/SUBJECT; a one-way command has no request id and wants no answer.
    _, _, _, _, request, subject = message.topic.split("/", 5)
    print(f"command {subject}: {message.payload.decode()}", flush=True)
    if request:
        client.publish(f"command///res/{request}/200", b'{"done":true}', qos=1)


def reading(number):
    """The payload of message ``number``: a temperature that goes up and down."""
    return json.dumps({"temp": round(21 + 3 * math.sin(number / 10), 2)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--user", default="sensor1@DEFAULT_TENANT")
    parser.add_argument("--password", default="hono-secret")
    parser.add_argument("--once", metavar="JSON", help="publish this and end")
    options = parser.parse_args()

    device = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    device.username_pw_set(options.user, options.password)
    device.on_connect = on_connect
    device.on_message = on_command
    try:
        device.connect(options.host, options.port)
    except OSError as e:
        sys.exit(f"nobody answers at {options.host}:{options.port}: {e.strerror}")
    device.loop_start()
    try:
        for number in itertools.count(1):
            payload = options.once or reading(number)
            topic = f"telemetry/?id={START}-{number}&ts={time.time_ns() // 1_000_000}"
            sent = device.publish(topic, payload, qos=1)
            if options.once:
                sent.wait_for_publish(10)
                print(f"acknowledged: {payload}" if sent.is_published() else "not acknowledged")
                break
            time.sleep(1)
        device.disconnect()
        device.loop_stop()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
