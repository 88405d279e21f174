// The gauges of streams with tokio's TcpStream, one thread. Usage: streams GAUGE PORT
use std::cell::RefCell;
use std::fs::read_to_string;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{spawn_local, LocalSet};

const TOTAL: usize = 1 << 30;
const SLICE: usize = 32 << 20;
const PIECE: usize = 256 * 1024;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, ret: *mut Timespec) -> i32;
}

fn cpu() -> Duration {
    let mut t = Timespec { seconds: 0, nanoseconds: 0 };
    unsafe { clock_gettime(2, &mut t) };
    Duration::new(t.seconds as u64, t.nanoseconds as u32)
}

struct Measure {
    slices: Vec<f64>,
    last: Duration,
}

impl Measure {
    fn new() -> Self {
        Measure { slices: Vec::new(), last: cpu() }
    }

    fn slice(&mut self, operations: f64) {
        let now = cpu();
        self.slices.push((now - self.last).as_nanos() as f64 / operations);
        self.last = now;
    }

    fn end(&mut self) {
        self.slices.sort_by(|a, b| a.partial_cmp(b).unwrap());
        println!("{:.3}", self.slices[self.slices.len() / 4]);
    }
}

async fn connect(port: &str) -> TcpStream {
    let stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn send(port: &str) {
    let (mut stream, piece) = (connect(port).await, vec![0; PIECE]);
    let mut measure = Measure::new();
    for _ in 0..TOTAL / SLICE {
        for _ in 0..SLICE / PIECE {
            stream.write_all(&piece).await.unwrap();
        }
        measure.slice((SLICE / 1024) as f64);
    }
    measure.end();
}

async fn download(port: &str) {
    let (mut stream, mut buffer) = (connect(port).await, vec![0; PIECE]);
    let (mut measure, mut in_slice) = (Measure::new(), 0);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            break;
        }
        in_slice += n;
        if in_slice >= SLICE {
            measure.slice(in_slice as f64 / 1024.0);
            in_slice = 0;
        }
    }
    measure.end();
}

async fn round_trip(stream: &mut TcpStream) {
    let mut message = [0; 100];
    stream.write_all(&message).await.unwrap();
    stream.read_exact(&mut message).await.unwrap();
}

async fn pingpong(port: &str) {
    const ROUND_TRIPS: usize = 2000;
    let state = Rc::new(RefCell::new((Measure::new(), 0)));
    let mut tasks = Vec::new();
    for _ in 0..32 {
        let (mut stream, state) = (connect(port).await, state.clone());
        tasks.push(spawn_local(async move {
            while state.borrow().1 < 30 * ROUND_TRIPS {
                round_trip(&mut stream).await;
                let (measure, total) = &mut *state.borrow_mut();
                *total += 1;
                if *total % ROUND_TRIPS == 0 {
                    measure.slice(ROUND_TRIPS as f64);
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    state.borrow_mut().0.end();
}

fn resident() -> f64 {
    let statm = read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

async fn idle(port: &str) {
    const COUNT: usize = 10_000;
    let mut streams = vec![connect(port).await];
    round_trip(&mut streams[0]).await;
    let before = resident();
    for _ in 0..COUNT {
        let mut stream = connect(port).await;
        round_trip(&mut stream).await;
        streams.push(stream);
    }
    println!("{:.3}", (resident() - before) / COUNT as f64);
    std::process::exit(0);
}

async fn gauge(name: &str, port: &str) {
    match name {
        "send" => send(port).await,
        "download" => download(port).await,
        "pingpong32" => pingpong(port).await,
        "idle" => idle(port).await,
        _ => std::process::exit(2),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    LocalSet::new().block_on(&runtime, gauge(&arguments[1], &arguments[2]));
}
