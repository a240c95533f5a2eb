//! Tags of state machines and activities.

use std::sync::Arc;

use stepwright_api::{
    ApiError, RequestContext,
    arn::Arn,
    types::{
        ListTagsForResourceInput, ListTagsForResourceOutput, Tag as WireTag, TagResourceInput, TagResourceOutput,
        UntagResourceInput, UntagResourceOutput,
    },
};
use stepwright_engine::{Error, Tag};

use super::{Call, scope};
use crate::errors::{resource_not_found, to_api, validation};

/// Tags that a resource may carry.
const MAX_TAGS: usize = 50;

pub(super) async fn tag_resource(
    call: &Call<'_>,
    context: &RequestContext,
    input: TagResourceInput,
) -> Result<TagResourceOutput, ApiError> {
    check_resource(&input.resource_arn)?;
    let tags = checked(&input.resource_arn, input.tags)?;
    call.engine().tag_resource(&scope(context), &input.resource_arn, tags).await.map_err(to_api)?;
    Ok(TagResourceOutput::default())
}

pub(super) async fn untag_resource(
    call: &Call<'_>,
    context: &RequestContext,
    input: UntagResourceInput,
) -> Result<UntagResourceOutput, ApiError> {
    check_resource(&input.resource_arn)?;
    let keys = input.tag_keys.into_iter().map(Arc::from).collect();
    call.engine().untag_resource(&scope(context), &input.resource_arn, keys).await.map_err(to_api)?;
    Ok(UntagResourceOutput::default())
}

pub(super) async fn list_tags_for_resource(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, ApiError> {
    check_resource(&input.resource_arn)?;
    let tags = call.engine().list_tags(&scope(context), &input.resource_arn).await.map_err(to_api)?;
    let tags = tags
        .into_iter()
        .map(|tag| WireTag { key: Some(tag.key.to_string()), value: Some(tag.value.to_string()) })
        .collect();
    Ok(ListTagsForResourceOutput { tags: Some(tags) })
}

/// Only state machines and activities carry tags (recorded for versions).
fn check_resource(text: &str) -> Result<(), ApiError> {
    match Arn::parse(text)? {
        Arn::Activity(_) => Ok(()),
        Arn::StateMachine(arn) if arn.is_unqualified() => Ok(()),
        _ => Err(resource_not_found(text)),
    }
}

/// The tags of a request, each key once (the last wins), or what is wrong with them.
pub(super) fn checked(resource: &str, given: Vec<WireTag>) -> Result<Vec<Tag>, ApiError> {
    let mut tags: Vec<Tag> = Vec::with_capacity(given.len());
    for (index, tag) in given.into_iter().enumerate() {
        let number = index + 1;
        let value = tag.value.unwrap_or_default();
        let Some(key) = tag.key else {
            return Err(validation(format!(
                "1 validation error detected: Value null at 'tags.{number}.member.key' failed to satisfy constraint: \
                 Member must not be null"
            )));
        };
        if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
            return Err(validation(format!("The tag key '{key}' begins with aws:, which is reserved")));
        }
        for (what, text) in [("key", &key), ("value", &value)] {
            if let Some(wrong) = text.chars().find(|c| !is_tag_char(*c)) {
                return Err(validation(format!(
                    "The {what} of tag {number} has the character {wrong:?}: letters, digits, white space and \
                     _ . : / = + - @ are allowed"
                )));
            }
        }
        tags.retain(|known| *known.key != *key);
        tags.push(Tag { key: key.into(), value: value.into() });
    }
    if tags.len() > MAX_TAGS {
        return Err(to_api(Error::TooManyTags { arn: resource.into(), limit: MAX_TAGS }));
    }
    Ok(tags)
}

fn is_tag_char(c: char) -> bool {
    c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c)
}
