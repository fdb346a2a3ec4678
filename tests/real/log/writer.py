"""Appends to a log as fast as it can; prints the seq of each commit after it is acknowledged."""

import asyncio
import os
import sys
import time
from pathlib import Path

from littoral.log import Log, LogFull
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore


class Real:
    def now_ms(self):
        return time.time_ns() // 1_000_000

    def monotonic_s(self):
        return time.monotonic()  # noqa: TID251  # this is the real world

    def token(self, size):
        return os.urandom(size)

    def uniform(self, low, high):
        return low


async def main(directory, pause_s, *, synced):
    loop = asyncio.get_running_loop()
    store = SqliteStore(Directory(Path(directory)))
    log = Log.open(
        store=store,
        committer=ThreadCommitter(loop),
        clock=Real(),
        entropy=Real(),
        node="edge",
        loop=loop,
    )

    if not synced:
        store._write.pragma("synchronous", "off")

    def acknowledged(error, seq):
        if error is None:
            os.write(1, b"%d\n" % seq)

    log.on_broken(lambda _: os._exit(70))
    async with asyncio.TaskGroup() as group:
        group.create_task(log.run())
        number = log.head
        while True:
            try:
                for _ in range(50):
                    number += 1
                    log.append(3, "thing.merged", f"thing:a:{number % 99}", number, 0, "/x",
                               b'{"number":%d,"noise":"%s"}' % (number, os.urandom(40).hex().encode()))  # fmt: skip
                    log.put("state", str(number % 99), b"%d" % number)
                seq = log.head
                log.on_commit(lambda error, seq=seq: acknowledged(error, seq))
            except LogFull:
                os.write(1, b"%d\n" % -log.committed)
                await asyncio.sleep(0.05)
            await asyncio.sleep(pause_s)


if __name__ == "__main__":
    options = sys.argv[2:]
    synced = "unsynced" not in options
    pause = next((float(o) for o in options if o != "unsynced"), 0.0)
    asyncio.run(main(sys.argv[1], pause, synced=synced))
