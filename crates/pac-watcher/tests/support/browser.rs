//! Headless Chromium, spoken to by its own protocol for developers.
//!
//! What the page complains of (an exception, something its policy forbids) fails the test that sees it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{SinkExt, StreamExt};
use pac_devservers::find;
use pac_devservers::process::Child;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;

/// One tab. The process ends with it.
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    /// The tab's name in what is sent.
    session: Option<String>,
    asked: u64,
    /// Ends before its folder does.
    _process: Child,
    _profile: TempDir,
}

// === impl Browser ===

impl Browser {
    pub async fn start() -> Self {
        let program = find("chromium").unwrap_or_else(|| panic!("no chromium: apt-get install chromium"));
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--remote-debugging-port=0", "about:blank"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Child::spawn("chromium", command).unwrap();
        let (port, path) = port_of(profile.path()).await;
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (socket, _) = client_async(format!("ws://127.0.0.1:{port}{path}"), stream).await.unwrap();
        let mut browser = Self { socket, session: None, asked: 0, _process: process, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true})).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser.look(1280, 900, "light").await;
        browser
    }

    /// Asks the browser for something, and waits for its answer.
    pub async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut call = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(call.to_string())).await.unwrap();
        let answered = tokio::time::timeout(PATIENCE, async {
            loop {
                let message = self.socket.next().await.unwrap().unwrap();
                let Message::Text(text) = message else { continue };
                let message: Value = serde_json::from_str(&text).unwrap();
                complain(&message);
                if message["id"] == self.asked {
                    return message;
                }
            }
        });
        let mut answer = answered.await.unwrap_or_else(|_| panic!("no answer to {method}"));
        assert!(answer.get("error").is_none(), "{method} {parameters}: {answer}");
        answer["result"].take()
    }

    /// How wide and high the page is, in which colours.
    pub async fn look(&mut self, width: u32, height: u32, colours: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let colours = json!({"features": [{"name": "prefers-color-scheme", "value": colours}]});
        self.call("Emulation.setEmulatedMedia", colours).await;
    }

    /// Keeps what it looks like, for people.
    pub async fn picture(&mut self, file: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        let image = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, image).unwrap();
    }

    /// Loads a page anew.
    pub async fn open(&mut self, address: &str) {
        // From another document: what differs behind the # alone is none.
        for address in ["about:blank", address] {
            let navigated = self.call("Page.navigate", json!({"url": address})).await;
            assert!(navigated.get("errorText").is_none(), "{address}: {navigated}");
        }
    }

    /// What an expression of JavaScript comes to.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", parameters).await;
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub async fn until(&mut self, expression: &str) {
        // Of a document that is only beginning nothing is there yet.
        let guarded = format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        let began = tokio::time::Instant::now();
        while self.eval(&guarded).await != true {
            if began.elapsed() > PATIENCE {
                panic!("never: {expression}; the page says\n{}", self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // a person looks again, too
        }
    }

    /// Waits until the page says this.
    pub async fn says(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// All that the page says.
    pub async fn text(&mut self) -> String {
        self.eval("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }
}

/// Where a browser with this profile listens.
async fn port_of(profile: &Path) -> (u16, String) {
    let file = profile.join("DevToolsActivePort");
    let began = tokio::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n') {
            return (port.parse().unwrap(), path.trim().to_owned());
        }
        assert!(began.elapsed() < PATIENCE, "chromium doesn't listen");
        tokio::time::sleep(Duration::from_millis(20)).await; // it writes a file, and tells nobody
    }
}

fn complain(event: &Value) {
    let entry = &event["params"]["entry"];
    // A server that is away, or knows no such thing, is no fault of the page's.
    let is_complaint = event["method"] == "Runtime.exceptionThrown"
        || event["method"] == "Log.entryAdded" && entry["level"] == "error" && entry["source"] != "network";
    assert!(!is_complaint, "{event}");
}
