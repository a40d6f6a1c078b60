//! A server that speaks S3: signatures are checked, objects are files of a temporary directory.
//!
//! The file system adapter keeps no versions. Where a bucket is to keep them, a layer over it gives each object that is put a version's id,
//! keeps the earlier ones under names of its own and answers with the one that is asked for, as S3 documents it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::{GetObjectInput, GetObjectOutput, PutObjectInput, PutObjectOutput};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The id of the only access key that the server knows.
pub const ACCESS_KEY_ID: &str = "AKIATESTKIT";
/// Its secret.
pub const SECRET_ACCESS_KEY: &str = "testkit-secret-access-key";

/// The server. Dropping it ends it and removes its objects.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    root: TempDir,
    versions: Option<Versions>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

/// The newest version's number of each object, by its path below the root.
type Versions = Arc<Mutex<HashMap<PathBuf, u64>>>;

impl S3Server {
    /// Starts one on a free port whose buckets keep no versions.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts one whose buckets keep the versions of what [`put`](Self::put) puts.
    #[must_use]
    pub fn start_with_versions() -> Self {
        Self::start_with(Some(Versions::default()))
    }

    fn start_with(versions: Option<Versions>) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let objects = Objects {
            files: FileSystem::new(root.path()).expect("a directory to serve"),
            versions: versions.clone(),
        };
        let mut service = S3ServiceBuilder::new(objects);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("the loopback address can be bound");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let service = service.build();
        let serving = Some(std::thread::spawn(move || {
            serve(listener, &service, stopped)
        }));
        Self {
            address,
            root,
            versions,
            stop: Some(stop),
            serving,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as an endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an object, and makes its bucket when it is absent; the version's id, where versions are kept.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) -> Option<String> {
        let name = PathBuf::from(bucket).join(key);
        let path = self.root.path().join(&name);
        let dir = path.parent().expect("an object is in a bucket");
        std::fs::create_dir_all(dir).expect("a bucket");
        std::fs::write(&path, content).expect("an object");
        let mut versions = locked(self.versions.as_ref()?);
        let number = versions.entry(name).or_default();
        *number += 1;
        let id = number.to_string();
        let earlier = self.root.path().join(bucket).join(kept_as(key, &id));
        std::fs::write(earlier, content).expect("a version");
        Some(id)
    }

    /// Removes an object.
    ///
    /// # Panics
    /// When there is none.
    pub fn remove(&self, bucket: &str, key: &str) {
        let path = self.root.path().join(bucket).join(key);
        std::fs::remove_file(path).expect("an object");
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // Dropping the sender says the same.
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            serving.join().ok();
        }
    }
}

fn serve(listener: std::net::TcpListener, service: &S3Service, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from_std(listener).expect("a socket");
        tokio::select! {
            () = accept(&listener, service) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, service: &S3Service) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let service = service.clone();
        connections.spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            let connection = server.serve_connection(TokioIo::new(socket), service);
            // A client that breaks off is what some tests are about.
            connection.await.ok();
        });
        // Those that ended are let go.
        while connections.try_join_next().is_some() {}
    }
}

/// The file system adapter, with versions where they are kept.
#[derive(Debug)]
struct Objects {
    files: FileSystem,
    versions: Option<Versions>,
}

#[async_trait]
impl S3 for Objects {
    async fn get_object(
        &self,
        mut request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let Some(versions) = &self.versions else {
            return self.files.get_object(request).await;
        };
        let input = &mut request.input;
        let name = PathBuf::from(&input.bucket).join(&input.key);
        let newest = locked(versions).get(&name).map(u64::to_string);
        let id = input.version_id.take().or(newest);
        if let Some(id) = &id {
            input.key = kept_as(&input.key, id);
        }
        let mut response = self.files.get_object(request).await?;
        response.output.version_id = id;
        Ok(response)
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.files.put_object(request).await
    }
}

/// The name of a version, beside the object.
fn kept_as(key: &str, id: &str) -> String {
    format!("{key}.version-{id}")
}

fn locked(versions: &Versions) -> MutexGuard<'_, HashMap<PathBuf, u64>> {
    versions.lock().unwrap_or_else(PoisonError::into_inner)
}
