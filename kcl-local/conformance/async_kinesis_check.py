"""async-kinesis against local-aws: its consumer with checkpoints in DynamoDB, and its producer."""

import asyncio
import os

from kinesis import Consumer, DynamoDBCheckPointer, JsonProcessor, Producer

from load import Load, Seen, client

KINESIS = os.environ["AWS_ENDPOINT_URL_KINESIS"]
DYNAMODB = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
PRODUCED = 300


def consumer(stream):
    checkpointer = DynamoDBCheckPointer(name=stream, endpoint_url=DYNAMODB, region_name="us-east-1")
    return Consumer(
        stream,
        endpoint_url=KINESIS,
        region_name="us-east-1",
        processor=JsonProcessor(),
        checkpointer=checkpointer,
        sleep_time_no_records=0.2,
    )


async def consume(stream, seen, is_done):
    async with consumer(stream) as items:
        async with asyncio.timeout(120):
            while not is_done():
                # Ends when nothing has come for a while.
                async for item in items:
                    seen.add(item)


async def main():
    load, seen = Load(client()), Seen()
    load.start()
    await consume(load.stream, seen, lambda: seen.missing() == 0)
    print(f"ok: async-kinesis, consumer: {len(load.closed())} shard ends, {seen.check()} repeated")

    stream, produced = f"{load.stream}-produced", Seen()
    async with Producer(
        stream, endpoint_url=KINESIS, region_name="us-east-1", create_stream=True, create_stream_shards=2, buffer_time=0.1
    ) as producer:
        for number in range(PRODUCED):
            await producer.put({"key": "k", "number": number})
        await producer.flush()
    await consume(stream, produced, lambda: len(set(produced.by_key.get("k", []))) == PRODUCED)
    print(f"ok: async-kinesis, producer: {PRODUCED} records")


if __name__ == "__main__":
    asyncio.run(main())
