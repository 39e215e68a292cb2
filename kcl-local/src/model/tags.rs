//! Tags of streams and consumers.

use std::collections::BTreeMap;

use super::error::ServiceError;

/// Adds tags, or changes their values. `owner` says for messages whose they are.
///
/// # Errors
/// `InvalidArgumentException` if there would be more than 50.
pub(crate) fn add(
    tags: &mut BTreeMap<String, String>,
    more: BTreeMap<String, String>,
    owner: impl FnOnce() -> String,
) -> Result<(), ServiceError> {
    let count = tags.len() + more.keys().filter(|key| !tags.contains_key(*key)).count();
    if count > MAX_TAGS {
        return Err(ServiceError::invalid_argument(format!(
            "Failed to add tags to {}: it can have {MAX_TAGS}, and this would make {count}",
            owner()
        )));
    }
    tags.extend(more);
    Ok(())
}

/// Removes tags; unknown keys do not matter.
pub(crate) fn remove<'a>(tags: &mut BTreeMap<String, String>, keys: impl IntoIterator<Item = &'a str>) {
    for key in keys {
        tags.remove(key);
    }
}

const MAX_TAGS: usize = 50;
