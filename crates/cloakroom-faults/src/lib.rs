//! A proxy between a program and a real server, for tests, that makes go wrong what goes wrong in the field: requests
//! and answers are lost, cut, late or doubled, services refuse, batches succeed by halves. What it does depends on a
//! seed, so that a failure can be run again. See [`FaultProxy`] for an example.
#![allow(clippy::expect_used, clippy::panic, reason = "for tests: what cannot be done must fail the test")]

mod http;
mod partial;
mod plan;
mod refusal;
mod tcp;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

pub use plan::{Fault, Plan, SEED_VARIABLE, seed};

use plan::Decision;

/// A proxy in front of one server. It runs on a thread of its own until it is dropped, so tests with and without a
/// runtime can use it.
///
/// When a test fails, it says on standard error which seed to run it with again.
///
/// ```no_run
/// use cloakroom_faults::{Fault, FaultProxy, Plan, seed};
///
/// let proxy = FaultProxy::http("http://127.0.0.1:9324", Plan::new(seed()).drop(0.02).cut(0.02).partial(0.1));
/// // … the program talks to proxy.url() …
/// proxy.next(Fault::Partial(1), "DeleteMessageBatch"); // and this one fault, exactly once
/// // …
/// proxy.off(); // the end of the run is quiet
/// assert!(proxy.injected().total() > 0, "{}", proxy.describe());
/// ```
pub struct FaultProxy {
    url: String,
    upstream: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// A proxy for an API over HTTP/1.1. `upstream` is the server's URL; a path in it is kept in [`url`](Self::url).
    ///
    /// Bodies are passed on as they come, whatever their size; only those that have to be changed or repeated are
    /// collected, up to 32 MiB. Host names in what the server answers are not rewritten.
    ///
    /// # Panics
    ///
    /// When there is no port to listen on.
    #[must_use]
    pub fn http(upstream: &str, plan: Plan) -> Self {
        Self::start(upstream, plan, |listener, upstream, shared| Box::pin(http::serve(listener, upstream, shared)))
    }

    /// A proxy for any other protocol: PostgreSQL. `upstream` is a URL or `host:port`.
    ///
    /// Of a plan, `drop` is the share of connections that are closed when they are opened, `cut` of those that are closed
    /// after a random number of bytes in either direction, `delay` the share of pieces of data that wait; the rest of
    /// a plan has no meaning here. The n-th decision is that of the n-th connection.
    ///
    /// A fault that a test asks for with [`next`](Self::next) is that of the next connection; or, when its target is not
    /// empty, it happens when a client sends a piece of data with that text in it: [`Fault::Drop`] closes the
    /// connection instead of passing it on, [`Fault::NoAnswer`] passes it on and closes when the server answers.
    ///
    /// # Panics
    ///
    /// When there is no port to listen on.
    #[must_use]
    pub fn tcp(upstream: &str, plan: Plan) -> Self {
        Self::start(upstream, plan, |listener, upstream, shared| Box::pin(tcp::serve(listener, upstream, shared)))
    }

    fn start<F>(upstream: &str, plan: Plan, serve: F) -> Self
    where
        F: FnOnce(tokio::net::TcpListener, String, Arc<Shared>) -> Serving + Send + 'static,
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on 127.0.0.1");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let here = listener.local_addr().expect("the address of a listener").to_string();
        let authority = authority(upstream);
        let url = upstream.replacen(authority, &here, 1);
        let shared = Arc::new(Shared::new(plan));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (server, state) = (authority.to_owned(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("faults".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener for tokio");
                    tokio::select! {
                        () = serve(listener, server, state) => {}
                        _ = stopped => {}
                    }
                });
            })
            .expect("a thread");
        Self { url, upstream: upstream.to_owned(), shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The address for the program: the upstream's, with the proxy's host and port.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes another plan, and counts decisions from the first again. What was injected stays counted.
    pub fn set(&self, plan: Plan) {
        let mut state = self.shared.state();
        (state.plan, state.decided) = (plan, 0);
    }

    /// From now on nothing goes wrong: no plan, and none of the faults that wait for their request.
    pub fn off(&self) {
        self.set(Plan::none());
        self.shared.state().next.clear();
    }

    /// Asks for one fault, at the next request that is meant: see [`Request::is`]. Of several that fit, the one that was
    /// asked for first. It happens whatever the plan says, and to requests that [`only`](Self::only) leaves alone.
    pub fn next(&self, fault: Fault, target: &str) {
        self.shared.state().next.push_back((fault, target.to_owned()));
    }

    /// How many of the faults that were asked for with [`next`](Self::next) have not happened yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.state().next.len()
    }

    /// The plan is for these requests only; others pass, and count for no decision.
    pub fn only(&self, filter: impl Fn(&Request) -> bool + Send + 'static) {
        self.shared.state().only = Some(Box::new(filter));
    }

    /// Closes all connections that are open now.
    pub fn cut_now(&self) {
        self.shared.cut.send_modify(|round| *round += 1);
    }

    /// What was injected so far.
    #[must_use]
    pub fn injected(&self) -> Counts {
        self.shared.state().counts.clone()
    }

    /// The plan and what was injected, in one line: for the message of a test that fails.
    #[must_use]
    pub fn describe(&self) -> String {
        let state = self.shared.state();
        format!(
            "faults before {}: {}; {}; run it again with {SEED_VARIABLE}={}",
            authority(&self.upstream),
            state.plan,
            state.counts,
            state.plan.seed
        )
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "the seed of a test that fails")]
            {
                eprintln!("{}", self.describe());
            }
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.describe())
    }
}

type Serving = std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// `host:port` of a URL, or the text itself.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let rest = &rest[..end];
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// What a filter or a target can look at.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The operation of Amazon's JSON protocols: what stands behind the point in `X-Amz-Target`. Of its CBOR protocol: the end of
    /// the path.
    pub operation: Option<String>,
    service: Option<String>,
    signed: bool,
}

impl Request {
    pub(crate) fn of_parts(method: &str, path: &str, target: Option<&str>, signed: bool) -> Self {
        let (service, operation) = target.and_then(|target| target.rsplit_once('.')).unzip();
        let operation = operation.or_else(|| cbor_operation(path));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            operation: operation.map(str::to_owned),
            service: service.map(str::to_owned),
            signed,
        }
    }

    /// Whether a target means this request: the target is its operation (`DeleteMessageBatch`), or a part of its path
    /// and query (`/_bulk`), or empty.
    #[must_use]
    pub fn is(&self, target: &str) -> bool {
        target.is_empty() || self.operation.as_deref() == Some(target) || self.path.contains(target)
    }

    fn api(&self) -> refusal::Api<'_> {
        match &self.service {
            Some(service) => refusal::Api::Json(service),
            None if self.signed && cbor_operation(&self.path).is_some() => refusal::Api::Cbor,
            None if self.signed => refusal::Api::S3,
            None => refusal::Api::Other,
        }
    }
}

/// The operation in a path of Smithy RPC v2 CBOR: `/service/SERVICE/operation/OPERATION`
/// (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>).
fn cbor_operation(path: &str) -> Option<&str> {
    let (service, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    (!service.contains('/') && !operation.contains('/')).then_some(operation)
}

/// How often what was injected. In front of other protocols than HTTP, connections stand in the place of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests, also those that nothing happened to.
    pub requests: u64,
    /// Not forwarded, connection closed.
    pub dropped: u64,
    /// Forwarded, answer cut off.
    pub cut: u64,
    /// Forwarded, no answer.
    pub unanswered: u64,
    /// Held back.
    pub delayed: u64,
    /// Forwarded twice.
    pub duplicated: u64,
    /// Not forwarded, answered with an error.
    pub refused: u64,
    /// Batches that failed partly.
    pub partial: u64,
    /// Entries that were left out of those.
    pub entries: u64,
}

impl Counts {
    /// All faults together; a delay is one.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.dropped + self.cut + self.unanswered + self.delayed + self.duplicated + self.refused + self.partial
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, dropped, cut, unanswered, delayed, duplicated, refused, partial, entries } = self;
        write!(
            formatter,
            "of {requests} requests: {dropped} dropped, {cut} cut, {unanswered} without an answer, {delayed} delayed, \
             {duplicated} doubled, {refused} refused, {partial} partly done ({entries} entries left out)"
        )
    }
}

// --- What the proxy's tasks share -------------------------------------------------------------------------------------

pub(crate) struct Shared {
    state: Mutex<State>,
    /// Moves when all connections are to be closed.
    pub(crate) cut: watch::Sender<u64>,
}

type Filter = Box<dyn Fn(&Request) -> bool + Send>;

struct State {
    plan: Plan,
    decided: u64,
    next: VecDeque<(Fault, String)>,
    only: Option<Filter>,
    counts: Counts,
}

impl Shared {
    fn new(plan: Plan) -> Self {
        let state = State { plan, decided: 0, next: VecDeque::new(), only: None, counts: Counts::default() };
        Self { state: Mutex::new(state), cut: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, one: impl FnOnce(&mut Counts)) {
        one(&mut self.state().counts);
    }

    pub(crate) fn plan(&self) -> Plan {
        self.state().plan.clone()
    }

    /// What happens to a request.
    pub(crate) fn decide(&self, request: &Request) -> Decision {
        let mut state = self.state();
        state.counts.requests += 1;
        if let Some(fault) = state.take(|target| request.is(target)) {
            return Decision::scripted(fault);
        }
        if state.plan.is_quiet() || state.only.as_ref().is_some_and(|only| !only(request)) {
            return Decision::nothing();
        }
        state.draw()
    }

    /// What happens to a connection.
    pub(crate) fn decide_connection(&self) -> Decision {
        let mut state = self.state();
        state.counts.requests += 1;
        match state.take(str::is_empty) {
            Some(fault) => Decision::scripted(fault),
            None => state.draw(),
        }
    }

    /// The fault that waits for a piece of data like this.
    pub(crate) fn meant_by(&self, bytes: &[u8]) -> Option<Fault> {
        let holds = |text: &str| !text.is_empty() && bytes.windows(text.len()).any(|part| part == text.as_bytes());
        self.state().take(holds)
    }
}

impl State {
    /// The first fault whose target is meant.
    fn take(&mut self, meant: impl Fn(&str) -> bool) -> Option<Fault> {
        let place = self.next.iter().position(|(_, target)| meant(target))?;
        self.next.remove(place).map(|(fault, _)| fault)
    }

    fn draw(&mut self) -> Decision {
        let n = self.decided;
        self.decided += 1;
        self.plan.decide(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_server_is_found_in_its_url() {
        for (url, expected) in [
            ("http://127.0.0.1:9324", "127.0.0.1:9324"),
            ("http://localhost:4566/000000000000/login-queue", "localhost:4566"),
            ("postgres://user:p@ss@127.0.0.1:5432/db?x=y", "127.0.0.1:5432"),
            ("127.0.0.1:5432", "127.0.0.1:5432"),
        ] {
            assert_eq!(authority(url), expected);
        }
    }
}
