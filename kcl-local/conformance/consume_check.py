"""The program consume under load: consume_check.py READER [WAY [SERVER]]. If WAY is `breaking`, no connection lives long."""

import json
import os
import subprocess
import sys
import threading

from load import Load, Seen, client, wait

CONSUME = os.environ["CONSUME"]
BREAKING_PROXY = os.environ["BREAKING_PROXY"]


class Consume:
    """The program, and what it prints."""

    def __init__(self, stream, reader, options):
        command = [CONSUME, "--stream", stream, "--app", stream, "--reader", reader, "--start", "trim-horizon"]
        self.process = subprocess.Popen(command + options, stdout=subprocess.PIPE, text=True)
        self.seen, self.ended = Seen(), set()
        self.reading = threading.Thread(target=self.read)
        self.reading.start()

    def read(self):
        for line in self.process.stdout:
            line = json.loads(line)
            if line["event"] == "record":
                self.seen.add(json.loads(line["data"]))
            elif line["event"] == "lease_released" and line.get("reason") == "shard_end":
                self.ended.add(line["shard"])

    def stop(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, self.process.returncode
        self.reading.join()


def breaking_proxy():
    """A proxy before the endpoint of Kinesis, and where it listens."""
    server = os.environ["AWS_ENDPOINT_URL_KINESIS"].removeprefix("http://")
    command = [BREAKING_PROXY, "--to", server]
    proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return proxy, proxy.stdout.readline().strip()


def main(reader, way="direct", server="local-aws"):
    load = Load(client())
    if server == "kinesis-local" and reader == "fanout":
        # There a subscription goes on after the end of its shard, without a word.
        load.threads.pop()
    options = [] if "AWS_ENDPOINT_URL_DYNAMODB" in os.environ else ["--lease-store", "memory"]
    if way == "breaking":
        proxy, address = breaking_proxy()
        options += ["--kinesis-endpoint", f"http://{address}"]
    consume = Consume(load.stream, reader, options)
    load.start()
    closed = load.closed()
    seen, ended = consume.seen, consume.ended
    wait(
        lambda: f"missing {seen.missing()}, ended {ended} of {closed}, {consume.process.poll()}",
        lambda: seen.missing() == 0 and ended == closed,
    )
    consume.stop()
    broken = ""
    if way == "breaking":
        out, _ = proxy.communicate("")
        broken = f", connections {out.strip()}"
        assert int(out.strip().removeprefix("broken=")) > 0, out
    repeated = seen.check()
    assert repeated == 0, f"{repeated} records came again"
    print(f"ok: consume, {reader}, {way}: {len(ended)} shard ends{broken}")


if __name__ == "__main__":
    main(*sys.argv[1:])
