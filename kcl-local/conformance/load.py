"""What the consumer libraries for Python read: keys with numbers from 0 on, while the stream is split, scaled and merged."""

import json
import threading
import time
import uuid

import boto3
from botocore.config import Config

WRITERS = 4
BATCHES = 40
BATCH = 10
FIRST = "shardId-000000000000"


def client():
    """Endpoints, region and credentials come from the environment."""
    return boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}))


def entry(key, number):
    return {"PartitionKey": key, "Data": json.dumps({"key": key, "number": number}).encode()}


class Load:
    def __init__(self, kinesis):
        self.kinesis, self.stream = kinesis, f"load-{uuid.uuid4().hex[:12]}"
        self.failed = []
        kinesis.create_stream(StreamName=self.stream, ShardCount=2)
        kinesis.get_waiter("stream_exists").wait(StreamName=self.stream)
        self.threads = [threading.Thread(target=self.write, args=(index,)) for index in range(WRITERS)]
        self.threads.append(threading.Thread(target=self.reshard))

    def start(self):
        for thread in self.threads:
            thread.start()

    def write(self, writer):
        try:
            for batch in range(BATCHES):
                numbers = range(batch * BATCH, (batch + 1) * BATCH)
                entries = [entry(f"writer-{writer}", number) for number in numbers]
                answer = self.kinesis.put_records(StreamName=self.stream, Records=entries)
                assert answer["FailedRecordCount"] == 0
                time.sleep(0.1)
        except Exception as error:
            self.failed.append(error)

    def reshard(self):
        try:
            time.sleep(0.8)
            self.kinesis.split_shard(StreamName=self.stream, ShardToSplit=FIRST, NewStartingHashKey="1" + "0" * 37)
            time.sleep(0.8)
            self.kinesis.update_shard_count(
                StreamName=self.stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING"
            )
            time.sleep(0.8)
            low, high = sorted(self.shards("AT_LATEST"), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))[:2]
            self.kinesis.merge_shards(
                StreamName=self.stream, ShardToMerge=low["ShardId"], AdjacentShardToMerge=high["ShardId"]
            )
        except Exception as error:
            self.failed.append(error)

    def shards(self, kind):
        return self.kinesis.list_shards(StreamName=self.stream, ShardFilter={"Type": kind})["Shards"]

    def closed(self):
        """The ids of the shards that have ended, once all is written."""
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed
        shards = self.shards("FROM_TRIM_HORIZON")
        return {shard["ShardId"] for shard in shards if "EndingSequenceNumber" in shard["SequenceNumberRange"]}


class Seen:
    """What was read, by key, in the order in which it was read."""

    def __init__(self):
        self.by_key, self.lock = {}, threading.Lock()

    def add(self, item):
        with self.lock:
            self.by_key.setdefault(item["key"], []).append(item["number"])

    def missing(self):
        with self.lock:
            return WRITERS * BATCHES * BATCH - sum(len(set(numbers)) for numbers in self.by_key.values())

    def check(self):
        """Each number of each key has come, in its place; says how many came again."""
        repeated = 0
        for key, numbers in self.by_key.items():
            first = list(dict.fromkeys(numbers))
            repeated += len(numbers) - len(first)
            assert first == list(range(BATCHES * BATCH)), f"{key}: {first}"
        return repeated


def wait(what, condition, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)
