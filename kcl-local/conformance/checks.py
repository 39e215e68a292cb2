"""What the service documents, checked through boto3: checks.py NAME. The environment says where and as whom.

Every check has to hold for local-aws. Another emulator may differ where DIFFERENCES says so; a difference that is not listed,
and a listed one that is gone, both fail the run. CONFORMANCE.md explains them.
"""

import pathlib
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

DIFFERENCES = {
    "local-aws": {},
    "kinesis-local": {
        "batches_are_limited",
        "a_closed_shard_cannot_be_split",
        "a_bad_iterator_is_an_invalid_argument",
        "at_trim_horizon_lists_the_oldest_shards_alone",
        "a_subscription_goes_on_where_one_ended",
        "a_second_subscription_is_in_use",
        "a_subscription_ends_with_its_shard",
        "an_unknown_consumer_cannot_subscribe",
    },
}

FIRST = "shardId-000000000000"
WHOLE = 2**128


class Scene:
    def __init__(self, client, shards):
        self.client, self.name = client, f"check-{uuid.uuid4().hex[:12]}"
        client.create_stream(StreamName=self.name, ShardCount=shards)
        self.settle()

    def settle(self):
        for _ in range(400):
            summary = self.client.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            if summary["StreamStatus"] == "ACTIVE":
                self.arn = summary["StreamARN"]
                return summary
            time.sleep(0.025)
        raise AssertionError("the stream does not become ACTIVE")

    def shards(self, **arguments):
        return self.client.list_shards(StreamName=self.name, **arguments)["Shards"]

    def put(self, data, key="k", **arguments):
        return self.client.put_record(StreamName=self.name, PartitionKey=key, Data=data, **arguments)

    def iterator(self, kind="TRIM_HORIZON", shard=FIRST, **arguments):
        answer = self.client.get_shard_iterator(
            StreamName=self.name, ShardId=shard, ShardIteratorType=kind, **arguments
        )
        return answer["ShardIterator"]

    def read(self, kind="TRIM_HORIZON", shard=FIRST, **arguments):
        answer = self.client.get_records(ShardIterator=self.iterator(kind, shard, **arguments))
        return [record["Data"] for record in answer["Records"]]

    def consumer(self, name="c"):
        arn = self.client.register_stream_consumer(StreamARN=self.arn, ConsumerName=name)["Consumer"]["ConsumerARN"]
        for _ in range(400):
            described = self.client.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]
            if described["ConsumerStatus"] == "ACTIVE":
                return arn
            time.sleep(0.025)
        raise AssertionError("the consumer does not become ACTIVE")

    def subscribe(self, arn, shard=FIRST, **position):
        answer = self.client.subscribe_to_shard(ConsumerARN=arn, ShardId=shard, StartingPosition=position)
        return (event["SubscribeToShardEvent"] for event in answer["EventStream"] if "SubscribeToShardEvent" in event)


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return
    raise AssertionError(f"not refused with {code}")


def shards_tile_the_hash_space(client):
    ranges = [shard["HashKeyRange"] for shard in Scene(client, 3).shards()]
    bounds = sorted((int(r["StartingHashKey"]), int(r["EndingHashKey"])) for r in ranges)
    assert bounds[0][0] == 0 and bounds[-1][1] == WHOLE - 1
    assert all(low[1] + 1 == high[0] for low, high in zip(bounds, bounds[1:]))


def partition_keys_go_by_md5(client):
    import hashlib

    scene = Scene(client, 4)
    by_shard = {shard["ShardId"]: shard["HashKeyRange"] for shard in scene.shards()}
    for index in range(20):
        key = f"key-{index}"
        hashed = int(hashlib.md5(key.encode()).hexdigest(), 16)
        found = by_shard[scene.put(b"x", key)["ShardId"]]
        assert int(found["StartingHashKey"]) <= hashed <= int(found["EndingHashKey"])


def every_iterator_begins_where_it_says(client):
    scene = Scene(client, 1)
    numbers = [scene.put(bytes([index]))["SequenceNumber"] for index in range(3)]
    assert numbers == sorted(numbers, key=int) and all(len(number) == 56 for number in numbers)
    assert scene.read() == [b"\0", b"\1", b"\2"]
    assert scene.read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"\1", b"\2"]
    assert scene.read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == [b"\2"]
    assert scene.read("AT_TIMESTAMP", Timestamp=0) == [b"\0", b"\1", b"\2"]
    assert scene.read("LATEST") == []


def batches_are_limited(client):
    scene = Scene(client, 1)
    entries = [{"Data": b"x", "PartitionKey": str(index)} for index in range(501)]
    refused("ValidationException", client.put_records, StreamName=scene.name, Records=entries)
    answer = client.put_records(StreamName=scene.name, Records=entries[:500])
    assert answer["FailedRecordCount"] == 0 and len(scene.read()) == 500


def a_split_has_parents_children_and_an_end(client):
    scene = Scene(client, 1)
    scene.put(b"before")
    client.split_shard(StreamName=scene.name, ShardToSplit=FIRST, NewStartingHashKey=str(WHOLE // 2))
    scene.settle()
    children = [shard for shard in scene.shards() if shard.get("ParentShardId") == FIRST]
    assert len(children) == 2
    answer = client.get_records(ShardIterator=scene.iterator())
    assert [record["Data"] for record in answer["Records"]] == [b"before"]
    if "NextShardIterator" in answer:
        answer = client.get_records(ShardIterator=answer["NextShardIterator"])
    assert "NextShardIterator" not in answer
    assert {child["ShardId"] for child in answer["ChildShards"]} == {child["ShardId"] for child in children}
    client.merge_shards(
        StreamName=scene.name, ShardToMerge=children[0]["ShardId"], AdjacentShardToMerge=children[1]["ShardId"]
    )
    scene.settle()
    merged = scene.shards(ShardFilter={"Type": "AT_LATEST"})
    assert len(merged) == 1 and {merged[0]["ParentShardId"], merged[0]["AdjacentParentShardId"]} == {
        child["ShardId"] for child in children
    }


def a_closed_shard_cannot_be_split(client):
    scene = Scene(client, 1)
    split = {"StreamName": scene.name, "ShardToSplit": FIRST, "NewStartingHashKey": str(WHOLE // 2)}
    client.split_shard(**split)
    scene.settle()
    refused("InvalidArgumentException", client.split_shard, **split)


def scaling_changes_the_open_shards(client):
    scene = Scene(client, 2)
    client.update_shard_count(StreamName=scene.name, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
    assert scene.settle()["OpenShardCount"] == 4


def at_trim_horizon_lists_the_oldest_shards_alone(client):
    scene = Scene(client, 1)
    client.split_shard(StreamName=scene.name, ShardToSplit=FIRST, NewStartingHashKey=str(WHOLE // 2))
    scene.settle()
    oldest = scene.shards(ShardFilter={"Type": "AT_TRIM_HORIZON"})
    assert [shard["ShardId"] for shard in oldest] == [FIRST]


def listings_have_pages(client):
    scene = Scene(client, 5)
    first = client.list_shards(StreamName=scene.name, MaxResults=3)
    second = client.list_shards(NextToken=first["NextToken"])
    assert len(first["Shards"]) == 3 and len(second["Shards"]) == 2 and "NextToken" not in second


def errors_have_their_codes(client):
    scene = Scene(client, 1)
    refused("ResourceNotFoundException", client.describe_stream, StreamName="absent")
    refused("ResourceInUseException", client.create_stream, StreamName=scene.name, ShardCount=1)
    refused("ResourceNotFoundException", scene.iterator, shard="shardId-000000000009")
    refused("InvalidArgumentException", scene.iterator, "AT_SEQUENCE_NUMBER")


def a_bad_iterator_is_an_invalid_argument(client):
    refused("InvalidArgumentException", client.get_records, ShardIterator="bogus")


def retention_and_tags_are_kept(client):
    scene = Scene(client, 1)
    client.increase_stream_retention_period(StreamName=scene.name, RetentionPeriodHours=48)
    assert scene.settle()["RetentionPeriodHours"] == 48
    client.add_tags_to_stream(StreamName=scene.name, Tags={"team": "tea"})
    assert client.list_tags_for_stream(StreamName=scene.name)["Tags"] == [{"Key": "team", "Value": "tea"}]


def a_subscription_goes_on_where_one_ended(client):
    scene = Scene(client, 1)
    numbers = [scene.put(bytes([index]))["SequenceNumber"] for index in range(3)]
    position = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": numbers[0]}
    events = scene.subscribe(scene.consumer(), **position)
    got = []
    while len(got) < 2:
        event = next(events)
        got.extend(record["Data"] for record in event["Records"])
    assert got == [b"\1", b"\2"] and int(event["ContinuationSequenceNumber"]) >= int(numbers[2])


def a_second_subscription_is_in_use(client):
    scene = Scene(client, 1)
    scene.put(b"x")
    arn = scene.consumer()
    first = scene.subscribe(arn, Type="TRIM_HORIZON")
    next(first)
    # The refusal may stand in the answer or on the stream.
    refused("ResourceInUseException", lambda: next(scene.subscribe(arn, Type="TRIM_HORIZON")))


def a_subscription_ends_with_its_shard(client):
    scene = Scene(client, 1)
    client.split_shard(StreamName=scene.name, ShardToSplit=FIRST, NewStartingHashKey=str(WHOLE // 2))
    scene.settle()
    events = scene.subscribe(scene.consumer(), Type="TRIM_HORIZON")
    for _, event in zip(range(3), events):
        if event.get("ChildShards"):
            assert len(event["ChildShards"]) == 2 and next(events, None) is None
            return
    raise AssertionError("three events, and no children")


def an_unknown_consumer_cannot_subscribe(client):
    scene = Scene(client, 1)
    arn = f"{scene.arn}/consumer/absent:1790000000"
    refused("ResourceNotFoundException", lambda: next(scene.subscribe(arn, Type="LATEST")))


def every_operation_is_known_or_listed_as_not_modelled(client):
    readme = (pathlib.Path(__file__).parent.parent / "README.md").read_text()
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    careless = boto3.client("kinesis", config=config, endpoint_url=client.meta.endpoint_url)
    unknown = set()
    for operation in client.meta.service_model.operation_names:
        try:
            # Without any member most are refused, but for what is missing.
            careless._make_api_call(operation, {})
        except ClientError as error:
            if error.response["Error"]["Code"] == "UnknownOperationException":
                unknown.add(operation)
    missing = {operation for operation in unknown if f"`{operation}`" not in readme}
    assert not missing, missing


CHECKS = [
    shards_tile_the_hash_space,
    partition_keys_go_by_md5,
    every_iterator_begins_where_it_says,
    batches_are_limited,
    a_split_has_parents_children_and_an_end,
    a_closed_shard_cannot_be_split,
    scaling_changes_the_open_shards,
    at_trim_horizon_lists_the_oldest_shards_alone,
    listings_have_pages,
    errors_have_their_codes,
    a_bad_iterator_is_an_invalid_argument,
    retention_and_tags_are_kept,
    a_subscription_goes_on_where_one_ended,
    a_second_subscription_is_in_use,
    a_subscription_ends_with_its_shard,
    an_unknown_consumer_cannot_subscribe,
]


# Another emulator is not described by the README of this one.
OWN_CHECKS = [every_operation_is_known_or_listed_as_not_modelled]


def main(name):
    client = boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}, read_timeout=20, connect_timeout=5))
    for _ in range(100):
        try:
            client.list_streams()
            break
        except EndpointConnectionError:
            time.sleep(0.2)
    checks = OWN_CHECKS + CHECKS if name == "local-aws" else CHECKS
    wrong = 0
    for check in checks:
        try:
            check(client)
            differs = None
        except Exception as error:  # whatever went wrong is the difference
            differs = f"{type(error).__name__}: {error}"
        listed = check.__name__ in DIFFERENCES[name]
        agrees = (differs is not None) == listed
        wrong += not agrees
        print("       " if agrees else "WRONG  ", check.__name__, f"(differs, as listed: {differs})" if differs and agrees else differs or "")
    print(f"ok: boto3, {name}: {len(checks)} checks" if not wrong else f"{wrong} of {len(checks)} checks are not as expected")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
