//! Worker threads: one single-threaded runtime each, sharing nothing on the hot path.
//!
//! A connection lives on one worker for its whole life, and with it everything it needs (pooled upstream connections
//! included), so no request crosses cores. Jobs are handed over per connection, never per request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::{env, io, thread};

use tokio::runtime;
use tokio::sync::mpsc;

/// Overrides the configured number of workers.
pub const WORKERS_VARIABLE: &str = "SIDEGATE_WORKERS";

type Job = Box<dyn FnOnce() + Send>;

/// The running workers. Dropping the last handle stops their runtimes, and with them every task still on them.
#[derive(Debug)]
pub struct Workers {
    workers: Box<[Worker]>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Counts as one job on its worker while it lives.
#[derive(Debug)]
pub struct Load(Arc<AtomicUsize>);

/// How many workers to start: `SIDEGATE_WORKERS`, else the setting, else one per core.
pub fn worker_count(setting: Option<usize>) -> usize {
    env::var(WORKERS_VARIABLE)
        .ok()
        .and_then(|text| text.parse().ok())
        .or(setting)
        .or_else(|| thread::available_parallelism().ok().map(Into::into))
        .unwrap_or(1)
        .clamp(1, 1024)
}

// === impl Workers ===

impl Workers {
    /// Starts `count` threads (at least one).
    ///
    /// # Errors
    /// When the operating system refuses a thread or an event queue.
    pub fn start(count: usize) -> io::Result<Self> {
        let workers = (0..count.max(1))
            .map(Worker::start)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            workers,
            next: AtomicUsize::new(0),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Runs `job` on the worker with the fewest jobs, in turn among equals. The job runs inside the worker's runtime and is
    /// expected to spawn; it must not block. Round robin alone would leave few long connections unbalanced.
    pub fn run(&self, job: impl FnOnce(Load) + Send + 'static) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.workers.len();
        let Some(worker) = (0..count)
            .map(|offset| &self.workers[(turn + offset) % count])
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed))
        else {
            return;
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        let load = Load(Arc::clone(&worker.load));
        if let Some(jobs) = &worker.jobs {
            // A send fails only when the worker's thread is gone; the job is dropped and its connection closed with it.
            let _ = jobs.send(Box::new(move || job(load)));
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.jobs = None;
        }
        let this = thread::current().id();
        for worker in &mut self.workers {
            if let Some(handle) = worker.thread.take() {
                // A worker that drops the last handle itself can't wait for itself.
                if handle.thread().id() != this {
                    let _ = handle.join();
                }
            }
        }
    }
}

// === impl Worker ===

impl Worker {
    fn start(index: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                runtime.block_on(async move {
                    while let Some(job) = queue.recv().await {
                        job();
                    }
                });
            })?;
        Ok(Self {
            jobs: Some(jobs),
            load: Arc::new(AtomicUsize::new(0)),
            thread: Some(thread),
        })
    }
}

// === impl Load ===

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_go_to_the_worker_with_the_fewest() {
        let workers = Workers::start(2).unwrap();
        let (tell, told) = channel();
        let mut loads = Vec::new();
        for _ in 0..4 {
            let tell = tell.clone();
            workers.run(move |load| tell.send((thread::current().id(), load)).unwrap());
            loads.push(told.recv().unwrap());
        }
        let first = loads[0].0;
        assert_eq!(loads.iter().filter(|(id, _)| *id == first).count(), 2);
        // Free the first worker: the next two jobs are both its own.
        loads.retain(|(id, _)| *id != first);
        for _ in 0..2 {
            let tell = tell.clone();
            workers.run(move |load| tell.send((thread::current().id(), load)).unwrap());
            let job = told.recv().unwrap();
            assert_eq!(job.0, first);
            loads.push(job);
        }
    }

    #[test]
    fn a_job_runs_inside_a_runtime() {
        let workers = Workers::start(1).unwrap();
        let (tell, told) = channel();
        workers.run(move |load| {
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                drop(load);
                tell.send(()).unwrap();
            });
        });
        told.recv().unwrap();
        assert_eq!(workers.count(), 1);
    }
}
