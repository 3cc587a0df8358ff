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
    prefix: Path,
}

impl Bucket {
    pub(super) fn open(url: &str, options: &[(String, String)]) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| error.to_string())?;
        let requests = Requests::new().map_err(|error| error.to_string())?;
        // The writer tries again by itself.
        let retry = RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
        let store = match scheme {
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
        };
        Ok(Self { store: store.map_err(|error| error.to_string())?, prefix })
    }

    pub(super) fn memory() -> Self {
        Self { store: Arc::new(InMemory::new()), prefix: Path::default() }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(name.split('/').map(PathPart::from)).collect()
    }

    pub(super) async fn write(&self, snapshots: &[&Snapshot]) -> Vec<Result<(), String>> {
        let mut done = Vec::with_capacity(snapshots.len());
        // Where a whole row of them fails, so would the rest, and each takes its time.
        for some in snapshots.chunks(THREADS) {
            let put = stream::iter(some.iter().map(|snapshot| self.put(snapshot))).buffered(THREADS);
            let outcomes: Vec<_> = put.collect().await;
            let failed = outcomes.iter().all(Result::is_err);
            let why = outcomes.last().and_then(|outcome| outcome.clone().err()).unwrap_or_default();
            done.extend(outcomes);
            if failed {
                done.resize(snapshots.len(), Err(why));
                break;
            }
        }
        done
    }

    async fn put(&self, snapshot: &Snapshot) -> Result<(), String> {
        let attributes = Attributes::from_iter([(Attribute::ContentType, "image/jpeg")]);
        let options = PutOptions { attributes, ..PutOptions::default() };
        let put = self.store.put_opts(&self.path(&snapshot.name), snapshot.jpeg.clone().into(), options).await;
        put.map(drop).map_err(|error| error.to_string())
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, String> {
        let read = async { self.store.get(&self.path(name)).await?.bytes().await };
        match read.await {
            Ok(jpeg) => Ok(Some(jpeg)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) async fn remove(&self, names: &[String]) -> Result<(), String> {
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let mut removed = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(outcome) = removed.next().await {
            match outcome {
                Err(error) if !matches!(error, Error::NotFound { .. }) => return Err(error.to_string()),
                _ => {}
            }
        }
        Ok(())
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

fn arc(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}
