package conformance;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.model.ConsumerStatus;
import software.amazon.awssdk.services.kinesis.model.EncryptionType;
import software.amazon.awssdk.services.kinesis.model.GetRecordsResponse;
import software.amazon.awssdk.services.kinesis.model.InvalidArgumentException;
import software.amazon.awssdk.services.kinesis.model.LimitExceededException;
import software.amazon.awssdk.services.kinesis.model.MetricsName;
import software.amazon.awssdk.services.kinesis.model.PutRecordResponse;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ResourceInUseException;
import software.amazon.awssdk.services.kinesis.model.ResourceNotFoundException;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.ShardFilterType;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.StreamDescriptionSummary;
import software.amazon.awssdk.services.kinesis.model.StreamMode;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** The SDK for Java against Kinesis, over HTTP/1.1 and HTTP/2: SdkCheck CONTENT-TYPE. The encoding has to be this one. */
public final class SdkCheck {
    private static final String FIRST = "shardId-000000000000";
    private static final byte[] NO_TEXT = {0, (byte) 0xff, (byte) 0x80, 7};

    private final KinesisAsyncClient kinesis;
    private final Set<String> contentTypes = Collections.synchronizedSet(new TreeSet<>());
    private final String stream = "java-" + UUID.randomUUID();
    private String arn;

    public static void main(String[] arguments) {
        for (Protocol protocol : List.of(Protocol.HTTP1_1, Protocol.HTTP2)) {
            SdkCheck check = new SdkCheck(protocol);
            check.run();
            require(check.contentTypes.equals(Set.of(arguments[0])), "encoding " + check.contentTypes);
            System.out.println("ok: SDK for Java, " + protocol + ", " + check.contentTypes);
        }
        System.exit(0);
    }

    private SdkCheck(Protocol protocol) {
        ExecutionInterceptor listener = new ExecutionInterceptor() {
            @Override
            public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
                // Java subscribes with JSON, whatever the rest of the calls has.
                if (!(context.request() instanceof SubscribeToShardRequest)) {
                    context.httpRequest().firstMatchingHeader("Content-Type").ifPresent(contentTypes::add);
                }
            }
        };
        kinesis = KinesisAsyncClient.builder()
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(protocol))
                .overrideConfiguration(c -> c.addExecutionInterceptor(listener))
                .build();
    }

    private void run() {
        kinesis.createStream(r -> r.streamName(stream).shardCount(1).streamModeDetails(m -> m.streamMode(StreamMode.PROVISIONED)))
                .join();
        arn = kinesis.waiter().waitUntilStreamExists(r -> r.streamName(stream)).join().matched().response().orElseThrow()
                .streamDescription().streamARN();
        readsWhatWasWritten();
        refusesWithTypes();
        keepsSettings();
        pushes();
        kinesis.deleteStream(r -> r.streamName(stream).enforceConsumerDeletion(true)).join();
        refused(ResourceNotFoundException.class, () -> kinesis.describeStream(r -> r.streamName(stream)).join());
    }

    private void readsWhatWasWritten() {
        Instant before = Instant.now();
        PutRecordResponse put = kinesis.putRecord(r -> r.streamName(stream).partitionKey("k\u00e4se")
                .data(SdkBytes.fromByteArray(NO_TEXT))).join();
        pause(20);
        Instant between = Instant.now();
        pause(20);
        int failed = kinesis.putRecords(r -> r.streamARN(arn).records(
                e -> e.partitionKey("a").data(SdkBytes.fromUtf8String("1")),
                e -> e.partitionKey("b").explicitHashKey("0").data(SdkBytes.fromUtf8String("2")))).join().failedRecordCount();
        require(failed == 0, "no record is refused");
        List<Record> all = read(ShardIteratorType.TRIM_HORIZON, null, null).records();
        require(all.size() == 3 && all.get(0).data().equals(SdkBytes.fromByteArray(NO_TEXT)), "three records, bytes as they were");
        require(all.get(0).partitionKey().equals("k\u00e4se"), "the key as it was");
        require(all.get(0).sequenceNumber().equals(put.sequenceNumber()), "the number that was given out");
        Duration age = Duration.between(before, all.get(0).approximateArrivalTimestamp());
        require(age.abs().toMillis() < 20_000, "arrival now, but it is " + age + " away");
        require(read(ShardIteratorType.AT_TIMESTAMP, null, between).records().size() == 2, "two after that time");
        require(read(ShardIteratorType.AFTER_SEQUENCE_NUMBER, put.sequenceNumber(), null).records().size() == 2, "two after it");
        require(read(ShardIteratorType.LATEST, null, null).records().isEmpty(), "none after the latest");
        require(read(ShardIteratorType.LATEST, null, null).millisBehindLatest() == 0, "no lag at the tip");
    }

    private GetRecordsResponse read(ShardIteratorType type, String number, Instant time) {
        String iterator = kinesis.getShardIterator(r -> r.streamName(stream).shardId(FIRST).shardIteratorType(type)
                .startingSequenceNumber(number).timestamp(time)).join().shardIterator();
        return kinesis.getRecords(r -> r.shardIterator(iterator)).join();
    }

    private void refusesWithTypes() {
        refused(ResourceNotFoundException.class, () -> kinesis.listShards(r -> r.streamName("absent")).join());
        refused(ResourceInUseException.class, () -> kinesis.createStream(r -> r.streamName(stream).shardCount(1)).join());
        refused(InvalidArgumentException.class, () -> kinesis.getRecords(r -> r.shardIterator("nonsense")).join());
        refused(LimitExceededException.class, () -> kinesis.updateShardCount(r -> r.streamName(stream).targetShardCount(9)
                .scalingType(ScalingType.UNIFORM_SCALING)).join());
    }

    private void keepsSettings() {
        kinesis.increaseStreamRetentionPeriod(r -> r.streamName(stream).retentionPeriodHours(48)).join();
        kinesis.addTagsToStream(r -> r.streamName(stream).tags(Collections.singletonMap("team", "tea"))).join();
        kinesis.enableEnhancedMonitoring(r -> r.streamName(stream).shardLevelMetrics(MetricsName.ALL)).join();
        kinesis.startStreamEncryption(r -> r.streamName(stream).encryptionType(EncryptionType.KMS).keyId("alias/k")).join();
        kinesis.updateMaxRecordSize(r -> r.streamARN(arn).maxRecordSizeInKiB(2048)).join();
        StreamDescriptionSummary summary = kinesis.describeStreamSummary(r -> r.streamARN(arn)).join()
                .streamDescriptionSummary();
        require(summary.retentionPeriodHours() == 48 && summary.keyId().equals("alias/k"), "retention and key, " + summary);
        require(summary.maxRecordSizeInKiB() == 2048 && summary.openShardCount() == 1, "record size, " + summary);
        require(summary.enhancedMonitoring().get(0).shardLevelMetrics().size() == 7, "metrics, " + summary);
        Duration age = Duration.between(summary.streamCreationTimestamp(), Instant.now());
        require(age.abs().toMinutes() < 5, "created now, but it is " + age + " away");
        require(kinesis.listTagsForResource(r -> r.resourceARN(arn)).join().tags().get(0).value().equals("tea"), "the tag");
        require(kinesis.listStreams().join().streamNames().contains(stream), "the stream in the list");
        require(kinesis.describeLimits(r -> {}).join().openShardCount() >= 1, "open shards are counted");
    }

    private void pushes() {
        String consumer = kinesis.registerStreamConsumer(r -> r.streamARN(arn).consumerName("c")).join().consumer().consumerARN();
        ConsumerStatus status = kinesis.describeStreamConsumer(r -> r.consumerARN(consumer)).join().consumerDescription()
                .consumerStatus();
        require(status == ConsumerStatus.ACTIVE, "an active consumer");
        kinesis.splitShard(r -> r.streamName(stream).shardToSplit(FIRST).newStartingHashKey("7")).join();
        require(kinesis.listShards(r -> r.streamName(stream).shardFilter(f -> f.type(ShardFilterType.AT_LATEST))).join()
                .shards().size() == 2, "two open shards");
        List<SubscribeToShardEvent> events = Collections.synchronizedList(new ArrayList<>());
        // Completes at the end of the stream, which is that of the shard.
        kinesis.subscribeToShard(r -> r.consumerARN(consumer).shardId(FIRST).startingPosition(p -> p.type("TRIM_HORIZON")),
                SubscribeToShardResponseHandler.builder()
                        .onEventStream(publisher -> publisher.subscribe(event -> collect(event, events))).build())
                .orTimeout(20, TimeUnit.SECONDS).join();
        require(events.stream().mapToInt(event -> event.records().size()).sum() == 3, "three records are pushed");
        SubscribeToShardEvent last = events.get(events.size() - 1);
        require(last.childShards().size() == 2 && last.continuationSequenceNumber() == null, "an end with children, " + last);
        refused(ResourceInUseException.class, () -> kinesis.subscribeToShard(
                r -> r.consumerARN(consumer).shardId(FIRST).startingPosition(p -> p.type("LATEST")),
                SubscribeToShardResponseHandler.builder().subscriber(event -> {}).build()).join());
    }

    private static void collect(SubscribeToShardEventStream event, List<SubscribeToShardEvent> events) {
        if (event instanceof SubscribeToShardEvent records) {
            events.add(records);
        }
    }

    private static void refused(Class<? extends Exception> with, Runnable call) {
        try {
            call.run();
        } catch (CompletionException e) {
            require(with.isInstance(e.getCause()), with.getSimpleName() + " instead of " + e.getCause());
            return;
        }
        require(false, with.getSimpleName());
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            System.out.println("WRONG   expected: " + what);
            System.exit(1);
        }
    }

    private static void pause(long millis) {
        try {
            TimeUnit.MILLISECONDS.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
