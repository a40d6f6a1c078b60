//! Where a configuration is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::PlaceError;

/// Bytes of an S3 key at most, by S3's own rule.
const KEY_BYTES_MAX: usize = 1024;

/// Where a configuration is. Holds no credentials: an address with any is refused, and the refusal does not repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A file of this machine: `path` or `file:///path`.
    File(PathBuf),
    /// An object: `s3://bucket/key`.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key, without a slash at the start.
        key: String,
    },
}

impl Place {
    /// What `CONFIG_PATH` says, if it is set. With `S3_BUCKET` beside it, as a replaced worker had it, a text without a scheme
    /// that does not begin with `/` or `.` is a key of that bucket.
    ///
    /// # Errors
    /// When the variable names no place.
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, PlaceError> {
        let set = |name: &str| variable(name).filter(|text| !text.is_empty());
        let Some(text) = set("CONFIG_PATH") else {
            return Ok(None);
        };
        let is_path = text.contains("://") || text.starts_with(['/', '.']);
        match set("S3_BUCKET") {
            Some(bucket) if !is_path => object(&bucket, &text).map(Some),
            _ => text.parse().map(Some),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if text.is_empty() {
            return Err(PlaceError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::File(PathBuf::from(text)));
        };
        if scheme.eq_ignore_ascii_case("file") {
            file(rest)
        } else if scheme.eq_ignore_ascii_case("s3") {
            let (bucket, key) = rest.split_once('/').ok_or(PlaceError::Key)?;
            object(bucket, key)
        } else {
            // No more of it: what stands behind a scheme may hold a password.
            let scheme: String = scheme.chars().take(16).collect();
            Err(PlaceError::Scheme { scheme })
        }
    }
}

/// What stands behind `file://` (RFC 8089): an absolute path of this machine, percent-encoded.
fn file(rest: &str) -> Result<Place, PlaceError> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err(PlaceError::Host);
    }
    decoded(path)
        .map(|path| Place::File(PathBuf::from(path)))
        .ok_or(PlaceError::Percent)
}

fn decoded(path: &str) -> Option<String> {
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = (part.get(..2)?, part.get(2..)?);
        bytes.extend(hex::decode(digits).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|path| !path.contains('\0'))
}

fn object(bucket: &str, key: &str) -> Result<Place, PlaceError> {
    let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(of_a_name) {
        return Err(PlaceError::Bucket);
    }
    let key = key.trim_start_matches('/');
    // An address is tidied on its way, which would lead out of the bucket.
    let leads_out = key.split('/').any(|part| part == "." || part == "..");
    let length = 1..=KEY_BYTES_MAX;
    if !length.contains(&key.len()) || leads_out || key.chars().any(char::is_control) {
        return Err(PlaceError::Key);
    }
    Ok(Place::S3 {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let read = text.parse::<Place>().map(|place| format!("{place:?}"));
        let read = read.map_err(|error| error.to_string());
        assert_eq!(
            read.as_ref().map_err(String::as_str),
            expected.map(str::to_owned).as_ref().map_err(|error| *error),
            "{text}"
        );
    }

    #[test]
    fn a_place_is_a_path_a_file_or_an_object() {
        check("a/b.json", Ok(r#"File("a/b.json")"#));
        check("/etc/audit.toml", Ok(r#"File("/etc/audit.toml")"#));
        check("file:///etc/a%20b.toml", Ok(r#"File("/etc/a b.toml")"#));
        check("FILE://localhost/etc/a", Ok(r#"File("/etc/a")"#));
        check(
            "s3://settings/audit/worker.json",
            Ok(r#"S3 { bucket: "settings", key: "audit/worker.json" }"#),
        );
        check("", Err("no place is named"));
        check(
            "file://etc/audit.toml",
            Err("a `file://` names an absolute path of this machine (`file:///etc/audit.toml`)"),
        );
        check(
            "file:///a%2",
            Err("a `%` in a `file://` begins two hexadecimal digits"),
        );
        let key = Err(
            "an object is named as `s3://bucket/key`, with a key of 1 to 1024 bytes and without `..`",
        );
        check("s3://settings", key);
        check("s3://settings/", key);
        check("s3://settings//", key);
        check("s3://settings/../other/worker.json", key);
        check(
            "s3://user:hunter2@host/key",
            Err("the bucket's name may have letters, digits, `.`, `-` and `_`, and no credentials"),
        );
        check(
            "https://user:hunter2@host/key",
            Err("`https` is no scheme of a configuration: it is a path, `file://` or `s3://`"),
        );
    }

    #[test]
    fn a_bare_key_is_an_object_where_a_replaced_worker_named_its_bucket() {
        let place = |path: &str, bucket: Option<&str>| {
            let variable = |name: &str| match name {
                "CONFIG_PATH" => Some(path.to_owned()),
                "S3_BUCKET" => bucket.map(str::to_owned),
                _ => None,
            };
            let read = Place::from_variables(&variable).expect("a place");
            read.map(|place| place.to_string()).unwrap_or_default()
        };
        let bare = "default/audit-development.json";
        assert_eq!(place(bare, None), bare);
        assert_eq!(place(bare, Some("audit")), format!("s3://audit/{bare}"));
        for path in ["/etc/audit.json", "./audit.json", "s3://other/audit.json"] {
            assert_eq!(place(path, Some("audit")), path);
        }
        assert_eq!(place("", Some("audit")), "");
    }
}
