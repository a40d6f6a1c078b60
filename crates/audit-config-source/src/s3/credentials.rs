//! What a request is signed with.

use s3::creds::Credentials;
use s3::creds::error::CredentialsError;

use crate::error::SourceError;
use crate::settings::{self, S3Settings};

/// The credentials that were handed in, else the role of the instance that this runs on.
pub(crate) enum CredentialSource {
    Given(settings::Credentials),
    Instance,
    /// The instance is not to be asked.
    Nobody,
}

impl CredentialSource {
    pub(crate) fn new(settings: &S3Settings) -> Self {
        match &settings.credentials {
            Some(given) => Self::Given(given.clone()),
            None if settings.no_instance_metadata => Self::Nobody,
            None => Self::Instance,
        }
    }

    /// Those of now: an instance's change every few hours, so it is asked each time, which costs three requests to a neighbour.
    pub(crate) async fn get(&self) -> Result<Credentials, SourceError> {
        let none = |reason: String| SourceError::NoCredentials { reason };
        match self {
            Self::Given(given) => of(given).map_err(|error| none(error.to_string())),
            Self::Nobody => Err(none("the instance is not to be asked".to_owned())),
            Self::Instance => {
                let asking = || Credentials::from_instance_metadata_v2(false);
                let asked = tokio::task::spawn_blocking(asking).await;
                let mut found = asked
                    .map_err(|error| none(error.to_string()))?
                    .map_err(|error| none(format!("the instance gives none: {error}")))?;
                // They are asked for again here; the bucket would do that on the thread of its request.
                found.expiration = None;
                Ok(found)
            }
        }
    }
}

fn of(given: &settings::Credentials) -> Result<Credentials, CredentialsError> {
    let (id, secret) = (&given.access_key_id, &given.secret_access_key);
    let token = given.session_token.as_ref().map(|token| token.as_str());
    Credentials::new(Some(id), Some(secret), None, token, None)
}
