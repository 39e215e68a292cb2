// The SDK for Go against local-aws: records by polling and by enhanced fan-out over a split, typed errors, a table.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	table "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const records = 400

type scene struct {
	ctx     context.Context
	kinesis *kinesis.Client
	stream  string
	arn     string
}

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	// Endpoints, region, credentials and AWS_CA_BUNDLE come from the environment.
	loaded := must(config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(1)))
	s := scene{ctx: ctx, kinesis: kinesis.NewFromConfig(loaded), stream: fmt.Sprintf("go-%d", time.Now().UnixNano())}
	must(s.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &s.stream, ShardCount: aws.Int32(1)}))
	check(kinesis.NewStreamExistsWaiter(s.kinesis).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: &s.stream}, time.Minute))
	summary := must(s.kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &s.stream}))
	s.arn = *summary.StreamDescriptionSummary.StreamARN

	s.put(0, records/2)
	s.split()
	s.put(records/2, records)
	polled := s.read("shardId-000000000000", s.poll)
	pushed := s.read("shardId-000000000000", s.subscribe)
	for name, got := range map[string]map[int]int{"polling": polled, "fan-out": pushed} {
		require(len(got) == records, "%s: %d of %d records", name, len(got), records)
		for number, times := range got {
			require(times == 1, "%s: record %d came %d times", name, number, times)
		}
	}
	s.refusals()
	item(ctx, dynamodb.NewFromConfig(loaded))
	fmt.Printf("ok: SDK for Go: %d records by polling and by fan-out, over a split\n", records)
}

func (s scene) put(from, to int) {
	var entries []types.PutRecordsRequestEntry
	for number := from; number < to; number++ {
		text := strconv.Itoa(number)
		entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &text, Data: []byte(text)})
	}
	put := must(s.kinesis.PutRecords(s.ctx, &kinesis.PutRecordsInput{StreamName: &s.stream, Records: entries}))
	require(*put.FailedRecordCount == 0, "%d records are refused", *put.FailedRecordCount)
}

func (s scene) split() {
	must(s.kinesis.SplitShard(s.ctx, &kinesis.SplitShardInput{
		StreamName: &s.stream, ShardToSplit: aws.String("shardId-000000000000"),
		NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	}))
	check(kinesis.NewStreamExistsWaiter(s.kinesis).Wait(s.ctx, &kinesis.DescribeStreamInput{StreamName: &s.stream}, time.Minute))
}

// What one look at a shard brings: its records, and at its end the children.
type batch struct {
	records  []types.Record
	children []types.ChildShard
}

// Reads a shard until it has nothing more, then those that came out of it. How often each number came.
func (s scene) read(shard string, read func(string) batch) map[int]int {
	seen := map[int]int{}
	waiting := []string{shard}
	for len(waiting) > 0 {
		got := read(waiting[0])
		waiting = waiting[1:]
		last := ""
		for _, record := range got.records {
			seen[must(strconv.Atoi(string(record.Data)))]++
			require(last < *record.SequenceNumber, "numbers fall: %s, %s", last, *record.SequenceNumber)
			last = *record.SequenceNumber
			age := time.Since(*record.ApproximateArrivalTimestamp)
			require(age > -time.Minute && age < time.Minute, "arrived %s ago", age)
		}
		for _, child := range got.children {
			waiting = append(waiting, *child.ShardId)
		}
	}
	return seen
}

func (s scene) poll(shard string) batch {
	start := must(s.kinesis.GetShardIterator(s.ctx, &kinesis.GetShardIteratorInput{
		StreamARN: &s.arn, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}))
	var got batch
	for next := start.ShardIterator; next != nil; {
		answer := must(s.kinesis.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(50)}))
		got.records = append(got.records, answer.Records...)
		got.children = answer.ChildShards
		if next = answer.NextShardIterator; len(answer.Records) == 0 && *answer.MillisBehindLatest == 0 {
			break
		}
	}
	return got
}

func (s scene) subscribe(shard string) batch {
	registered := must(s.kinesis.RegisterStreamConsumer(s.ctx, &kinesis.RegisterStreamConsumerInput{
		StreamARN: &s.arn, ConsumerName: aws.String("for-" + shard),
	}))
	input := kinesis.SubscribeToShardInput{
		ConsumerARN: registered.Consumer.ConsumerARN, ShardId: &shard,
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	}
	stream := must(s.kinesis.SubscribeToShard(s.ctx, &input)).GetStream()
	defer stream.Close()
	var got batch
	for event := range stream.Events() {
		pushed := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
		got.records = append(got.records, pushed.Records...)
		got.children = pushed.ChildShards
		if pushed.ContinuationSequenceNumber != nil && *pushed.MillisBehindLatest == 0 {
			// An open shard has no end to wait for.
			break
		}
	}
	check(stream.Err())
	_, err := s.kinesis.SubscribeToShard(s.ctx, &input)
	require(is[*types.ResourceInUseException](err), "a second subscription gets %v", err)
	return got
}

func (s scene) refusals() {
	_, err := s.kinesis.ListShards(s.ctx, &kinesis.ListShardsInput{StreamName: aws.String("absent")})
	require(is[*types.ResourceNotFoundException](err), "an absent stream gets %v", err)
	_, err = s.kinesis.GetRecords(s.ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("nonsense")})
	require(is[*types.InvalidArgumentException](err), "a bad iterator gets %v", err)
	_, err = s.kinesis.CreateStream(s.ctx, &kinesis.CreateStreamInput{StreamName: &s.stream, ShardCount: aws.Int32(1)})
	require(is[*types.ResourceInUseException](err), "a stream that exists gets %v", err)
}

func item(ctx context.Context, client *dynamodb.Client) {
	name := aws.String(fmt.Sprintf("go-%d", time.Now().UnixNano()))
	must(client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: name, BillingMode: table.BillingModePayPerRequest,
		AttributeDefinitions: []table.AttributeDefinition{{AttributeName: aws.String("k"), AttributeType: "S"}},
		KeySchema:            []table.KeySchemaElement{{AttributeName: aws.String("k"), KeyType: "HASH"}},
	}))
	put := &dynamodb.PutItemInput{
		TableName: name, Item: map[string]table.AttributeValue{"k": &table.AttributeValueMemberS{Value: "v"}},
		ConditionExpression: aws.String("attribute_not_exists(k)"),
	}
	must(client.PutItem(ctx, put))
	_, err := client.PutItem(ctx, put)
	require(is[*table.ConditionalCheckFailedException](err), "a condition that fails gets %v", err)
}

func is[E error](err error) bool {
	var wanted E
	return errors.As(err, &wanted)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	require(err == nil, "%v", err)
}

func require(holds bool, format string, arguments ...any) {
	if !holds {
		log.Fatalf("WRONG   "+format, arguments...)
	}
}
