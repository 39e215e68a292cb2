"""The Rust port of the KCL for Python against local-aws: kcl_rs_check.py FANOUT|POLLING."""

import json
import os
import sys
import threading

from kcl_rs import RecordProcessorBase, Scheduler

from load import Load, Seen, client, wait

# Its metrics go nowhere.
os.environ.setdefault("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")

seen = Seen()
ended = set()
lock = threading.Lock()


class Processor(RecordProcessorBase):
    def initialize(self, initialize_input):
        self.shard = initialize_input.shard_id

    def process_records(self, process_records_input):
        for record in process_records_input.records:
            seen.add(json.loads(record.data))
        process_records_input.checkpointer.checkpoint()

    def lease_lost(self, lease_lost_input):
        pass

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()
        with lock:
            ended.add(self.shard)

    def shutdown_requested(self, shutdown_requested_input):
        shutdown_requested_input.checkpointer.checkpoint()


def main(mode):
    load = Load(client())
    polling = {"max_records": 1000, "idle_time_between_reads_millis": 200} if mode == "POLLING" else {}
    scheduler = Scheduler(
        stream_name=load.stream,
        application_name=load.stream,
        record_processor_factory=Processor,
        region="us-east-1",
        initial_position="TRIM_HORIZON",
        retrieval_mode=mode,
        shard_sync_interval_millis=1000,
        **polling,
    )
    scheduler.start()
    load.start()
    closed = load.closed()
    wait(lambda: f"missing {seen.missing()}, ended {ended} of {closed}", lambda: seen.missing() == 0 and ended == closed)
    scheduler.shutdown()
    print(f"ok: kcl-rs, {mode}: {len(ended)} shard ends, {seen.check()} repeated")


if __name__ == "__main__":
    main(*sys.argv[1:])
