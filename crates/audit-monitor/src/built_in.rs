//! The rules that ship with the product: the patterns of the replaced systems, with their thresholds and windows.
//!
//! Where a replaced system counted over all tenants, these count within an organisation, as every group does.

/// Name and text of a file in `rules/`.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../rules/", $name)))
    };
}

/// Names and texts.
pub(crate) const FILES: [(&str, &str); 10] = [
    file!("bulk-operation.yml"),
    file!("data-export.yml"),
    file!("data-velocity.yml"),
    file!("failed-authentication.yml"),
    file!("off-hours.yml"),
    file!("privilege-change.yml"),
    file!("proof-mismatch.yml"),
    file!("rapid-failed-logins.yml"),
    file!("unauthorized-access.yml"),
    file!("unusual-volume.yml"),
];

/// Names and texts of the rules that ship with the product, to be loaded with others.
pub fn built_in_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.into_iter()
}
