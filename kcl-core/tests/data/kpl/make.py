"""Aggregates as PyPI's aws_kinesis_agg makes them, with what went in."""

import base64
import json

from aws_kinesis_agg.aggregator import RecordAggregator


def b64(data):
    return base64.b64encode(data).decode()


CASES = {
    "one record": [("key", None, b"hello")],
    "shared keys": [("a" if n % 2 else "b", None, b"record %d" % n) for n in range(200)],
    "explicit hash keys": [("k%d" % (n % 3), str(n * 2**120), bytes([n]) * n) for n in range(20)],
    "some with hash keys": [("k", "340282366920938463463374607431768211455" if n % 2 else None, b"%d" % n) for n in range(9)],
    "empty data and long keys": [("x" * 256, None, b""), ("", None, b"y")],
    "not ascii": [("sch\u00fcssel \u9375", None, "w\u00e4rme \U0001f525".encode())],
    "more than 127 keys": [("key-%d" % n, None, b"%d" % n) for n in range(300)],
}

out = []
for name, users in CASES.items():
    aggregator = RecordAggregator()
    for key, hash_key, data in users:
        assert aggregator.add_user_record(key, data, hash_key) is None
    _, _, data = aggregator.clear_and_get().get_contents()
    out.append({"name": name, "data": b64(data), "users": [[k, h, b64(d)] for k, h, d in users]})
print(json.dumps(out))
