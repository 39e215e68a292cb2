//! A connection on which a call had no answer in time takes no further calls.
//!
//! The SDK puts all calls to an endpoint on one HTTP/2 connection. If that one falls silent, as when a middlebox forgets it,
//! every call times out, and the next one goes the same way: nothing tells the SDK's pool, until the kernel gives the
//! connection up, a quarter of an hour later, or never if somebody acknowledges what is sent. What the SDK marks for closure by
//! itself are connections of calls that were answered.

use aws_sdk_kinesis::config::interceptors::FinalizerInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;

/// Leaves silent connections behind, where the SDK itself measures the time. Set up once for a client.
#[derive(Debug)]
pub(super) struct LeaveSilent;

#[dyn_dispatch_hint]
impl Intercept for LeaveSilent {
    fn name(&self) -> &'static str {
        "LeaveSilent"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let silent =
            context.output_or_error().is_some_and(|outcome| outcome.is_err_and(|error| error.is_timeout_error()));
        if silent && let Some(connection) = config.load::<CaptureSmithyConnection>() {
            leave(connection);
        }
        Ok(())
    }
}

/// No further calls are made on this connection.
pub(super) fn leave(connection: &CaptureSmithyConnection) {
    if let Some(connection) = connection.get() {
        tracing::debug!("a call had no answer in time; its connection takes no further ones");
        connection.poison();
    }
}
