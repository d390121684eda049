//! As much of HTTP/1.1 as a server needs that has one kind of client: requests in, heads out.

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// How many bytes a request's line and headers may take together.
const MAX_HEAD: u64 = 64 << 10;

/// How many bytes a request's body may have.
const MAX_BODY: u64 = 20 << 20;

/// A request, whole.
#[derive(Debug, Default)]
pub struct Request {
    /// `GET` or `POST`, for example.
    pub method: String,
    /// The path, and what follows it behind a question mark.
    pub target: String,
    /// The connection may be used again.
    pub keep_alive: bool,
    /// The headers as they came.
    headers: Vec<(String, String)>,
    /// The body, out of its chunks.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let same = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(same).map(|(_, value)| value.as_str())
    }

    /// A header that is a list of words has this word.
    fn header_has(&self, name: &str, word: &str) -> bool {
        let words = self.header(name).unwrap_or_default().split(',');
        words.into_iter().any(|w| w.trim().eq_ignore_ascii_case(word))
    }
}

/// Reads the next request; `None` if the client has closed the connection instead.
///
/// `InvalidData` is a request that makes no sense, `FileTooLarge` one with too long a body; after
/// any error the connection is of no more use. A client that waits to be asked for the body is
/// asked through `writer`.
pub fn read_request(
    reader: &mut impl BufRead,
    mut writer: impl Write,
) -> io::Result<Option<Request>> {
    let Some(mut request) = read_head(reader)? else { return Ok(None) };
    if request.header_has("expect", "100-continue") {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    request.body = if request.header_has("transfer-encoding", "chunked") {
        read_chunks(reader)?
    } else {
        let length = request.header("content-length").map_or(Ok(0), str::parse);
        let mut body = Vec::new();
        read_exactly(reader, length.map_err(|_| invalid("bad Content-Length"))?, &mut body)?;
        body
    };
    Ok(Some(request))
}

/// Reads the request line and the headers.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = reader.take(MAX_HEAD);
    if head.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let first = read_line(&mut head)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return Err(invalid("bad request line"));
    };
    let mut request =
        Request { method: method.into(), target: target.into(), ..Request::default() };
    loop {
        let line = read_line(&mut head)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("bad header"))?;
        request.headers.push((name.into(), value.trim().into()));
    }
    request.keep_alive = version == "HTTP/1.1" && !request.header_has("connection", "close");
    Ok(Some(request))
}

/// Reads a body that comes in chunks, and what may stand behind the last.
fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(&mut reader.take(MAX_HEAD))?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("bad chunk size"))?;
        if size == 0 {
            break;
        }
        read_exactly(reader, size, &mut body)?;
        if !read_line(&mut reader.take(MAX_HEAD))?.is_empty() {
            return Err(invalid("bad end of a chunk"));
        }
    }
    let mut trailer = reader.take(MAX_HEAD);
    while !read_line(&mut trailer)?.is_empty() {}
    Ok(body)
}

/// Appends the next `size` bytes to `body`, which may not grow too long by them.
fn read_exactly(reader: &mut impl BufRead, size: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let room = MAX_BODY.saturating_sub(u64::try_from(body.len()).unwrap_or(u64::MAX));
    if size > room {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "the body is too long"));
    }
    let read = reader.take(size).read_to_end(body)?;
    if u64::try_from(read) == Ok(size) { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Reads a line, without its end.
fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| invalid("a head that is not UTF-8"))
}

/// The error for what is no HTTP.
fn invalid(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// Writes a whole answer whose body is JSON.
pub fn write_json(
    mut writer: impl Write,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<()> {
    let mut answer = head(status, "application/json");
    for (name, value) in headers {
        answer.extend([name, ": ", value, "\r\n"]);
    }
    let length = body.len().to_string();
    answer.extend(["content-length: ", &length, "\r\n\r\n", body]);
    writer.write_all(answer.as_bytes())
}

/// Writes the head of an answer that is a stream of events, in chunks.
pub fn write_stream_head(mut writer: impl Write) -> io::Result<()> {
    let mut answer = head(200, "text/event-stream");
    answer.push_str("cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n");
    writer.write_all(answer.as_bytes())
}

/// Writes one chunk; an empty one ends the answer.
pub fn write_chunk(mut writer: impl Write, chunk: &str) -> io::Result<()> {
    writer.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes())
}

/// What every answer begins with.
fn head(status: u16, content_type: &str) -> String {
    // no client looks at the words behind the number, which may be left out
    format!("HTTP/1.1 {status} \r\ncontent-type: {content_type}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request at the start of `text`, and what was written to ask for its body.
    fn read(text: &str) -> (io::Result<Option<Request>>, String) {
        let mut written = Vec::new();
        let request = read_request(&mut text.as_bytes(), &mut written);
        (request, String::from_utf8(written).unwrap())
    }

    /// The body of a request that can be read.
    fn body(text: &str) -> String {
        String::from_utf8(read(text).0.unwrap().unwrap().body).unwrap()
    }

    #[test]
    fn requests_follow_each_other_on_a_connection() {
        let text = "POST /v1/responses?a=b HTTP/1.1\r\nContent-Length: 3\r\nA: b \r\n\r\nabc\
                    GET / HTTP/1.1\nconnection: Close\n\n";
        let mut reader = text.as_bytes();
        let first = read_request(&mut reader, io::sink()).unwrap().unwrap();
        assert_eq!((&*first.method, &*first.target), ("POST", "/v1/responses?a=b"));
        assert_eq!((&*first.body, first.header("a")), (&b"abc"[..], Some("b")));
        assert!(first.keep_alive);
        let second = read_request(&mut reader, io::sink()).unwrap().unwrap();
        assert_eq!((&*second.method, second.body.len()), ("GET", 0));
        assert!(!second.keep_alive);
        assert!(read_request(&mut reader, io::sink()).unwrap().is_none());
    }

    #[test]
    fn a_body_may_come_in_chunks_and_may_have_to_be_asked_for() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
        assert_eq!(
            body(&format!("{head}\r\n2;x=y\r\nab\r\n0A\r\n0123456789\r\n0\r\n\r\n")).len(),
            12
        );
        assert_eq!(body(&format!("{head}\r\n0\r\nTrailer: x\r\n\r\n")), "");
        let (request, written) = read(&format!("{head}Expect: 100-continue\r\n\r\n0\r\n\r\n"));
        assert!(request.is_ok());
        assert_eq!(written, "HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(70_000));
        for (text, kind) in [
            ("hello\r\n\r\n", ErrorKind::InvalidData),
            ("GET / HTTP/1.1\r\nno header\r\n\r\n", ErrorKind::InvalidData),
            ("GET / HTTP/1.1\r\n", ErrorKind::UnexpectedEof),
            (&long, ErrorKind::UnexpectedEof),
            ("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", ErrorKind::InvalidData),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", ErrorKind::UnexpectedEof),
            ("POST / HTTP/1.1\r\nContent-Length: 20971521\r\n\r\n", ErrorKind::FileTooLarge),
            (&format!("{chunked}1\r\nab\r\n"), ErrorKind::InvalidData),
            (&format!("{chunked}x\r\n"), ErrorKind::InvalidData),
            (&format!("{chunked}ffffffffffffffff\r\n"), ErrorKind::FileTooLarge),
        ] {
            assert_eq!(read(text).0.map_err(|e| e.kind()).err(), Some(kind), "{text:.60}");
        }
    }
}
