//! A scripted stand-in for the Responses API: the model behind a real codex in the tests and in
//! the demo. `help.txt` describes its command line and the language of its scripts.

mod answer;
mod events;
mod http;
#[path = "../../src/json/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program's own JSON, of which this needs a part")]
mod json;
mod options;
mod record;
mod script;
mod turn;

use std::error::Error;
use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use answer::{Connection, Failures, Reply};
use http::Request;
use options::Options;
use record::Record;
use turn::Turn;

/// What a connection's thread may use of the stack: the deepest JSON takes a part of it even in a
/// debug build, and 64 of them are nothing.
const STACK: usize = 1 << 20;

/// How much is read of what follows on a refused request.
const MAX_UNREAD: u64 = 64 << 20;

/// What all connections share.
struct Server {
    /// The requests that were counted so far.
    requests: AtomicU64,
    /// Tells this server's ids from those that an earlier one left in a thread's history.
    nonce: String,
    /// Where requests are written down.
    record: Record,
    /// How often the steps with `xN` have failed.
    failures: Failures,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_args(std::env::args_os().skip(1))? else {
        return Ok(io::stdout().write_all(options::HELP.as_bytes())?);
    };
    let record = Record::new(options.log.as_deref(), options.dump)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
    let port = listener.local_addr()?.port();
    let server = Arc::new(Server {
        requests: AtomicU64::new(0),
        nonce: format!("{:x}", record::since_epoch().as_millis()),
        record,
        failures: Failures::default(),
    });

    let mut stdout = io::stdout();
    writeln!(stdout, "PORT={port}")?;
    stdout.flush()?;
    if let Some(file) = options.port_file {
        record::write_whole(&file, port.to_string().as_bytes())?;
    }

    if options.until_stdin_closes {
        thread::Builder::new().spawn(move || accept(&listener, &server))?;
        io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    } else {
        accept(&listener, &server);
    }
    Ok(())
}

/// Gives each connection a thread of its own, for ever.
fn accept(listener: &TcpListener, server: &Arc<Server>) {
    loop {
        let started = listener.accept().and_then(|(stream, _)| {
            let server = Arc::clone(server);
            let serve = move || {
                // an error here is a client that went away or talks no HTTP: nobody is left to tell
                let _ = server.serve(&stream);
            };
            thread::Builder::new().stack_size(STACK).spawn(serve)
        });
        if started.is_err() {
            // most likely out of descriptors or threads; what is running must free some first
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Server {
    /// Answers the requests of one connection until either side has enough.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let request = match http::read_request(&mut reader, stream) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(e) => return refuse(stream, &e),
            };
            let connection = self.reply(stream, &request)?;
            if connection == Connection::Close || !request.keep_alive {
                return Ok(());
            }
        }
    }

    /// Answers one request.
    fn reply(&self, stream: &TcpStream, request: &Request) -> io::Result<Connection> {
        let path = request.target.split('?').next().unwrap_or_default();
        if request.method != "POST" || !path.ends_with("/responses") {
            return answer::error(stream, 404, "invalid_request_error", "not here");
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if let Err(e) = self.record.body(number, &request.body) {
            return answer::error(stream, 500, "server_error", &format!("--dump: {e}"));
        }
        let body = match json::parse(&request.body) {
            Ok(body) => body,
            Err(e) => {
                let message = format!("the body is no JSON: {e}");
                return answer::error(stream, 400, "invalid_request_error", &message);
            }
        };
        let turn = Turn::new(&body);
        let thread = request.header("thread-id").or_else(|| request.header("session-id"));
        if let Err(e) = self.record.line(number, thread, &turn) {
            return answer::error(stream, 500, "server_error", &format!("--log: {e}"));
        }
        let id = format!("{}_{number:06}", self.nonce);
        Reply::new(stream, &id, &turn, thread, &self.failures).play()
    }
}

/// Tells the client what is wrong with a request that could not be read, where that is known.
fn refuse(stream: &TcpStream, error: &io::Error) -> io::Result<()> {
    let status = match error.kind() {
        io::ErrorKind::InvalidData => 400,
        io::ErrorKind::FileTooLarge => 413,
        _ => return Ok(()),
    };
    answer::error(stream, status, "invalid_request_error", &error.to_string())?;
    // the kernel throws the answer away if the connection is closed on bytes that nobody has read
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream.take(MAX_UNREAD), &mut io::sink())?;
    Ok(())
}
