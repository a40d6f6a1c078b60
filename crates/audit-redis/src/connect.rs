//! Pools of connections to one server, to whom the Sentinels name, or to a Cluster.

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::cluster_async::ClusterConnection;
use deadpool_redis::redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, RedisError, RedisResult,
    TlsCertificates, Value,
};
use deadpool_redis::sentinel::{SentinelNodeConnectionInfo, SentinelServerType, TlsMode};
use deadpool_redis::{Manager, PoolConfig, PoolError, Runtime, Timeouts, cluster, sentinel};

use crate::address::{Address, Kind, Tls};
use crate::broken::Broken;
use crate::settings::{LinkError, LinkSettings};

/// Connections that are made at a time, at most: one for each kind of call.
const CONNECTIONS_MAX: usize = 3;

pub(crate) enum Pools {
    Single(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

/// Says nothing of the address: its password is inside.
impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single",
            Self::Sentinel(_) => "Sentinel",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Pools {
    pub(crate) fn new(settings: &LinkSettings) -> Result<Self, LinkError> {
        let address = &settings.address;
        if address.is_tls() {
            choose_provider();
        }
        let certified = matches!(address.kind, Kind::Single(_));
        if address.tls.is_some() && !(certified && address.is_tls()) {
            let why = "certificates of one's own need a rediss:// address of one server; else trust them system-wide";
            return Err(LinkError::Tls(why.into()));
        }
        let config = PoolConfig {
            timeouts: Timeouts {
                wait: Some(settings.connect_timeout),
                create: Some(settings.connect_timeout),
                recycle: None,
            },
            ..PoolConfig::new(CONNECTIONS_MAX)
        };
        Self::build(address, settings, config)
    }

    fn build(
        address: &Address,
        settings: &LinkSettings,
        config: PoolConfig,
    ) -> Result<Self, LinkError> {
        let refused = |error: RedisError| LinkError::Address(error.to_string());
        let runtime = Runtime::Tokio1;
        let pools = match address.kind.clone() {
            Kind::Single(info) => {
                let info = with_certificates(info, address.tls.as_ref())?;
                // Answers are waited for by the link, which knows the whole call.
                let connecting = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(settings.connect_timeout))
                    .set_response_timeout(None);
                let manager = Manager::new_with_config(info, connecting).map_err(refused)?;
                let pool = deadpool_redis::Pool::builder(manager);
                pool.config(config)
                    .runtime(runtime)
                    .build()
                    .map(Self::Single)
            }
            Kind::Sentinel {
                sentinels,
                service,
                node,
            } => {
                let node = node_settings(&node, address.is_tls());
                let master = SentinelServerType::Master;
                let manager = sentinel::Manager::new(sentinels, service, Some(node), master)
                    .map_err(refused)?;
                let pool = sentinel::Pool::builder(manager);
                pool.config(config)
                    .runtime(runtime)
                    .build()
                    .map(Self::Sentinel)
            }
            Kind::Cluster(nodes) => {
                let manager = cluster::Manager::new(nodes, false).map_err(refused)?;
                let pool = cluster::Pool::builder(manager);
                pool.config(config)
                    .runtime(runtime)
                    .build()
                    .map(Self::Cluster)
            }
        };
        pools.map_err(|error| LinkError::Address(error.to_string()))
    }

    /// A new connection, which is the caller's own. It does not go back to the pool: one that failed may be to a server that is no longer
    /// the primary, and would answer the pool's question whether it lives.
    pub(crate) async fn connect(&self, settings: &LinkSettings) -> Result<Connection, Broken> {
        Ok(match self {
            Self::Single(pool) => {
                let pooled = pool.get().await.map_err(unreached)?;
                Connection::One(deadpool_redis::Connection::take(pooled))
            }
            Self::Sentinel(pool) => {
                let pooled = pool.get().await.map_err(unreached)?;
                let mut connection = sentinel::Connection::take(pooled);
                connection.set_response_timeout(settings.response_timeout);
                Connection::One(connection)
            }
            Self::Cluster(pool) => {
                let pooled = pool.get().await.map_err(unreached)?;
                Connection::Many(cluster::Connection::take(pooled))
            }
        })
    }
}

fn unreached(error: PoolError) -> Broken {
    Broken::NotSent(match error {
        PoolError::Backend(error) => error.to_string(),
        PoolError::Timeout(_) => "connecting took too long".into(),
        other => other.to_string(),
    })
}

/// A connection that any number of calls share: each is sent when it comes and answered in turn.
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Many(ClusterConnection),
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    pub(crate) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let value = match self {
            Self::One(shared) => shared.clone().req_packed_command(command).await,
            Self::Many(shared) => shared.clone().req_packed_command(command).await,
        };
        // What Redis refuses comes as a value.
        value?.extract_error()
    }

    /// To the server that has this key, where the command does not name one.
    pub(crate) async fn send_to(&self, key: &str, command: &Cmd) -> RedisResult<Value> {
        let Self::Many(shared) = self else {
            return self.send(command).await;
        };
        let route = Route::with_key(key, SlotAddr::Master);
        let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
        let value = shared.clone().route_command(command.clone(), routing).await;
        value?.extract_error()
    }
}

/// Redis' client takes the process's provider. When the program has chosen one already, that stays.
fn choose_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only when another thread was faster.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }
}

fn with_certificates(info: ConnectionInfo, tls: Option<&Tls>) -> Result<ConnectionInfo, LinkError> {
    let Some(tls) = tls else { return Ok(info) };
    let client_tls = tls.client.clone();
    let certificates = TlsCertificates {
        client_tls: client_tls.map(|(client_cert, client_key)| ClientTlsConfig {
            client_cert,
            client_key,
        }),
        root_cert: tls.authorities.clone(),
    };
    let client = Client::build_with_tls(info, certificates)
        .map_err(|error| LinkError::Tls(error.to_string()))?;
    Ok(client.get_connection_info().clone())
}

fn node_settings(node: &ConnectionInfo, tls: bool) -> SentinelNodeConnectionInfo {
    SentinelNodeConnectionInfo {
        tls_mode: tls.then_some(TlsMode::Secure),
        redis_connection_info: Some(node.redis_settings().clone().into()),
    }
}
