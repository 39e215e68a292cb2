//! Sets of streams and their changes.

use super::*;
use crate::types::{Checkpoint, LeaseKey, MultiStream, ShardId};

fn stream(text: &str) -> StreamId {
    text.parse().unwrap()
}

fn identity(text: &str) -> StreamIdentity {
    text.parse().unwrap()
}

/// Streams as `orders`, or `orders = 1:orders:7` where the identity is given.
fn set(text: &str) -> Vec<(StreamId, Option<StreamIdentity>)> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let parsed = entries.map(|entry| match entry.split_once(" = ") {
        Some((name, given)) => (stream(name), Some(identity(given))),
        None => (stream(entry), None),
    });
    parsed.collect()
}

fn many(text: &str) -> Many {
    let mut many = Many::default();
    many.replace(set(text)).unwrap();
    many
}

fn lease(of: Option<&str>) -> Lease {
    let shard = ShardId::new("shardId-000000000000").unwrap();
    let mut lease = Lease::unowned(LeaseKey::of_shard(of, &shard), Checkpoint::TrimHorizon, 1);
    lease.multi_stream = of.map(|of| Box::new(MultiStream::new(of, shard)));
    lease
}

fn standing(many: &Many, of: &str) -> String {
    let wanted = Wanted::Many(many.clone());
    match wanted.standing(&lease(Some(of))) {
        Standing::Wanted(stream) => format!("wanted {stream}"),
        Standing::Unsure(stream) => format!("unsure {stream}"),
        Standing::Former(stream) => format!("former {stream}"),
        Standing::Unwanted => "unwanted".to_owned(),
        Standing::Foreign => "foreign".to_owned(),
    }
}

fn seconds(created: i64) -> Option<Timestamp> {
    Some(Timestamp::from_seconds(created))
}

const ARN: &str = "arn:aws:kinesis:eu-west-1:222222222222:stream/orders";

#[test]
fn a_table_of_one_stream_and_one_of_several_do_not_mix() {
    let one = Wanted::One(stream("orders"));
    assert_eq!(one.standing(&lease(None)), Standing::Wanted(&stream("orders")));
    assert_eq!(one.standing(&lease(Some("1:orders:7"))), Standing::Foreign);
    assert_eq!(one.in_keys(&stream("orders")), Some(None));
    let several = Wanted::Many(many("orders"));
    assert_eq!(several.standing(&lease(None)), Standing::Foreign);
    assert_eq!(several.standing(&lease(Some("orders"))), Standing::Foreign);
}

#[test]
fn a_lease_is_wanted_once_the_identity_of_its_stream_is_known() {
    let mut many = many("orders, clicks");
    assert_eq!(standing(&many, "1:orders:7"), "unsure orders");
    assert_eq!(standing(&many, "1:payments:7"), "unwanted");
    assert_eq!(many.identified(&stream("orders"), Some("1"), seconds(7)), Ok(Identified::First));
    assert_eq!(many.identified(&stream("orders"), Some("1"), seconds(7)), Ok(Identified::Same));
    assert_eq!(standing(&many, "1:orders:7"), "wanted orders");
    assert_eq!(standing(&many, "1:orders:8"), "former orders");
    assert_eq!(standing(&many, "2:orders:7"), "unwanted", "another account's");
    assert_eq!(standing(&many, "1:clicks:7"), "unsure clicks");
    let wanted = Wanted::Many(many);
    assert_eq!(wanted.in_keys(&stream("orders")), Some(Some(&identity("1:orders:7"))));
    assert_eq!(wanted.in_keys(&stream("clicks")), None);
}

#[test]
fn a_stream_that_is_made_anew_leaves_its_leases_behind() {
    let mut many = many("orders");
    many.identified(&stream("orders"), Some("1"), seconds(7)).unwrap();
    let again = many.identified(&stream("orders"), Some("1"), seconds(9));
    assert_eq!(again, Ok(Identified::Recreated(identity("1:orders:7"))));
    assert_eq!(standing(&many, "1:orders:9"), "wanted orders");
    assert_eq!(standing(&many, "1:orders:7"), "former orders");
}

#[test]
fn what_is_missing_for_an_identity_is_said_and_takes_nothing_back() {
    let mut both = many(&format!("orders, {ARN}"));
    let orders = stream("orders");
    assert_eq!(both.identified(&orders, None, seconds(7)), Err(Missing::Account));
    assert_eq!(both.identified(&orders, Some("1"), None), Err(Missing::Created));
    assert!(matches!(both.identified(&orders, Some("me"), seconds(7)), Err(Missing::Invalid(_))));
    assert_eq!(both.identified(&orders, Some("222222222222"), seconds(7)), Ok(Identified::First));
    assert_eq!(both.identified(&orders, None, None), Ok(Identified::Same));
    let taken = both.identified(&stream(ARN), None, seconds(7));
    assert_eq!(taken, Err(Missing::Taken(orders)));
    let gone = both.identified(&stream("clicks"), Some("1"), seconds(7));
    assert_eq!(gone, Ok(Identified::Same), "it was removed while it was looked at");
}

#[test]
fn an_identity_that_is_given_counts_whatever_the_service_tells() {
    let mut many = many("clicks = 0:clicks:1");
    assert_eq!(standing(&many, "0:clicks:1"), "wanted clicks");
    assert_eq!(many.identified(&stream("clicks"), Some("1"), seconds(7)), Ok(Identified::Same));
    assert_eq!(standing(&many, "0:clicks:1"), "wanted clicks");
    many.replace(set("clicks")).unwrap();
    assert_eq!(standing(&many, "0:clicks:1"), "unsure clicks");
}

#[test]
fn streams_come_and_go_and_what_is_known_of_the_others_stays() {
    let mut many = many("a, b");
    many.identified(&stream("a"), Some("1"), seconds(7)).unwrap();
    many.identified(&stream("b"), Some("1"), seconds(7)).unwrap();
    let changes = many.replace(set("b, c")).unwrap();
    assert_eq!(changes, Changes { added: vec![stream("c")], removed: vec![stream("a")] });
    assert_eq!([standing(&many, "1:a:7"), standing(&many, "1:b:7")], ["unwanted", "wanted b"]);
    assert_eq!(many.replace(set("c, b")).unwrap(), Changes::default());
    many.replace(set("a, b, c")).unwrap();
    assert_eq!(standing(&many, "1:a:7"), "unsure a", "it may be another one by now");
}

#[test]
fn a_set_that_names_a_stream_twice_changes_nothing() {
    let mut known = many("a = 1:a:7");
    assert_eq!(known.replace(set("b, b")), Err(Twice("b".into())));
    assert_eq!(
        known.replace(set(&format!("orders = 1:orders:7, {ARN} = 1:orders:7"))),
        Err(Twice("1:orders:7".into()))
    );
    assert_eq!(standing(&known, "1:a:7"), "wanted a");
}
