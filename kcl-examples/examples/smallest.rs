//! Prints every record of the stream `orders`. Start as many of these as you like: they share the shards.

use kcl_core::aws_config::{BehaviorVersion, load_defaults};
use kcl_core::{Record, Settings, Worker};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let aws = load_defaults(BehaviorVersion::v2026_01_12()).await;
    let settings = Settings::from_env().or(Settings::new("orders-app", "orders"));
    let worker = Worker::builder(settings)
        .aws(&aws)
        .handler(|record: Record| async move {
            println!("{}: {}", record.partition_key(), String::from_utf8_lossy(record.data()));
            Ok(())
        })
        .build()?;
    worker.run_until_signal().await?;
    Ok(())
}
