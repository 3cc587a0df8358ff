//! Owners of threads: every thread has a name, and whoever started it waits for its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Asks a worker to end.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<Stop>);

#[derive(Debug, Default)]
struct Stop {
    flag: AtomicBool,
    lock: Mutex<()>,
    set: Condvar,
}

impl StopFlag {
    /// True once the worker is to end.
    pub fn is_set(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    /// Waits this long, or until the worker is to end; says whether it is.
    pub fn wait_for(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut guard = self.0.lock.lock();
        while !self.is_set() && !self.0.set.wait_until(&mut guard, until).timed_out() {}
        self.is_set()
    }

    /// The flag itself, for code that knows atomics only.
    pub fn as_atomic(&self) -> &AtomicBool {
        &self.0.flag
    }

    /// Asks for the end; says whether nobody had before.
    pub fn set(&self) -> bool {
        let guard = self.0.lock.lock();
        let before = self.0.flag.swap(true, Ordering::Relaxed);
        drop(guard);
        self.0.set.notify_all();
        !before
    }
}

/// A named thread; dropping the owner asks it to end and waits until it has, but on the thread itself.
#[derive(Debug)]
pub struct Worker {
    stop: StopFlag,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Runs `work` on a thread of this name. A panic in it ends this thread alone and is logged.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, work: impl FnOnce(&StopFlag) + Send + 'static) -> std::io::Result<Self> {
        let stop = StopFlag::default();
        let flag = stop.clone();
        let label = name.to_owned();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            if catch_unwind(AssertUnwindSafe(|| work(&flag))).is_err() {
                tracing::error!(worker = label, "the worker panicked and ended");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// What asks for the end, also while somebody else has the worker to wait for it.
    pub fn flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Asks for the end without waiting for it; says whether nobody had before.
    pub fn stop(&self) -> bool {
        self.stop.set()
    }

    /// Waits for the thread's own end, without asking for it.
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // The last owner may go on the thread itself, which then ends by itself.
        let is_own = thread.thread().id() == std::thread::current().id();
        if !is_own && thread.join().is_err() {
            tracing::error!("a worker's thread could not be joined");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.set();
        self.wait();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A few threads that run short jobs in the order in which they are given, such as decoding pictures.
#[derive(Debug)]
pub struct WorkerPool {
    jobs: Option<SyncSender<Job>>,
    workers: Vec<Worker>,
}

impl WorkerPool {
    /// `threads` threads named `name-<n>`; as many as `waiting` more jobs may wait.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, threads: usize, waiting: usize) -> std::io::Result<Self> {
        let (jobs, next) = sync_channel::<Job>(waiting);
        let next = Arc::new(Mutex::new(next));
        let worker = |n| {
            let next: Arc<Mutex<Receiver<Job>>> = next.clone();
            Worker::start(&format!("{name}-{n}"), move |_stop| {
                loop {
                    // A statement of its own: the lock is not to be held while the job runs.
                    let job = next.lock().recv();
                    let Ok(job) = job else { break };
                    if catch_unwind(AssertUnwindSafe(job)).is_err() {
                        tracing::error!("a job panicked; its owner gets no answer");
                    }
                }
            })
        };
        let workers = (0..threads.max(1)).map(worker).collect::<Result<_, _>>()?;
        Ok(Self { jobs: Some(jobs), workers })
    }

    /// Gives a job to the next free thread; blocks while as many wait as may.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        // It fails only when all threads are gone, and these end after this sender.
        if self.jobs().send(Box::new(job)).is_err() {
            tracing::error!("a job was given to a pool without threads");
        }
    }

    /// Gives a job to the next free thread; never waits.
    ///
    /// # Errors
    /// When too many jobs wait already; the job is dropped then.
    pub fn offer(&self, job: impl FnOnce() + Send + 'static) -> Result<(), PoolError> {
        self.jobs().try_send(Box::new(job)).map_err(|_full| PoolError::Full)
    }

    /// Gives a job to the next free thread and waits for what it computes, without blocking.
    ///
    /// # Errors
    /// When too many jobs wait already, and when this one panicked.
    pub async fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        let (sender, receiver) = oneshot::channel();
        let job = move || {
            // Whoever asked may have gone in the meantime.
            if !sender.is_closed() {
                let _gone = sender.send(job());
            }
        };
        self.offer(job)?;
        receiver.await.map_err(|_panicked| PoolError::Panicked)
    }

    fn jobs(&self) -> &SyncSender<Job> {
        self.jobs.as_ref().expect("taken only by drop")
    }
}

/// Why a pool has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// As many jobs wait as may. Trying again later helps.
    #[error("too many pictures wait to be decoded or drawn")]
    Full,
    /// The job panicked.
    #[error("the worker failed on this picture in a way it should not")]
    Panicked,
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        // The threads end when no sender is left.
        self.jobs = None;
        self.workers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_pool_runs_every_job_before_it_is_gone() {
        let done = Arc::new(AtomicUsize::new(0));
        let pool = WorkerPool::start("test", 3, 3).expect("threads");
        for _ in 0..100 {
            let done = done.clone();
            pool.run(move || {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        drop(pool);
        assert_eq!(done.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_job_that_panics_takes_no_thread_along() {
        let pool = WorkerPool::start("test", 1, 1).expect("threads");
        pool.run(|| std::panic::resume_unwind(Box::new("on purpose")));
        let (sender, receiver) = sync_channel(1);
        pool.run(move || sender.send(7).expect("the test waits"));
        assert_eq!(receiver.recv(), Ok(7));
    }

    #[test]
    fn a_call_is_answered_refused_or_known_to_have_panicked() {
        fn wait<T>(future: impl Future<Output = T>) -> T {
            let mut future = std::pin::pin!(future);
            loop {
                if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    return answer;
                }
                std::thread::yield_now();
            }
        }
        let pool = WorkerPool::start("test", 1, 1).expect("threads");
        assert_eq!(wait(pool.call(|| 7)), Ok(7));
        let (enter, entered) = sync_channel::<()>(1);
        let (open, opened) = sync_channel::<()>(1);
        pool.run(move || {
            enter.send(()).expect("the test waits");
            let _gone = opened.recv();
        });
        entered.recv().expect("it runs");
        let mut panics = Box::pin(pool.call(|| std::panic::resume_unwind(Box::new("on purpose"))));
        assert!(panics.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(wait(pool.call(|| 8)), Err(PoolError::Full));
        open.send(()).expect("it waits");
        let outcome: Result<(), PoolError> = wait(panics);
        assert_eq!(outcome, Err(PoolError::Panicked));
    }

    #[test]
    fn a_pool_whose_last_owner_goes_on_its_own_thread_ends() {
        let pool = Arc::new(WorkerPool::start("test", 2, 1).expect("threads"));
        let owner = pool.clone();
        let (enter, entered) = sync_channel::<()>(1);
        let (told, tells) = sync_channel(1);
        pool.run(move || {
            entered.recv().expect("the test lets it go on");
            drop(owner);
            told.send(()).expect("the test waits");
        });
        drop(pool);
        enter.send(()).expect("it waits");
        tells.recv().expect("it went on after its owner was gone");
    }

    #[test]
    fn dropping_a_worker_stops_it() {
        let worker = Worker::start("test", |stop| {
            while !stop.is_set() {
                std::thread::yield_now();
            }
        });
        drop(worker.expect("a thread"));
    }
}
