//! What an account has and may have.

use serde::{Deserialize, Serialize};

use super::wire::Handled;
use crate::kinesis::LocalKinesis;

#[derive(Deserialize)]
pub(super) struct NoMembers {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LimitsAnswer {
    shard_limit: u32,
    open_shard_count: u32,
    on_demand_stream_count: u32,
    on_demand_stream_count_limit: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SettingsAnswer {
    minimum_throughput_billing_commitment: Commitment,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Commitment {
    status: &'static str,
}

pub(super) fn describe_limits(kinesis: &LocalKinesis, _: NoMembers) -> Handled<LimitsAnswer> {
    Ok(LimitsAnswer {
        shard_limit: kinesis.settings().shard_limit,
        open_shard_count: kinesis.open_shard_count(),
        on_demand_stream_count: kinesis.on_demand_stream_count(),
        on_demand_stream_count_limit: kinesis.settings().on_demand_stream_limit,
    })
}

/// Nothing can change them here.
pub(super) fn describe_settings(_: &LocalKinesis, _: NoMembers) -> Handled<SettingsAnswer> {
    Ok(SettingsAnswer { minimum_throughput_billing_commitment: Commitment { status: "DISABLED" } })
}
