//! Alerts by e-mail.

use std::time::Duration;

use async_trait::async_trait;
use audit_event::Timestamp;
use audit_runtime::Secret;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransport, Error};
use lettre::{AsyncTransport as _, Message, Tokio1Executor};

use super::text;
use crate::handler::{AlertHandler, HandlerError};
use crate::http_client::Authorities;
use crate::notice::{Notice, NoticeKind};

/// Sends each notice as a message of its own, those of one alert in one thread. The message's id is made of the notice's key, by which
/// mail programs and most servers know one that comes twice.
#[derive(Clone)]
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email")
    }
}

/// Through which server, from whom, to whom.
#[derive(Debug, Clone)]
pub struct EmailSettings {
    /// Name of the server; its certificate is checked against it.
    pub host: String,
    /// Its port: 587 or 25 with STARTTLS, 465 with TLS from the start.
    pub port: u16,
    /// How the connection is secured.
    pub tls: SmtpTls,
    /// Whose certificates are trusted.
    pub authorities: Authorities,
    /// User and password, when the server asks for them.
    pub credentials: Option<(String, Secret)>,
    /// The sender: `alerts@example.com` or `Audit <alerts@example.com>`.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// How long the server has for everything: its connection, all its answers.
    pub timeout: Duration,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// `STARTTLS`, always: a server that does not offer it is not spoken to.
    StartTls,
    /// TLS from the start.
    Implicit,
    /// None. Not with credentials.
    Plain,
}

/// No mail could be sent with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmailProblem {
    /// No address.
    #[error("{0:?} is no mail address")]
    Address(String),
    /// Nobody to send to.
    #[error("there is no recipient")]
    NoRecipient,
    /// A password would go over the network as it is.
    #[error("credentials need TLS")]
    CredentialsInTheClear,
    /// No connection could be checked.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Email {
    /// Through that server. Connects to nothing yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &EmailSettings) -> Result<Self, EmailProblem> {
        let tls = tls(settings)?;
        let mailbox = |text: &String| -> Result<Mailbox, EmailProblem> {
            text.parse()
                .map_err(|_not_one| EmailProblem::Address(text.clone()))
        };
        let from = mailbox(&settings.from)?;
        let to = settings
            .to
            .iter()
            .map(mailbox)
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(EmailProblem::NoRecipient);
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(settings.timeout))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        if let Some((user, password)) = &settings.credentials {
            let password = password.expose().to_owned();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let transport = builder.build();
        Ok(Self {
            transport,
            from,
            to,
            timeout: settings.timeout,
        })
    }

    fn message(&self, notice: &Notice) -> Result<Message, lettre::error::Error> {
        let id = |key: &str| format!("<{key}@{}>", self.from.email.domain());
        let to: Mailboxes = self.to.iter().cloned().collect();
        let to = lettre::message::header::To::from(to);
        let mut message: MessageBuilder = Message::builder()
            .from(self.from.clone())
            .mailbox(to)
            .date(date(notice.at))
            .subject(text::headline(notice))
            .message_id(Some(id(&notice.key)))
            .header(ContentType::TEXT_PLAIN)
            // No vacation answers (RFC 3834).
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        if notice.kind != NoticeKind::Raised {
            let raised = id(&crate::notice::key(notice.alert.id, NoticeKind::Raised, 1));
            message = message.in_reply_to(raised.clone()).references(raised);
        }
        message.body(format!(
            "{}\n\n{}\n",
            text::headline(notice),
            text::description(notice)
        ))
    }
}

fn tls(settings: &EmailSettings) -> Result<Tls, EmailProblem> {
    if settings.tls == SmtpTls::Plain {
        return match settings.credentials {
            Some(_) => Err(EmailProblem::CredentialsInTheClear),
            None => Ok(Tls::None),
        };
    }
    let failed = |error: Error| EmailProblem::Tls(Box::new(error));
    let mut parameters = TlsParameters::builder(settings.host.clone());
    if let Authorities::Pem(pem) = &settings.authorities {
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(pem).map_err(failed)?);
    }
    let parameters = parameters.build_rustls().map_err(failed)?;
    Ok(match settings.tls {
        SmtpTls::Implicit => Tls::Wrapper(parameters),
        SmtpTls::StartTls | SmtpTls::Plain => Tls::Required(parameters),
    })
}

fn date(at: Timestamp) -> std::time::SystemTime {
    let since = Duration::from_micros(u64::try_from(at.micros()).unwrap_or_default());
    std::time::UNIX_EPOCH + since
}

#[async_trait]
impl AlertHandler for Email {
    async fn handle(&self, notice: &Notice) -> Result<(), HandlerError> {
        let message = self
            .message(notice)
            .map_err(|error| HandlerError::refused(format!("no message: {error}")))?;
        // The library bounds the connection only.
        let sent = tokio::time::timeout(self.timeout, self.transport.send(message)).await;
        let sent = sent.map_err(|_elapsed| HandlerError::later("the mail server took too long"))?;
        sent.map(|_response| ()).map_err(|error| judged(&error))
    }
}

/// A server's own words are not kept: they repeat addresses.
fn judged(error: &Error) -> HandlerError {
    match error.status().map(u16::from) {
        // What is wrong with the sender's name, password or right to send is put right some time.
        Some(code @ (530 | 534 | 535 | 538)) => {
            HandlerError::later(format!("the mail server wants other credentials ({code})"))
        }
        Some(code) if error.is_permanent() => {
            HandlerError::refused(format!("the mail server refused ({code})"))
        }
        Some(code) => HandlerError::later(format!("the mail server is busy ({code})")),
        None if error.is_timeout() => HandlerError::later("the mail server took too long"),
        None if error.is_tls() => HandlerError::later("no secure connection to the mail server"),
        None => HandlerError::later("no connection to the mail server"),
    }
}
