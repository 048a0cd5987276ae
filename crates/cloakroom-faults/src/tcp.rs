//! The proxy for other protocols: bytes in both directions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::Shared;
use crate::plan::{Draw, Fault, Injected};

pub(crate) async fn serve(listener: TcpListener, upstream: String, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(connection(client, upstream.clone(), Arc::clone(&shared)));
    }
}

async fn connection(client: TcpStream, upstream: String, shared: Arc<Shared>) {
    let mut cut = shared.cut.subscribe();
    let mut decision = shared.decide_connection();
    let limit = match decision.fault {
        Some(Injected::Drop) => {
            shared.count(|counts| counts.dropped += 1);
            return;
        }
        Some(Injected::Cut | Injected::NoAnswer) => Some(shared.plan().cut_at(&mut decision.draw)),
        _ => None,
    };
    // A cut hits what the client sends, or what it gets.
    let up_is_cut = decision.draw.unit() < 0.5;
    let Ok(server) = TcpStream::connect(&upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let silent = Arc::new(AtomicBool::new(false));
    let pipe = |draw: &Draw, limited: bool, is_up: bool| Pipe {
        shared: Arc::clone(&shared),
        draw: draw.clone(),
        limit: limit.filter(|_| limited),
        asked_for: decision.asked_for,
        silent: Arc::clone(&silent),
        is_up,
    };
    let up = pipe(&decision.draw, up_is_cut, true);
    let _ = decision.draw.unit();
    let down = pipe(&decision.draw, !up_is_cut, false);
    // The first that is cut ends both; one that ends by itself lets the other finish.
    tokio::select! {
        _ = async { tokio::try_join!(up.run(from_client, to_server), down.run(from_server, to_client)) } => {}
        _ = cut.changed() => {}
    }
}

/// One direction of a connection.
struct Pipe {
    shared: Arc<Shared>,
    draw: Draw,
    /// After so many bytes the connection is closed.
    limit: Option<u64>,
    /// Also when the plan says nothing any more.
    asked_for: bool,
    /// Nothing more is passed on to the client.
    silent: Arc<AtomicBool>,
    is_up: bool,
}

/// The connection is to be closed.
struct Cut;

impl Pipe {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<(), Cut> {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            if count == 0 {
                let _ = to.shutdown().await;
                return Ok(());
            }
            let mut bytes = &buffer[..count];
            let plan = self.shared.plan();
            if let Some(pause) = plan.pause(&mut self.draw) {
                self.shared.count(|counts| counts.delayed += 1);
                tokio::time::sleep(pause).await;
            }
            if self.is_up {
                match self.shared.meant_by(bytes) {
                    Some(Fault::NoAnswer | Fault::Cut) => self.silent.store(true, Ordering::SeqCst),
                    Some(Fault::Delay(pause)) => {
                        self.shared.count(|counts| counts.delayed += 1);
                        tokio::time::sleep(pause).await;
                    }
                    Some(_) => {
                        self.shared.count(|counts| counts.dropped += 1);
                        return Err(Cut);
                    }
                    None => {}
                }
            } else if self.silent.load(Ordering::SeqCst) {
                self.shared.count(|counts| counts.unanswered += 1);
                return Err(Cut);
            }
            let mut over = false;
            if let Some(limit) = &mut self.limit {
                if plan.is_quiet() && !self.asked_for {
                    self.limit = None;
                } else {
                    over = *limit < bytes.len() as u64;
                    bytes = &bytes[..bytes.len().min(usize::try_from(*limit).unwrap_or(usize::MAX))];
                    *limit -= bytes.len() as u64;
                }
            }
            if to.write_all(bytes).await.is_err() {
                return Err(Cut);
            }
            if over {
                let _ = to.flush().await;
                self.shared.count(|counts| counts.cut += 1);
                return Err(Cut);
            }
        }
    }
}
