//! A panic in a model's worker: 500 for whoever had it, counted, and the next picture is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vigia_core::backend::InferError;
use vigia_testkit::{Script, finds};

use crate::pictures::good_jpeg;
use crate::support::{Setup, one_box, wait_until};

#[test]
fn a_panic_is_500_once_and_counted() {
    let panics = Arc::new(AtomicBool::new(true));
    let (find, panics_once) = (finds(one_box()), panics.clone());
    let script: Script = Arc::new(move |batch| {
        assert!(!panics_once.swap(false, Ordering::Relaxed), "the script panics, as it should");
        find(batch)
    });
    let server = Setup::new(script).start();
    let client = server.client();
    let post = || client.post("/predict/", "image/jpeg", &good_jpeg());
    for restarts in 1..=3 {
        panics.store(true, Ordering::Relaxed);
        let detail = post().problem(500, "worker-panicked");
        assert!(detail.contains("finder") && detail.contains("restarted"), "{detail}");
        assert_eq!(post().status, 200);
        // The worker counts before it takes the next picture.
        let model = &client.get("/v1/models").json()["models"][0];
        assert_eq!((model["restarts"].as_u64(), model["failed"].as_u64()), (Some(restarts), Some(restarts)), "{model}");
        assert_eq!(model["answered"].as_u64(), Some(restarts));
        let metrics = client.get("/metrics").text();
        assert!(metrics.contains(&format!("vigia_model_restarts_total{{model=\"finder\"}} {restarts}\n")), "{metrics}");
        let panicked = format!("vigia_model_requests_total{{model=\"finder\",outcome=\"panicked\"}} {restarts}\n");
        assert!(metrics.contains(&panicked), "{metrics}");
    }
}

#[test]
fn a_model_that_fails_says_so_and_goes_on() {
    let script: Script = Arc::new(|_batch| {
        Err(InferError::Failed { model: "finder".to_owned(), reason: "the device is on fire".to_owned() })
    });
    let server = Setup::new(script).start();
    for _ in 0..3 {
        let answer = server.client().post("/predict/", "image/jpeg", &good_jpeg());
        let detail = answer.problem(500, "inference-failed");
        assert!(detail.contains("finder") && detail.contains("on fire"), "{detail}");
    }
    wait_until("nothing is under way", || server.app.drain.under_way() == 0);
    assert_eq!(server.client().get("/v1/models").json()["models"][0]["restarts"], 0);
}
