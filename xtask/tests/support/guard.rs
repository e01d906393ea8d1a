//! A guard in front of the development cluster, which has no authorization: it lets through what the rules allow, answers 403
//! to the rest as a kube-apiserver does, and remembers both.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::rules::{Asked, Permission, Rules};

/// See the [module](self).
pub(crate) struct Guard {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    used: BTreeSet<Permission>,
    refused: Vec<Asked>,
}

/// The head of a request.
struct Head {
    method: String,
    target: String,
    headers: Vec<String>,
}

// === impl Guard ===

impl Guard {
    /// Listens, and guards `server` (host and port), for as long as the test runs.
    pub(crate) fn before(server: &str, rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (rules, server, shared) = (Arc::new(rules), server.to_owned(), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (rules, server, seen) = (Arc::clone(&rules), server.clone(), Arc::clone(&shared));
                // A connection that breaks is the client's to deal with.
                thread::spawn(move || drop(pass(&client, &server, &rules, &seen)));
            }
        });
        Self { url, seen }
    }

    /// What was used of the rules.
    pub(crate) fn used(&self) -> BTreeSet<Permission> {
        self.seen.lock().unwrap().used.clone()
    }

    /// What the rules don't allow, and was asked for.
    pub(crate) fn refused(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().refused.clone()
    }
}

/// One request, and with it the connection.
fn pass(client: &TcpStream, server: &str, rules: &Rules, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let head = Head::read(&mut reader)?;
    let mut body = vec![0; head.length()];
    reader.read_exact(&mut body)?;
    let asked = head.asked();
    let Some(permission) = rules.allow(&asked) else {
        seen.lock().unwrap().refused.push(asked);
        return refuse(client);
    };
    seen.lock().unwrap().used.insert(permission.clone());
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(head.forwarded().as_bytes())?;
    upstream.write_all(&body)?;
    let result = copy(&mut upstream, client);
    client.shutdown(Shutdown::Both)?;
    result
}

/// At once, event by event.
fn copy(from: &mut TcpStream, mut to: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to.write_all(&buffer[..count])?,
        }
    }
}

fn refuse(mut client: &TcpStream) -> io::Result<()> {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden by the rules","reason":"Forbidden","code":403}"#;
    write!(
        client,
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{status}",
        status.len()
    )
}

// === impl Head ===

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" if lines.is_empty() => {}
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let request = lines.remove(0);
        let mut words = request.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        Ok(Self { method, target, headers: lines })
    }

    fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.iter().filter_map(|line| line.split_once(':'));
        let mut values = pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.next()
    }

    fn length(&self) -> usize {
        self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    }

    /// The same for the server, with the connection to be closed after it.
    fn forwarded(&self) -> String {
        let is_kept = |line: &&String| !line.to_ascii_lowercase().starts_with("connection:");
        let headers: String = self.headers.iter().filter(is_kept).map(|line| format!("{line}\r\n")).collect();
        format!("{} {} HTTP/1.1\r\n{headers}connection: close\r\n\r\n", self.method, self.target)
    }

    /// As kube-apiserver reads a request; a field selector on the name makes a list or watch one of that object.
    fn asked(&self) -> Asked {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", "v1", rest @ ..] if !rest.is_empty() => ("", rest),
            ["apis", group, _, rest @ ..] if !rest.is_empty() => (*group, rest),
            _ => return self.no_resource(path),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let resource = match rest {
            [resource, _, subresource] => format!("{resource}/{subresource}"),
            rest => rest[0].to_owned(),
        };
        let flag =
            |name: &str| query.split('&').any(|pair| pair == format!("{name}=true") || pair == format!("{name}=1"));
        let named = rest.get(1).map(|name| (*name).to_owned());
        let verb = match (self.method.as_str(), &named) {
            ("GET", _) if flag("watch") => "watch",
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", None) => "deletecollection",
            _ => "delete",
        };
        let selected = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D"));
        let name = named.or_else(|| selected.map(str::to_owned)).unwrap_or_default();
        Asked {
            verb: verb.to_owned(),
            path: None,
            group: group.to_owned(),
            resource,
            namespace: namespace.to_owned(),
            name,
        }
    }

    fn no_resource(&self, path: &str) -> Asked {
        let nothing = String::new();
        Asked {
            verb: self.method.to_ascii_lowercase(),
            path: Some(path.to_owned()),
            group: nothing.clone(),
            resource: nothing.clone(),
            namespace: nothing.clone(),
            name: nothing,
        }
    }
}
