//! The proxy for other protocols, in front of a server that gives back what it gets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloakroom_faults::{Fault, FaultProxy, Plan};

/// Address and all bytes that reached it.
fn echo() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let seen = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    seen.lock().unwrap().extend_from_slice(&buffer[..count]);
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

fn open(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.url()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// What comes back; nothing once the connection is closed.
fn ask(stream: &mut TcpStream, text: &str) -> String {
    let _ = stream.write_all(text.as_bytes());
    let mut answer = vec![0; text.len()];
    let mut length = 0;
    while length < answer.len() {
        match stream.read(&mut answer[length..]) {
            Ok(count @ 1..) => length += count,
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn bytes_pass_and_ends_are_passed_on() {
    let (address, _) = echo();
    let proxy = FaultProxy::tcp(&address, Plan::none());
    let mut stream = open(&proxy);
    assert_eq!(ask(&mut stream, "hello"), "hello");
    let large = "x".repeat(1_000_000);
    let mut back = stream.try_clone().unwrap();
    let read = std::thread::spawn(move || {
        let mut all = Vec::new();
        back.read_to_end(&mut all).unwrap();
        all.len()
    });
    stream.write_all(large.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read.join().unwrap(), large.len());
    assert_eq!(proxy.injected().total(), 0);
}

#[test]
fn what_was_asked_is_done_and_its_answer_lost() {
    let (address, seen) = echo();
    let proxy = FaultProxy::tcp(&format!("postgres://user@{address}/db"), Plan::none());
    assert!(proxy.url().starts_with("postgres://user@127.0.0.1:") && proxy.url().ends_with("/db"), "{}", proxy.url());
    let address = proxy.url().replace("postgres://user@", "").replace("/db", "");
    let mut stream = TcpStream::connect(address).unwrap();
    proxy.next(Fault::NoAnswer, "COMMIT");
    assert_eq!(ask(&mut stream, "BEGIN"), "BEGIN");
    assert_eq!(ask(&mut stream, "COMMIT"), "");
    assert_eq!(seen.lock().unwrap().as_slice(), b"BEGINCOMMIT");
    assert_eq!((proxy.injected().unanswered, proxy.waiting()), (1, 0));
}

#[test]
fn what_was_asked_is_not_done() {
    let (address, seen) = echo();
    let proxy = FaultProxy::tcp(&address, Plan::none());
    proxy.next(Fault::Drop, "COMMIT");
    let mut stream = open(&proxy);
    assert_eq!(ask(&mut stream, "BEGIN"), "BEGIN");
    assert_eq!(ask(&mut stream, "COMMIT"), "");
    assert_eq!(seen.lock().unwrap().as_slice(), b"BEGIN");
    proxy.next(Fault::Drop, "");
    assert_eq!(ask(&mut open(&proxy), "x"), "");
    assert_eq!(ask(&mut open(&proxy), "x"), "x");
    assert_eq!(proxy.injected().dropped, 2);
}

#[test]
fn connections_are_cut_after_so_many_bytes_the_same_for_the_same_seed() {
    let (address, _) = echo();
    let run = |seed| {
        let proxy = FaultProxy::tcp(&address, Plan::new(seed).cut(0.5).cut_after(10..2000));
        let lengths: Vec<usize> = (0..20)
            .map(|_| {
                let mut stream = open(&proxy);
                (0..25).map(|_| ask(&mut stream, &"y".repeat(100)).len()).sum()
            })
            .collect();
        assert_eq!(lengths.iter().filter(|length| **length < 2500).count() as u64, proxy.injected().cut, "{lengths:?}");
        // From now on all is quiet, also on connections that were to be cut.
        let mut stream = open(&proxy);
        proxy.off();
        assert_eq!((0..25).map(|_| ask(&mut stream, &"y".repeat(100)).len()).sum::<usize>(), 2500);
        lengths
    };
    let first = run(21);
    assert!(first.contains(&2500) && first.iter().any(|length| (10..2500).contains(length)), "{first:?}");
    assert_eq!(first, run(21));
    assert_ne!(first, run(22));
}

#[test]
fn pieces_wait_and_connections_close_on_demand() {
    let (address, _) = echo();
    let pause = Duration::from_millis(50)..Duration::from_millis(60);
    let proxy = FaultProxy::tcp(&address, Plan::new(1).delay(1.0, pause));
    let mut stream = open(&proxy);
    let began = Instant::now();
    assert_eq!(ask(&mut stream, "late"), "late");
    assert!(began.elapsed() >= Duration::from_millis(100) && proxy.injected().delayed == 2, "{}", proxy.describe());
    proxy.off();
    proxy.cut_now();
    assert_eq!(ask(&mut stream, "more"), "");
    assert_eq!(ask(&mut open(&proxy), "more"), "more");
}
