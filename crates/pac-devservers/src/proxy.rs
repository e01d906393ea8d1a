//! A network of one's own between a client and a server, to be cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// How often a thread that waits looks whether things have changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Passage {
    /// They pass.
    Open = 0,
    /// They are kept, in both directions, and pass later; connections stay. A network that is down.
    Held = 1,
    /// Connections are closed, and new ones are closed at once. A server that is away.
    Closed = 2,
}

/// A listener on loopback that passes everything on to another port.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    passage: AtomicU8,
    /// How many answers to cut: what the client sent passes, and when the server answers, both are closed.
    answers_to_cut: AtomicU32,
    /// How long what passes takes, in each direction; milliseconds.
    delay: AtomicU32,
    cut: AtomicU32,
    /// How many connections there have been, and how many of them are swallowed.
    begun: AtomicU32,
    swallowed: AtomicU32,
    over: AtomicBool,
    /// Both sides of those that aren't over, each with its connection's number.
    connections: Mutex<Vec<(u32, TcpStream)>>,
}

// === impl Proxy ===

impl Proxy {
    /// In front of 127.0.0.1:`server`.
    ///
    /// # Errors
    ///
    /// If no port could be had.
    pub fn start(server: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            passage: AtomicU8::new(Passage::Open as u8),
            answers_to_cut: AtomicU32::new(0),
            delay: AtomicU32::new(0),
            cut: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            swallowed: AtomicU32::new(0),
            over: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, server, &accepting));
        Ok(Self { port, shared })
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub fn set(&self, passage: Passage) {
        self.shared.passage.store(passage as u8, Ordering::SeqCst);
        if passage == Passage::Closed {
            self.shared.close_all();
        }
    }

    /// Of the connections there are now nothing passes any more, in either direction, and none is closed; new ones pass. A
    /// server that is gone without a word, and another in its place.
    pub fn swallow_connections(&self) {
        self.shared.swallowed.store(self.shared.begun.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The next so many answers are cut off, after the server has done what it was asked.
    pub fn cut_answers(&self, count: u32) {
        self.shared.answers_to_cut.store(count, Ordering::SeqCst);
    }

    /// From now on what passes takes so much longer, in each direction, to the millisecond.
    pub fn slow_down(&self, delay: Duration) {
        self.shared.delay.store(u32::try_from(delay.as_millis()).unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    /// How many answers were cut off so far.
    pub fn answers_cut(&self) -> u32 {
        self.shared.cut.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.close_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

// === impl Shared ===

impl Shared {
    fn is(&self, passage: Passage) -> bool {
        self.passage.load(Ordering::SeqCst) == passage as u8
    }

    fn close_all(&self) {
        for (_, connection) in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that is closed already is what was wanted.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn keep(&self, number: u32, connection: &TcpStream) -> io::Result<()> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push((number, connection.try_clone()?));
        Ok(())
    }

    fn forget(&self, number: u32) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).retain(|(kept, _)| *kept != number);
    }

    fn takes_answer_to_cut(&self) -> bool {
        let taken = self.answers_to_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if taken.is_ok() {
            self.cut.fetch_add(1, Ordering::SeqCst);
        }
        taken.is_ok()
    }
}

fn accept(listener: &TcpListener, server: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.over.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(client) = client
            && !shared.is(Passage::Closed)
        {
            // A server that isn't there closes the connection, as it would without the proxy.
            let _ = connect(client, server, shared);
        }
    }
}

fn connect(client: TcpStream, server: u16, shared: &Arc<Shared>) -> io::Result<()> {
    let upstream = TcpStream::connect(("127.0.0.1", server))?;
    let number = shared.begun.fetch_add(1, Ordering::SeqCst);
    for side in [&client, &upstream] {
        side.set_nodelay(true)?;
        shared.keep(number, side)?;
    }
    let (from_client, to_server) = (client.try_clone()?, upstream.try_clone()?);
    let requests = Arc::clone(shared);
    thread::spawn(move || pass(from_client, to_server, &requests, number, false));
    let answers = Arc::clone(shared);
    thread::spawn(move || pass(upstream, client, &answers, number, true));
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, number: u32, answers: bool) {
    let is_swallowed = || number < shared.swallowed.load(Ordering::SeqCst);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        thread::sleep(Duration::from_millis(shared.delay.load(Ordering::SeqCst).into()));
        while shared.is(Passage::Held) {
            thread::sleep(LOOK_EVERY);
        }
        if is_swallowed() {
            continue;
        }
        if (answers && shared.takes_answer_to_cut()) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if is_swallowed() {
        return;
    }
    for side in [from, to] {
        let _ = side.shutdown(Shutdown::Both);
    }
    shared.forget(number);
}
