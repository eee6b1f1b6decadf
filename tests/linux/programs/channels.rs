//! Rust's standard library: threads, channels, locks, panics, files and time.

use std::collections::HashMap;
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

fn main() {
    let (sender, receiver) = mpsc::channel();
    let workers: Vec<_> = (0..8u64)
        .map(|worker| {
            let sender = sender.clone();
            thread::spawn(move || {
                for number in 0..5000 {
                    sender.send(worker * number).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    println!("{}", receiver.iter().sum::<u64>());
    workers.into_iter().for_each(|worker| worker.join().unwrap());

    let (sender, receiver) = mpsc::sync_channel(2);
    let producer = thread::spawn(move || (0..1000).for_each(|number| sender.send(number).unwrap()));
    println!("{}", receiver.iter().map(|number: u32| number % 7).sum::<u32>());
    producer.join().unwrap();

    let shared = Arc::new((Mutex::new(0), Condvar::new(), Barrier::new(4), RwLock::new(HashMap::new())));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let shared = shared.clone();
            thread::spawn(move || {
                let (turn, changed, barrier, map) = &*shared;
                barrier.wait();
                for round in 0..100 {
                    let mut now = turn.lock().unwrap();
                    while *now % 4 != number {
                        now = changed.wait(now).unwrap();
                    }
                    *now += 1;
                    map.write().unwrap().insert((number, round), *now);
                    changed.notify_all();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let map = shared.3.read().unwrap();
    println!("{} {}", map.len(), map.values().sum::<i32>());

    let panicked = thread::spawn(|| panic!("on purpose")).join();
    println!("{:?}", panicked.unwrap_err().downcast_ref::<&str>());

    let begin = Instant::now();
    thread::sleep(Duration::from_millis(20));
    println!("{}", begin.elapsed() >= Duration::from_millis(20));
    let path = env::temp_dir().join("exo-channels");
    fs::write(&path, "written").unwrap();
    println!("{} {:?}", fs::read_to_string(&path).unwrap(), fs::remove_file(&path));
    println!("{:?}", fs::metadata("/nowhere").map(|_| ()).map_err(|error| error.kind()));
    std::process::exit(9);
}
