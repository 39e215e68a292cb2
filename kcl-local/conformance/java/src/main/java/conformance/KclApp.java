package conformance;

import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardFilter;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.KinesisClientUtil;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * Reads a stream with the Kinesis Client Library while it is written, split, merged and scaled: KclApp fan-out|polling WORKERS.
 *
 * <p>Everything that was put has to be read, in the order of each key. One worker reads nothing twice.
 */
public final class KclApp {
    private static final int WRITERS = 4;
    private static final int BATCHES = 40;
    private static final int BATCH = 10;
    private static final String FIRST = "shardId-000000000000";

    private final KinesisAsyncClient kinesis = KinesisClientUtil.createKinesisAsyncClient(KinesisAsyncClient.builder());
    private final DynamoDbAsyncClient dynamodb = DynamoDbAsyncClient.create();
    /** Never called: the metrics go nowhere. */
    private final CloudWatchAsyncClient cloudWatch =
            CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:1")).build();

    private final String stream = "kcl-" + UUID.randomUUID();
    private final Map<String, List<Integer>> read = new ConcurrentHashMap<>();
    private final Map<String, Boolean> ended = new ConcurrentHashMap<>();

    public static void main(String[] arguments) throws Exception {
        new KclApp().run(arguments[0].equals("fan-out"), Integer.parseInt(arguments[1]));
        // Threads of the libraries may linger.
        System.exit(0);
    }

    private void run(boolean fanOut, int workers) throws Exception {
        kinesis.createStream(r -> r.streamName(stream).shardCount(2)).join();
        kinesis.waiter().waitUntilStreamExists(r -> r.streamName(stream)).join();
        List<Scheduler> schedulers = new ArrayList<>();
        for (int worker = 0; worker < workers; worker++) {
            Scheduler scheduler = scheduler(fanOut, "worker-" + worker);
            schedulers.add(scheduler);
            new Thread(scheduler, "worker-" + worker).start();
        }
        List<Thread> writers = IntStream.range(0, WRITERS).mapToObj(this::writer).toList();
        writers.forEach(Thread::start);
        reshard();
        for (Thread writer : writers) {
            writer.join();
        }
        long closed = shards(ShardFilterType.FROM_TRIM_HORIZON).stream()
                .filter(shard -> shard.sequenceNumberRange().endingSequenceNumber() != null).count();
        await("all records and " + closed + " shard ends", () -> missing() == 0 && ended.size() == closed);
        Map<String, String> checkpoints = checkpoints();
        for (String shard : ended.keySet()) {
            // Gone if the library has cleaned up.
            require(List.of("SHARD_END", "none").contains(checkpoints.getOrDefault(shard, "none")), "checkpoint of " + shard);
        }
        for (Scheduler scheduler : schedulers) {
            scheduler.startGracefulShutdown().get(30, TimeUnit.SECONDS);
        }
        int repeated = check(workers == 1);
        System.out.printf("ok: KCL 3, %s, %d workers: %d records, %d shard ends, %d repeated%n",
                fanOut ? "fan-out" : "polling", workers, WRITERS * BATCHES * BATCH, ended.size(), repeated);
    }

    private Scheduler scheduler(boolean fanOut, String worker) {
        InitialPositionInStreamExtended start =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        SingleStreamTracker tracker =
                new SingleStreamTracker(StreamIdentifier.singleStreamInstance(stream), start);
        ConfigsBuilder configs = new ConfigsBuilder(
                tracker, stream, kinesis, dynamodb, cloudWatch, worker, Processor::new);
        RetrievalSpecificConfig retrieval = fanOut
                ? new FanOutConfig(kinesis).streamName(stream).applicationName(stream)
                : new PollingConfig(stream, kinesis).idleTimeBetweenReadsInMillis(200);
        // Faster than its defaults, so that the check is short.
        return new Scheduler(
                configs.checkpointConfig(),
                configs.coordinatorConfig().parentShardPollIntervalMillis(200).shardConsumerDispatchPollIntervalMillis(200),
                configs.leaseManagementConfig().failoverTimeMillis(3000).leaseAssignmentIntervalMillis(1000L)
                        .shardSyncIntervalMillis(2000),
                configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()),
                configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(retrieval));
    }

    private Thread writer(int writer) {
        return new Thread(() -> {
            for (int batch = 0; batch < BATCHES; batch++) {
                int first = batch * BATCH;
                List<PutRecordsRequestEntry> entries = IntStream.range(first, first + BATCH)
                        .mapToObj(number -> PutRecordsRequestEntry.builder().partitionKey("writer-" + writer)
                                .data(SdkBytes.fromUtf8String(Integer.toString(number))).build())
                        .toList();
                int failed = kinesis.putRecords(r -> r.streamName(stream).records(entries)).join().failedRecordCount();
                require(failed == 0, "no record is refused");
                pause(100);
            }
        });
    }

    /** Splits, scales and merges, some time apart, while others write and read. */
    private void reshard() {
        pause(800);
        kinesis.splitShard(r -> r.streamName(stream).shardToSplit(FIRST).newStartingHashKey("1" + "0".repeat(37))).join();
        pause(800);
        kinesis.updateShardCount(r -> r.streamName(stream).targetShardCount(4).scalingType(ScalingType.UNIFORM_SCALING))
                .join();
        pause(800);
        List<Shard> open = shards(ShardFilterType.AT_LATEST);
        kinesis.mergeShards(r -> r.streamName(stream).shardToMerge(open.get(0).shardId())
                .adjacentShardToMerge(neighbour(open, open.get(0)).shardId())).join();
    }

    private static Shard neighbour(List<Shard> open, Shard shard) {
        java.math.BigInteger end = new java.math.BigInteger(shard.hashKeyRange().endingHashKey());
        String next = end.add(java.math.BigInteger.ONE).toString();
        String before = new java.math.BigInteger(shard.hashKeyRange().startingHashKey())
                .subtract(java.math.BigInteger.ONE).toString();
        return open.stream().filter(other -> other.hashKeyRange().startingHashKey().equals(next)
                || other.hashKeyRange().endingHashKey().equals(before)).findFirst().orElseThrow();
    }

    private List<Shard> shards(ShardFilterType filter) {
        return kinesis.listShards(r -> r.streamName(stream).shardFilter(ShardFilter.builder().type(filter).build()))
                .join().shards();
    }

    private Map<String, String> checkpoints() {
        Map<String, String> checkpoints = new TreeMap<>();
        for (Map<String, AttributeValue> row : dynamodb.scan(r -> r.tableName(stream)).join().items()) {
            if (row.containsKey("checkpoint")) {
                checkpoints.put(row.get("leaseKey").s(), row.get("checkpoint").s());
            }
        }
        return checkpoints;
    }

    private int missing() {
        long seen = read.values().stream().mapToLong(numbers -> numbers.stream().distinct().count()).sum();
        return (int) (WRITERS * BATCHES * BATCH - seen);
    }

    /** Each key from 0 on, in order; what came again does not count against the order. */
    private int check(boolean refuseRepeats) {
        int repeated = 0;
        for (Map.Entry<String, List<Integer>> of : read.entrySet()) {
            List<Integer> first = of.getValue().stream().distinct().toList();
            require(first.equals(IntStream.range(0, BATCHES * BATCH).boxed().toList()), "order of " + of.getKey());
            repeated += of.getValue().size() - first.size();
        }
        require(!refuseRepeats || repeated == 0, "no repeated record, but " + repeated + " are");
        return repeated;
    }

    private void await(String what, java.util.function.BooleanSupplier condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(180);
        while (!condition.getAsBoolean()) {
            require(System.nanoTime() < deadline, what + "; missing " + missing() + ", ended " + ended.keySet());
            pause(100);
        }
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            System.out.println("WRONG   expected: " + what);
            System.exit(1);
        }
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private final class Processor implements ShardRecordProcessor {
        private String shard;

        @Override
        public void initialize(InitializationInput input) {
            shard = input.shardId();
        }

        @Override
        public void processRecords(ProcessRecordsInput input) {
            input.records().forEach(record -> read
                    .computeIfAbsent(record.partitionKey(), key -> new CopyOnWriteArrayList<>())
                    .add(Integer.parseInt(SdkBytes.fromByteBuffer(record.data()).asUtf8String())));
            checkpoint(input.checkpointer());
        }

        @Override
        public void leaseLost(LeaseLostInput input) {}

        @Override
        public void shardEnded(ShardEndedInput input) {
            checkpoint(input.checkpointer());
            ended.put(shard, true);
        }

        @Override
        public void shutdownRequested(ShutdownRequestedInput input) {
            checkpoint(input.checkpointer());
        }

        private void checkpoint(RecordProcessorCheckpointer checkpointer) {
            try {
                checkpointer.checkpoint();
            } catch (ShutdownException e) {
                // Another worker has the lease.
            } catch (InvalidStateException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
