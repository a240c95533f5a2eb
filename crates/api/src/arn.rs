//! The ARNs of Step Functions: reading, writing, and the exact texts of `InvalidArn`.

/// The partition of a region.
#[must_use]
pub fn partition_of(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
