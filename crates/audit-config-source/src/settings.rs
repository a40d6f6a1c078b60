//! How a source is reached.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::check::parsed;
use crate::error::SettingError;

/// How long a source has, and how S3 is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// A whole fetch, with its signature, ends within this; default 10 s.
    pub timeout: Duration,
    /// Of `s3://` only.
    pub s3: S3Settings,
}

/// How S3 is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Settings {
    /// `http://` or `https://` and the host of a server that speaks S3; AWS itself when absent.
    pub endpoint: Option<String>,
    /// Default `us-east-1`, and `auto` where a replaced worker's variables name the endpoint, as that worker had it.
    pub region: Option<String>,
    /// `endpoint/bucket/key` instead of `bucket.endpoint/key`; default: with an endpoint of its own, or a dot in the bucket's name,
    /// which no certificate covers.
    pub path_style: Option<bool>,
    /// What to sign with; the instance is asked when absent.
    pub credentials: Option<Credentials>,
    /// The instance is not asked (`AWS_EC2_METADATA_DISABLED`).
    pub no_instance_metadata: bool,
}

/// Credentials of AWS. `Debug` shows none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: Zeroizing<String>,
    /// Of temporary credentials.
    pub session_token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            s3: S3Settings::default(),
        }
    }
}

impl SourceSettings {
    /// `CONFIG_TIMEOUT_MS` and the usual variables of AWS; where these are not set, the replaced worker's `S3_ENDPOINT` and
    /// `S3_REGION`.
    ///
    /// # Errors
    /// When one of them cannot be used; the error names it and does not repeat it.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let timeout = parsed(variable, "CONFIG_TIMEOUT_MS")?;
        Ok(Self {
            timeout: timeout.map_or(Self::default().timeout, |Millis(timeout)| timeout),
            s3: S3Settings::from_variables(variable)?,
        })
    }
}

impl S3Settings {
    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let set = |name: &str| variable(name).filter(|text| !text.is_empty());
        let first = |names: &[&'static str]| {
            let mut found = names.iter().map(|name| Some((*name, set(name)?)));
            found.find_map(|found| found)
        };
        let endpoint = first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT"]);
        let region = first(&["AWS_REGION", "AWS_DEFAULT_REGION", "S3_REGION"]);
        if let Some((name, endpoint)) = &endpoint {
            check_endpoint(endpoint).map_err(|error| error.of(name))?;
        }
        if let Some((name, region)) = &region {
            check_region(region).map_err(|error| error.of(name))?;
        }
        let of_replaced = matches!(endpoint, Some(("S3_ENDPOINT", _)));
        let region = region.map(|(_, region)| region);
        let no_metadata = parsed(variable, "AWS_EC2_METADATA_DISABLED")?;
        Ok(Self {
            endpoint: endpoint.map(|(_, endpoint)| endpoint),
            region: region.or_else(|| of_replaced.then(|| "auto".to_owned())),
            path_style: parsed(variable, "S3_FORCE_PATH_STYLE")?.map(|Flag(flag)| flag),
            credentials: credentials(&set)?,
            no_instance_metadata: no_metadata.is_some_and(|Flag(flag)| flag),
        })
    }
}

fn credentials(set: &dyn Fn(&str) -> Option<String>) -> Result<Option<Credentials>, SettingError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    match (set(ID), set(SECRET)) {
        (Some(access_key_id), Some(secret)) => Ok(Some(Credentials {
            access_key_id,
            secret_access_key: Zeroizing::new(secret),
            session_token: set("AWS_SESSION_TOKEN").map(Zeroizing::new),
        })),
        (None, None) => Ok(None),
        // Asking the instance instead would sign as somebody else than whoever set the one meant.
        (Some(_), None) => Err(SettingError::new(format!("is set without {SECRET}")).of(ID)),
        (None, Some(_)) => Err(SettingError::new(format!("is set without {ID}")).of(SECRET)),
    }
}

/// `http://host[:port][/path]` without credentials, query or fragment.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), SettingError> {
    let host = endpoint
        .strip_prefix("https://")
        .or_else(|| endpoint.strip_prefix("http://"));
    let plain = |host: &str| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "@?#".contains(c);
        !host.is_empty() && !host.starts_with('/') && !host.contains(odd)
    };
    if host.is_some_and(plain) {
        return Ok(());
    }
    let right = "must be `https://host` or `http://host`, without credentials";
    Err(SettingError::new(right))
}

pub(crate) fn check_region(region: &str) -> Result<(), SettingError> {
    let of_a_region = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !region.is_empty() && region.bytes().all(of_a_region) {
        return Ok(());
    }
    Err(SettingError::new("must have letters, digits and `-` only"))
}

struct Millis(Duration);

impl FromStr for Millis {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let millis = text.parse().ok().filter(|ms| (1..=600_000).contains(ms));
        millis
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| SettingError::new("must be a whole number from 1 to 600000"))
    }
}

/// `true` or `false`, as variables of AWS are written.
pub(crate) struct Flag(pub(crate) bool);

impl FromStr for Flag {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Self(true)),
            "false" | "0" => Ok(Self(false)),
            _ => Err(SettingError::new("must be `true` or `false`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<SourceSettings, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        SourceSettings::from_variables(&variable).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_of_aws_go_before_those_of_a_replaced_worker() {
        assert_eq!(read(&[]), Ok(SourceSettings::default()));
        let replaced = [("S3_ENDPOINT", "https://r2.example"), ("S3_REGION", "")];
        let settings = read(&replaced).expect("settings").s3;
        assert_eq!(settings.endpoint.as_deref(), Some("https://r2.example"));
        assert_eq!(settings.region.as_deref(), Some("auto"));
        let both = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_REGION", "eu-central-1"),
            ("S3_ENDPOINT", "https://r2.example"),
            ("S3_REGION", "auto"),
            ("AWS_ACCESS_KEY_ID", "id-canary"),
            ("AWS_SECRET_ACCESS_KEY", "secret-canary"),
            ("AWS_SESSION_TOKEN", "token-canary"),
            ("S3_FORCE_PATH_STYLE", "false"),
            ("CONFIG_TIMEOUT_MS", "250"),
        ];
        let settings = read(&both).expect("settings");
        assert_eq!(settings.timeout, Duration::from_millis(250));
        let s3 = &settings.s3;
        assert_eq!(s3.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(s3.region.as_deref(), Some("eu-central-1"));
        assert_eq!(s3.path_style, Some(false));
        let credentials = s3.credentials.as_ref().expect("credentials");
        assert_eq!(*credentials.secret_access_key, "secret-canary");
        assert!(!format!("{settings:?}").contains("canary"), "{settings:?}");
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        for (name, value, reason) in [
            (
                "AWS_ENDPOINT_URL",
                "https://u:hunter2@s3.example",
                "must be `https://host`",
            ),
            ("S3_ENDPOINT", "hunter2", "must be `https://host`"),
            ("AWS_REGION", "hunter2/..", "must have letters"),
            ("CONFIG_TIMEOUT_MS", "hunter2", "must be a whole number"),
            ("CONFIG_TIMEOUT_MS", "0", "must be a whole number"),
            (
                "S3_FORCE_PATH_STYLE",
                "hunter2",
                "must be `true` or `false`",
            ),
            (
                "AWS_ACCESS_KEY_ID",
                "hunter2",
                "is set without AWS_SECRET_ACCESS_KEY",
            ),
            (
                "AWS_SECRET_ACCESS_KEY",
                "hunter2",
                "is set without AWS_ACCESS_KEY_ID",
            ),
        ] {
            let error = read(&[(name, value)]).expect_err(name);
            assert!(error.starts_with(&format!("{name} {reason}")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
