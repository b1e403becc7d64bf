//! A real browser for the tests of the page: Chromium, driven through ChromeDriver by the W3C WebDriver protocol.
//!
//! Requires the programs `chromedriver` and `chromium`, which `tests/browser/run` installs.

// Shared by test programs, as its neighbours are.
#![allow(unreachable_pub)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};

/// The timeout of one command of the browser. An audit of a full page takes seconds on a busy machine.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// The timeout of anything that is sure to happen; longer than elsewhere, as browsers are slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// Printed by the driver once it takes commands, before its port.
const STARTED: &str = "started successfully on port ";

/// The key of an element's id in the WebDriver protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Parts of the messages that the browser logs for a failed connection, and for the page's question why it failed. A
/// page cannot prevent them.
const AWAY: [[&str; 2]; 3] = [
    ["", "WebSocket connection to "],
    ["/ws - Failed to load resource: ", ""],
    ["/ws?room=", " - Failed to load resource: "],
];

/// Calls `is_so` until it returns `true`. Panics with `what` after the [`DEADLINE`].
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A browser with one window, which is closed on drop.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    /// The URL of the session, with which every command's URL begins.
    session: String,
}

/// Keys without a character.
pub mod key {
    pub const ENTER: char = '\u{e007}';
    pub const ESCAPE: char = '\u{e00c}';
    pub const LEFT: char = '\u{e012}';
    pub const PAGE_UP: char = '\u{e00e}';
    pub const RIGHT: char = '\u{e014}';
    pub const SHIFT: char = '\u{e008}';
    pub const TAB: char = '\u{e004}';
    pub const UP: char = '\u{e013}';
}

/// The size of a window, and whether it is a phone's: with touch and a phone's layout.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub is_phone: bool,
}

pub const DESK: Screen = Screen { name: "desk", width: 1000, height: 700, is_phone: false };
pub const PHONE: Screen = Screen { name: "phone", width: 360, height: 640, is_phone: true };

impl Browser {
    /// Starts a browser with a light scheme and the [`DESK`] screen.
    #[track_caller]
    pub fn start() -> Browser {
        Browser::start_with(&[])
    }

    /// Starts a browser with these arguments on its command line, too.
    #[track_caller]
    pub fn start_with(further: &[&str]) -> Browser {
        let (driver, port) = start_driver();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(COMMAND_DEADLINE))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        let mut browser =
            Browser { driver, agent: config.new_agent(), session: format!("http://127.0.0.1:{port}/session") };
        // Chromium has no sandbox for root, and a container's shared memory is small.
        let arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en", "--disable-gpu"];
        let arguments = [&arguments[..], further].concat();
        let session = browser.post(
            "",
            &json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"args": arguments},
            }}}),
        );
        browser.session =
            format!("{}/{}", browser.session, session["sessionId"].as_str().expect("a session has an id"));
        browser.screen(DESK);
        browser.prefer(&[("prefers-color-scheme", "light")]);
        browser
    }

    pub fn go(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// Runs JavaScript in every page opened from now on, before the page's own scripts.
    pub fn before_every_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    pub fn reload(&self) {
        self.post("refresh", &json!({}));
    }

    /// Returns the value of a JavaScript expression.
    #[track_caller]
    pub fn eval(&self, expression: &str) -> Value {
        self.post("execute/sync", &json!({"script": format!("return ({expression});"), "args": []}))
    }

    /// Runs JavaScript statements with `argument` as `arguments[0]`. Returns their result; awaits a promise.
    #[track_caller]
    pub fn run(&self, script: &str, argument: impl Into<Value>) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": [argument.into()]}))
    }

    /// Waits until a JavaScript expression is true.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        eventually(expression, || self.eval(expression) == json!(true));
    }

    /// Returns the visible text of the first element that a selector matches.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let text = self.run("return document.querySelector(arguments[0]).innerText", css);
        text.as_str().expect("an element has a text").to_owned()
    }

    /// Clicks an element, which must be in view and not covered.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.post(&format!("element/{}/click", self.element(css)), &json!({}));
    }

    /// Types at the end of an element's text.
    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        self.post(&format!("element/{}/value", self.element(css)), &json!({ "text": text }));
    }

    #[track_caller]
    pub fn clear(&self, css: &str) {
        self.post(&format!("element/{}/clear", self.element(css)), &json!({}));
    }

    /// Presses keys one after another in the focused element, and releases them in reverse order.
    #[track_caller]
    pub fn press(&self, keys: &[char]) {
        let down = keys.iter().map(|key| json!({"type": "keyDown", "value": key}));
        let up = keys.iter().rev().map(|key| json!({"type": "keyUp", "value": key}));
        let actions: Vec<Value> = down.chain(up).collect();
        self.post("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}));
    }

    pub fn screen(&self, screen: Screen) {
        let Screen { width, height, is_phone, .. } = screen;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        self.devtools("Emulation.setTouchEmulationEnabled", &json!({"enabled": is_phone, "maxTouchPoints": 5}));
    }

    /// Sets the person's preferences, by names and values of media features.
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<Value> = features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Minimises the window, or restores it.
    pub fn minimise(&self, is_away: bool) {
        let window = self.devtools("Browser.getWindowForTarget", &json!({}))["windowId"].take();
        let bounds = json!({"windowState": if is_away { "minimized" } else { "normal" }});
        self.devtools("Browser.setWindowBounds", &json!({"windowId": window, "bounds": bounds}));
    }

    /// Writes a screenshot to a PNG file.
    pub fn screenshot(&self, path: &Path) {
        let picture = self.get("screenshot");
        let picture = BASE64.decode(picture.as_str().expect("base64").as_bytes()).expect("base64");
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder for pictures");
        std::fs::write(path, picture).expect("a picture can be written");
    }

    /// Returns the messages of the console since the last call, such as errors of scripts and violations of the policy,
    /// without those of failed connections.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let messages = log.as_array().expect("a list").iter();
        let messages = messages.map(|entry| entry["message"].as_str().expect("a text").to_owned());
        messages.filter(|message| !AWAY.iter().any(|parts| parts.iter().all(|part| message.contains(part)))).collect()
    }

    fn element(&self, css: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": css}));
        found[ELEMENT].as_str().expect("an element has an id").to_owned()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let response = self.agent.get(self.url(path)).call();
        value_of(path, response)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let response = self.agent.post(self.url(path)).content_type("application/json").send(body.to_string());
        value_of(path, response)
    }

    fn url(&self, path: &str) -> String {
        if path.is_empty() { self.session.clone() } else { format!("{}/{path}", self.session) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is a child of the driver and would outlive it.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts the driver on a port of its choice. The driver finds a free port first and binds it later; it exits if
/// another process was faster.
#[track_caller]
fn start_driver() -> (Child, u16) {
    let mut started = None;
    eventually("the driver starts", || {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("no chromedriver: {error}; tests/browser/run installs it"));
        let mut said = String::new();
        let lines = BufReader::new(driver.stdout.take().expect("stdout is a pipe")).lines().map_while(Result::ok);
        let port = lines.inspect(|line| said.push_str(line)).find_map(|line| {
            let (_, port) = line.split_once(STARTED)?;
            port.trim_end_matches('.').parse().ok()
        });
        if port.is_none() {
            eprintln!("the driver ended, {:?}: {said}", driver.wait());
        }
        started = port.map(|port| (driver, port));
        started.is_some()
    });
    started.expect("eventually it did")
}

#[track_caller]
fn value_of(path: &str, response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
    let body = response.body_mut().read_to_string().expect("the driver answers in text");
    let mut body: Value = serde_json::from_str(&body).expect("the driver answers in JSON");
    assert!(response.status().is_success(), "{path}: {}", body["value"]["message"]);
    body["value"].take()
}
