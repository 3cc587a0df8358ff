//! Pictures in a bucket: S3 and what speaks its language, Google Cloud Storage, Azure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::memory::InMemory;
use object_store::path::{Path, PathPart};
use object_store::{Attribute, Attributes, Error, ObjectStore, ObjectStoreExt as _, PutOptions, RetryConfig};

use super::requests::{Requests, THREADS};
use super::{Found, Snapshot};

/// A bucket, and the beginning of the names in it.
#[derive(Debug)]
pub(in super::super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The same for reading single ones.
    reader: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Bucket {
    pub(super) fn open(url: &str, options: &[(String, String)]) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| error.to_string())?;
        // Those who look at pictures, and the one who writes them, do not wait for each other.
        let client = || connect(scheme, bucket, options).map_err(|error| error.to_string());
        Ok(Self { store: client()?, reader: client()?, prefix })
    }

    pub(super) fn memory() -> Self {
        let store = Arc::new(InMemory::new());
        Self { reader: store.clone(), store, prefix: Path::default() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(name.split('/').map(PathPart::from)).collect()
    }

    pub(super) async fn write(&self, snapshots: &[&Snapshot], done: &mut Vec<Result<(), String>>) {
        // Where a whole row of them fails, so would the rest, and each takes its time.
        for some in snapshots.chunks(THREADS) {
            let before = done.len();
            let mut put = stream::iter(some.iter().map(|snapshot| self.put(snapshot))).buffered(THREADS);
            while let Some(outcome) = put.next().await {
                done.push(outcome);
            }
            if let [Err(why), others @ ..] = &done[before..]
                && others.iter().all(Result::is_err)
            {
                let why = why.clone();
                done.resize(snapshots.len(), Err(why));
                break;
            }
        }
    }

    async fn put(&self, snapshot: &Snapshot) -> Result<(), String> {
        let attributes = Attributes::from_iter([(Attribute::ContentType, "image/jpeg")]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&self.path(&snapshot.name), snapshot.jpeg.clone().into(), options).await;
        put.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        let read = async { self.reader.get(&self.path(name)).await?.bytes().await };
        match read.await {
            Ok(jpeg) => Ok(Some(jpeg)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) async fn remove(&self, names: &[String]) -> Option<(u64, String)> {
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let mut removed = self.store.delete_stream(stream::iter(paths).boxed());
        let mut failed = None;
        while let Some(outcome) = removed.next().await {
            match outcome {
                Err(error) if !matches!(error, Error::NotFound { .. }) => {
                    failed = Some((failed.map_or(1, |(count, _)| count + 1), error.to_string()));
                }
                _ => {}
            }
        }
        failed
    }

    pub(super) async fn of_day(&self, day: &str, most: usize) -> Result<Vec<Found>, String> {
        let listed = self.store.list(Some(&self.path(day))).take(most);
        let found = listed.map_ok(|object| {
            let name = object.location.filename().unwrap_or_default();
            Found { name: format!("{day}/{name}"), modified: object.last_modified.into() }
        });
        found.try_collect().await.map_err(|error| error.to_string())
    }
}

fn connect(scheme: &str, bucket: &str, options: &[(String, String)]) -> object_store::Result<Arc<dyn ObjectStore>> {
    let requests = Requests::new().map_err(|error| Error::Generic { store: "bucket", source: error.into() })?;
    // The writer tries again by itself.
    let retry = RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
    match scheme {
        "s3" => {
            let mut builder = AmazonS3Builder::new();
            for (name, value) in options {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(requests).build().map(arc)
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (name, value) in options {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(requests).build().map(arc)
        }
        _ => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in options {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            builder.with_container_name(bucket).with_retry(retry).with_http_connector(requests).build().map(arc)
        }
    }
}

fn arc(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}
