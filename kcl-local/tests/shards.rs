//! Shards: listing, lineage, splits, merges and scaling, through the AWS SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{ScalingType, Shard, ShardFilter, ShardFilterType, ShardIteratorType, StreamModeDetails};
use common::{Scene, code};

in_both_ways!(
    new_shards_tile_the_hash_space,
    a_split_closes_the_parent_and_names_it,
    a_merge_names_both_parents,
    impossible_reshards_are_refused,
    a_closed_shard_ends_with_its_children,
    numbers_of_children_are_above_those_of_parents,
    doubling_splits_and_halving_merges,
    scaling_to_any_count_keeps_the_lineage,
    scaling_has_limits,
    every_filter_shows_its_shards,
    pages_go_on_where_they_ended,
    pages_show_the_shards_of_the_first_page,
    page_tokens_expire_and_stand_alone,
    closed_shards_expire_with_their_records,
);

const MAX: u128 = u128::MAX;

fn id(index: u32) -> String {
    format!("shardId-{index:012}")
}

fn ids(shards: &[Shard]) -> Vec<u32> {
    shards.iter().map(|shard| shard.shard_id["shardId-".len()..].parse().unwrap()).collect()
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range.as_ref().unwrap();
    (range.starting_hash_key.parse().unwrap(), range.ending_hash_key.parse().unwrap())
}

fn is_open(shard: &Shard) -> bool {
    shard.sequence_number_range.as_ref().unwrap().ending_sequence_number.is_none()
}

fn parents(shard: &Shard) -> (Option<&str>, Option<&str>) {
    (shard.parent_shard_id.as_deref(), shard.adjacent_parent_shard_id.as_deref())
}

impl Scene {
    async fn shards(&self) -> Vec<Shard> {
        self.client.list_shards().stream_name("orders").send().await.unwrap().shards.unwrap()
    }

    async fn filtered(&self, kind: ShardFilterType) -> Vec<u32> {
        self.filtered_by(ShardFilter::builder().r#type(kind).build().unwrap()).await
    }

    async fn filtered_by(&self, filter: ShardFilter) -> Vec<u32> {
        let call = self.client.list_shards().stream_arn(self.arn()).shard_filter(filter);
        ids(&call.send().await.unwrap().shards.unwrap())
    }

    async fn split(&self, index: u32, at: u128) {
        let call = self.client.split_shard().stream_name("orders").shard_to_split(id(index));
        call.new_starting_hash_key(at.to_string()).send().await.unwrap();
    }

    async fn merge(&self, index: u32, adjacent: u32) {
        let call = self.client.merge_shards().stream_name("orders").shard_to_merge(id(index));
        call.adjacent_shard_to_merge(id(adjacent)).send().await.unwrap();
    }

    async fn scale(&self, target: i32) {
        let call = self.client.update_shard_count().stream_name("orders").target_shard_count(target);
        let answer = call.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        assert_eq!(answer.target_shard_count, Some(target));
        let open: Vec<_> = self.shards().await.into_iter().filter(is_open).collect();
        assert_eq!(open.len(), target as usize);
        assert_tiles(&open);
    }

    fn timestamp(&self, seconds_after_start: f64) -> DateTime {
        DateTime::from_secs_f64(1_790_000_000.123 + seconds_after_start)
    }
}

fn assert_tiles(open: &[Shard]) {
    let mut ranges: Vec<_> = open.iter().map(range).collect();
    ranges.sort_unstable();
    assert_eq!(ranges[0].0, 0);
    assert_eq!(ranges.last().unwrap().1, MAX);
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{ranges:?}");
}

async fn new_shards_tile_the_hash_space(scene: Scene) {
    let scene = scene.with_stream(5).await;
    let shards = scene.shards().await;
    assert_eq!(ids(&shards), [0, 1, 2, 3, 4]);
    assert_tiles(&shards);
    assert!(shards.iter().all(|shard| is_open(shard) && parents(shard) == (None, None)));
}

async fn a_split_closes_the_parent_and_names_it(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.split(0, 1000).await;
    let shards = scene.shards().await;
    assert_eq!(shards.iter().map(is_open).collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(shards.iter().map(range).collect::<Vec<_>>(), [(0, MAX), (0, 999), (1000, MAX)]);
    assert_eq!(parents(&shards[1]), (Some(&*id(0)), None));
    assert_eq!(parents(&shards[2]), (Some(&*id(0)), None));
}

async fn a_merge_names_both_parents(scene: Scene) {
    let scene = scene.with_stream(3).await;
    scene.merge(1, 2).await;
    let shards = scene.shards().await;
    assert_eq!(shards.iter().map(is_open).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(parents(&shards[3]), (Some(&*id(1)), Some(&*id(2))));
    assert_eq!(range(&shards[3]), (range(&shards[1]).0, MAX));
}

async fn impossible_reshards_are_refused(scene: Scene) {
    let scene = scene.with_stream(4).await;
    let split = |index: u32, at: &str| {
        let call = scene.client.split_shard().stream_name("orders").shard_to_split(id(index));
        call.new_starting_hash_key(at).send()
    };
    let merge = |index: u32, adjacent: u32| {
        let call = scene.client.merge_shards().stream_name("orders").shard_to_merge(id(index));
        call.adjacent_shard_to_merge(id(adjacent)).send()
    };
    assert_eq!(code(split(0, "0").await), "InvalidArgumentException");
    assert_eq!(code(split(0, &(1_u128 << 126).to_string()).await), "InvalidArgumentException");
    assert_eq!(code(split(0, "x").await), "InvalidArgumentException");
    assert_eq!(code(split(9, "5").await), "ResourceNotFoundException");
    assert_eq!(code(merge(0, 2).await), "InvalidArgumentException");
    assert_eq!(code(merge(0, 0).await), "InvalidArgumentException");
    assert_eq!(code(merge(0, 9).await), "ResourceNotFoundException");
    scene.split(0, 5).await;
    assert_eq!(code(split(0, "7").await), "InvalidArgumentException");
    assert_eq!(code(merge(0, 1).await), "InvalidArgumentException");
    assert_eq!(scene.shards().await.len(), 6);
}

async fn a_closed_shard_ends_with_its_children(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let put = |data: &'static str| {
        let put = scene.client.put_record().stream_name("orders").partition_key("k");
        put.data(Blob::new(data)).send()
    };
    put("before").await.unwrap();
    scene.split(0, 1 << 127).await;
    put("after").await.unwrap();
    scene.merge(1, 2).await;

    let iterator = scene.client.get_shard_iterator().stream_name("orders").shard_id(id(0));
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let end = scene.client.get_records().shard_iterator(iterator.shard_iterator.unwrap()).send().await.unwrap();
    assert_eq!(end.records.len(), 1);
    assert_eq!(end.next_shard_iterator, None);
    assert_eq!(end.millis_behind_latest, Some(0));
    let children = end.child_shards.unwrap();
    let seen: Vec<_> = children.iter().map(|child| (child.shard_id.clone(), child.parent_shards.clone())).collect();
    assert_eq!(seen, [(id(1), vec![id(0)]), (id(2), vec![id(0)])]);
    assert_eq!(children[1].hash_key_range.as_ref().unwrap().starting_hash_key, (1_u128 << 127).to_string());

    let iterator = scene.client.get_shard_iterator().stream_name("orders").shard_id(id(2));
    let iterator = iterator.shard_iterator_type(ShardIteratorType::Latest).send().await.unwrap();
    let end = scene.client.get_records().shard_iterator(iterator.shard_iterator.unwrap()).send().await.unwrap();
    let children = end.child_shards.unwrap();
    assert_eq!(children[0].parent_shards, [id(1), id(2)]);
}

async fn numbers_of_children_are_above_those_of_parents(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let mut last = String::new();
    for generation in 0..6_u32 {
        for _ in 0..3 {
            let put = scene.client.put_record().stream_name("orders").partition_key("k").explicit_hash_key("0");
            let number = put.data(Blob::new("x")).send().await.unwrap().sequence_number;
            assert!(number > last, "{number} {last}");
            last = number;
        }
        // All within one millisecond, or with a clock that goes back.
        scene.clock.set(kcl_local::Timestamp::from_millis(1_790_000_000_123 - u64::from(generation) * 10_000));
        scene
            .kinesis
            .split_shard_evenly("orders", kcl_local::ShardId(generation * 2 - u32::from(generation > 0)))
            .unwrap();
    }
    for shard in scene.shards().await {
        let range = shard.sequence_number_range.unwrap();
        assert!(range.ending_sequence_number.is_none_or(|end| end > range.starting_sequence_number));
    }
}

async fn doubling_splits_and_halving_merges(scene: Scene) {
    let scene = scene.with_stream(2).await;
    scene.scale(4).await;
    let shards = scene.shards().await;
    assert_eq!(ids(&shards), [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        shards[2..].iter().map(parents).collect::<Vec<_>>(),
        [(Some(&*id(0)), None), (Some(&*id(0)), None), (Some(&*id(1)), None), (Some(&*id(1)), None)]
    );
    scene.scale(2).await;
    let shards = scene.shards().await;
    assert_eq!(parents(&shards[6]), (Some(&*id(2)), Some(&*id(3))));
    assert_eq!(parents(&shards[7]), (Some(&*id(4)), Some(&*id(5))));
}

async fn scaling_to_any_count_keeps_the_lineage(scene: Scene) {
    let scene = scene.with_stream(4).await;
    for target in [5, 3, 6, 7, 4, 8, 16, 9] {
        scene.scale(target).await;
    }
    let shards = scene.shards().await;
    for shard in &shards[4..] {
        let parent = shards.iter().find(|other| Some(&other.shard_id) == shard.parent_shard_id.as_ref()).unwrap();
        assert!(!is_open(parent));
        assert!(range(parent).0 <= range(shard).1 && range(shard).0 <= range(parent).1);
    }
}

async fn scaling_has_limits(scene: Scene) {
    let scene = scene.with_stream(4).await;
    let scale = |target: i32| {
        let call = scene.client.update_shard_count().stream_name("orders").target_shard_count(target);
        call.scaling_type(ScalingType::UniformScaling).send()
    };
    assert_eq!(code(scale(9).await), "LimitExceededException");
    assert_eq!(code(scale(1).await), "LimitExceededException");
    assert_eq!(code(scale(0).await), "ValidationException");
    let mode = StreamModeDetails::builder().stream_mode("ON_DEMAND".into()).build().unwrap();
    let update = scene.client.update_stream_mode().stream_arn(scene.arn()).stream_mode_details(mode);
    update.send().await.unwrap();
    assert_eq!(code(scale(8).await), "ValidationException");
}

async fn every_filter_shows_its_shards(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.clock.advance(Duration::from_secs(10));
    scene.split(0, 1 << 127).await;
    scene.clock.advance(Duration::from_secs(10));
    scene.merge(1, 2).await;
    scene.clock.advance(Duration::from_secs(10));
    assert_eq!(scene.filtered(ShardFilterType::AtLatest).await, [3]);
    assert_eq!(scene.filtered(ShardFilterType::AtTrimHorizon).await, [0]);
    assert_eq!(scene.filtered(ShardFilterType::FromTrimHorizon).await, [0, 1, 2, 3]);
    let after = ShardFilter::builder().r#type(ShardFilterType::AfterShardId).shard_id(id(1)).build().unwrap();
    assert_eq!(scene.filtered_by(after).await, [2, 3]);
    for (seconds, at, from) in [
        (-5.0, vec![0], vec![0, 1, 2, 3]),
        (5.0, vec![0], vec![0, 1, 2, 3]),
        (15.0, vec![1, 2], vec![1, 2, 3]),
        (25.0, vec![3], vec![3]),
    ] {
        let filter = |kind| ShardFilter::builder().r#type(kind).timestamp(scene.timestamp(seconds)).build().unwrap();
        assert_eq!(scene.filtered_by(filter(ShardFilterType::AtTimestamp)).await, at, "at {seconds}");
        assert_eq!(scene.filtered_by(filter(ShardFilterType::FromTimestamp)).await, from, "from {seconds}");
    }
    for kind in [ShardFilterType::AfterShardId, ShardFilterType::AtTimestamp, ShardFilterType::FromTimestamp] {
        let incomplete = ShardFilter::builder().r#type(kind).build().unwrap();
        let call = scene.client.list_shards().stream_name("orders").shard_filter(incomplete);
        assert_eq!(code(call.send().await), "InvalidArgumentException");
    }
    let unknown = ShardFilter::builder().r#type("NOW".into()).build().unwrap();
    let call = scene.client.list_shards().stream_name("orders").shard_filter(unknown);
    assert_eq!(code(call.send().await), "ValidationException");
}

async fn pages_go_on_where_they_ended(scene: Scene) {
    let scene = scene.with_stream(5).await;
    let first = scene.client.list_shards().stream_name("orders").max_results(2).send().await.unwrap();
    assert_eq!(ids(first.shards()), [0, 1]);
    let next = |token: Option<String>| scene.client.list_shards().next_token(token.unwrap()).max_results(2).send();
    let second = next(first.next_token).await.unwrap();
    assert_eq!(ids(second.shards()), [2, 3]);
    let third = next(second.next_token).await.unwrap();
    assert_eq!(ids(third.shards()), [4]);
    assert_eq!(third.next_token, None);
    let after = scene.client.list_shards().stream_name("orders").exclusive_start_shard_id(id(3));
    assert_eq!(ids(after.send().await.unwrap().shards()), [4]);
    let described = scene.client.describe_stream().stream_name("orders").limit(3).exclusive_start_shard_id(id(0));
    let described = described.send().await.unwrap().stream_description.unwrap();
    assert_eq!((ids(&described.shards), described.has_more_shards), (vec![1, 2, 3], true));
    assert_eq!(
        code(scene.client.list_shards().stream_name("orders").max_results(0).send().await),
        "ValidationException"
    );
}

async fn pages_show_the_shards_of_the_first_page(scene: Scene) {
    let scene = scene.with_stream(3).await;
    let latest = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
    let first =
        scene.client.list_shards().stream_name("orders").shard_filter(latest).max_results(1).send().await.unwrap();
    scene.merge(1, 2).await;
    let rest = scene.client.list_shards().next_token(first.next_token.unwrap()).send().await.unwrap();
    assert_eq!(ids(rest.shards()), [1, 2]);
    assert_eq!(scene.filtered(ShardFilterType::AtLatest).await, [0, 3]);
}

async fn page_tokens_expire_and_stand_alone(scene: Scene) {
    let scene = scene.with_stream(3).await;
    let first = scene.client.list_shards().stream_name("orders").max_results(1).send().await.unwrap();
    let token = first.next_token.unwrap();
    let both = scene.client.list_shards().stream_name("orders").next_token(&token).send().await;
    assert_eq!(code(both), "InvalidArgumentException");
    let bad = scene.client.list_shards().next_token("nonsense").send().await;
    assert_eq!(code(bad), "InvalidArgumentException");
    scene.clock.advance(Duration::from_secs(301));
    let late = scene.client.list_shards().next_token(&token).send().await;
    assert!(late.unwrap_err().into_service_error().is_expired_next_token_exception());
    let other = scene.client.list_shards().stream_name("orders").stream_creation_timestamp(scene.timestamp(-60.0));
    assert_eq!(code(other.send().await), "ResourceNotFoundException");
}

async fn closed_shards_expire_with_their_records(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.clock.advance(Duration::from_hours(1));
    scene.split(0, 1 << 127).await;
    scene.clock.advance(Duration::from_hours(23));
    assert_eq!(scene.filtered(ShardFilterType::AtTrimHorizon).await, [0]);
    scene.clock.advance(Duration::from_hours(1));
    assert_eq!(scene.filtered(ShardFilterType::AtTrimHorizon).await, [1, 2]);
    let shards = scene.shards().await;
    assert_eq!(ids(&shards), [1, 2]);
    assert_eq!(parents(&shards[0]), (Some(&*id(0)), None), "a child goes on naming a parent that is gone");
    let iterator = scene.client.get_shard_iterator().stream_name("orders").shard_id(id(0));
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    assert_eq!(code(iterator), "ResourceNotFoundException");
}
