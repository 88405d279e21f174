//! The tasks gauges with tokio on one thread, tasks of a LocalSet. Usage: tasks GAUGE
//!
//! There is no unbuffered channel: tasks.rendezvous uses one of capacity 1. A timer is a
//! Sleep whose deadline is reset.
use std::future::Future;
use std::hint::black_box;
use std::time::Duration;
use tokio::sync::{mpsc, Mutex};
use tokio::task::{spawn_local, yield_now, JoinHandle, LocalSet};
use tokio::time::{sleep, sleep_until, timeout, Instant};

/// What measure.h does.
struct Measure {
    slices: Vec<f64>,
    last: f64,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, ts: *mut Timespec) -> i32;
}

fn cpu() -> f64 {
    let mut ts = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(2, &mut ts) }; // CLOCK_PROCESS_CPUTIME_ID
    ts.seconds as f64 * 1e9 + ts.nanoseconds as f64
}

impl Measure {
    fn new() -> Measure {
        Measure { slices: Vec::new(), last: cpu() }
    }

    fn slice(&mut self, operations: u64) {
        let now = cpu();
        self.slices.push((now - self.last) / operations as f64);
        self.last = now;
    }

    fn end(mut self) {
        self.slices.sort_by(f64::total_cmp);
        println!("{:.3}", self.slices[self.slices.len() / 4]);
    }
}

fn resident_kib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4.0
}

async fn join_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

async fn yields(tasks: u64) {
    const YIELDS: u64 = 100_000;
    let mut measure = Measure::new();
    for _ in 0..20 {
        let body = || async move {
            for _ in 0..YIELDS / tasks {
                yield_now().await;
            }
        };
        join_all((0..tasks).map(|_| spawn_local(body())).collect()).await;
        measure.slice(YIELDS);
    }
    measure.end();
}

async fn spawn_join() {
    let mut measure = Measure::new();
    for _ in 0..20 {
        for _ in 0..50 {
            join_all((0..1000).map(|_| spawn_local(async {})).collect()).await;
        }
        measure.slice(50_000);
    }
    measure.end();
}

async fn queue(capacity: usize) {
    const ITEMS: u64 = 50_000;
    let (sender, mut receiver) = mpsc::channel::<u64>(capacity);
    let mut measure = Measure::new();
    for _ in 0..20 {
        let sender = sender.clone();
        let putter = spawn_local(async move {
            for i in 0..ITEMS {
                sender.send(i).await.unwrap();
            }
        });
        for _ in 0..ITEMS {
            black_box(receiver.recv().await.unwrap());
        }
        putter.await.unwrap();
        measure.slice(ITEMS);
    }
    measure.end();
}

async fn mutex() {
    const LOCKS: u64 = 40_000;
    let mutex: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
    let mut measure = Measure::new();
    for _ in 0..20 {
        let body = || async move {
            for _ in 0..LOCKS / 4 {
                let _guard = mutex.lock().await;
                yield_now().await;
            }
        };
        join_all((0..4).map(|_| spawn_local(body())).collect()).await;
        measure.slice(LOCKS);
    }
    measure.end();
}

async fn timer100k() {
    const TIMERS: usize = 100_000;
    let start = Instant::now();
    let mut state: u64 = 88172645463325252;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let deadline = |r: u64| start + Duration::from_nanos(10_000_000_000 + r % 60_000_000_000);
    let mut timers = Vec::new();
    for _ in 0..TIMERS {
        let mut timer = Box::pin(sleep_until(deadline(random())));
        // A timer is registered when it is polled for the first time.
        std::future::poll_fn(|context| {
            let _ = timer.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        timers.push(timer);
    }
    let mut measure = Measure::new();
    for _ in 0..20 {
        for _ in 0..50_000 {
            let i = random() as usize % TIMERS;
            timers[i].as_mut().reset(deadline(random()));
        }
        measure.slice(50_000);
    }
    measure.end();
}

async fn scope() {
    let mut measure = Measure::new();
    for _ in 0..20 {
        for _ in 0..50_000 {
            timeout(Duration::from_secs(10), async { black_box(0) }).await.unwrap();
        }
        measure.slice(50_000);
    }
    measure.end();
}

async fn sleep1m() {
    const TASKS: u64 = 1_000_000;
    let before = resident_kib();
    for _ in 0..TASKS {
        spawn_local(sleep(Duration::from_secs(3600)));
    }
    // Tasks run in the order of their spawning.
    spawn_local(async {}).await.unwrap();
    println!("{:.3}", (resident_kib() - before) / TASKS as f64);
    std::process::exit(0);
}

async fn gauge(name: &str) {
    match name {
        "yield" => yields(2).await,
        "yield1000" => yields(1000).await,
        "spawn_join" => spawn_join().await,
        "rendezvous" => queue(1).await,
        "queue64" => queue(64).await,
        "mutex" => mutex().await,
        "timer100k" => timer100k().await,
        "scope" => scope().await,
        "sleep1m" => sleep1m().await,
        _ => std::process::exit(2),
    }
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    LocalSet::new().block_on(&runtime, gauge(&name));
}
