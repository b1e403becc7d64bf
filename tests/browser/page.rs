//! The page as a person sees and uses it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::{Browser, Screen, eventually, key};
use crate::support::{Client, Lines, Member, Server, Start};

/// The page, open in a browser of its own.
pub(crate) struct Page {
    pub(crate) browser: Browser,
}

/// A said line, as the page shows it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Said {
    /// The sender above the line, visible or for screen readers only.
    pub(crate) who: String,
    pub(crate) text: String,
    /// The time, or the mark in its place.
    pub(crate) at: String,
    /// Whether it is shown as an own one.
    pub(crate) is_own: bool,
}

const SAID: &str = "Array.from(document.querySelectorAll('#log .said'), (line) => ({
    who: line.querySelector('.who').textContent,
    text: line.querySelector('.text').textContent,
    at: line.querySelector('time, .fate').textContent,
    is_own: line.classList.contains('own'),
}))";

/// A builder of a server with a page.
pub(crate) fn server() -> Start {
    Server::builder().flags(["--web", "127.0.0.1:0"])
}

/// Returns the URL of a server's page.
#[track_caller]
pub(crate) fn page_of(server: &Server) -> String {
    let mut address = None;
    eventually("the server prints the page's URL", || {
        let stdout = server.stdout();
        address = stdout.iter().find_map(|line| line.strip_prefix("the page is at ")).map(str::to_owned);
        address.is_some()
    });
    address.expect("eventually found it")
}

impl Page {
    /// Opens the page without connecting.
    #[track_caller]
    pub(crate) fn open(address: &str) -> Page {
        let page = Page { browser: Browser::start() };
        page.browser.go(address);
        page
    }

    /// The same in a browser that trusts the public keys with these pins, and no other of a local certificate.
    #[track_caller]
    pub(crate) fn open_trusting(address: &str, pins: &[String]) -> Page {
        // The browser wants the base64 padded.
        let keys: Vec<String> = pins.iter().map(|pin| format!("{}=", pin.trim_start_matches("SHA256:"))).collect();
        let trust = format!("--ignore-certificate-errors-spki-list={}", keys.join(","));
        let page = Page { browser: Browser::start_with(&[&trust]) };
        page.browser.go(address);
        page
    }

    /// Opens the page and connects under a name.
    #[track_caller]
    pub(crate) fn join(server: &Server, name: &str) -> Page {
        let page = Page::open(&page_of(server));
        page.connect(name);
        page
    }

    #[track_caller]
    pub(crate) fn connect(&self, name: &str) {
        self.clear("#name");
        self.type_into("#name", name);
        self.click("#connect");
        self.until_state(&format!("Connected as {name}"));
    }

    /// Opens the menu if the page is connected: it has the form for server and name then.
    #[track_caller]
    pub(crate) fn open_menu(&self) {
        let is_closed = "document.getElementById('more').checkVisibility()
            && !document.getElementById('panel').checkVisibility({ checkVisibilityCSS: true })";
        if self.browser.eval(is_closed) == json!(true) {
            self.browser.click("#more");
        }
    }

    /// Clicks a button of the form for server and name.
    #[track_caller]
    pub(crate) fn click(&self, css: &str) {
        self.open_menu();
        self.browser.click(css);
    }

    /// Clears a field of that form.
    #[track_caller]
    pub(crate) fn clear(&self, css: &str) {
        self.open_menu();
        self.browser.clear(css);
    }

    /// Types into a field of that form.
    #[track_caller]
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        self.open_menu();
        self.browser.type_into(css, text);
    }

    /// Opens the list of people, as a person does, or lets the page ask who they are if it is open.
    #[track_caller]
    pub(crate) fn show_people(&self) {
        if self.is_hidden("#people") {
            self.browser.click("#who");
        } else {
            self.browser.click("#seek");
        }
    }

    /// Types a text into the draft and sends it.
    #[track_caller]
    pub(crate) fn say(&self, text: &str) {
        self.browser.type_into("#draft", &format!("{text}{}", key::ENTER));
    }

    /// Sets the draft, to a text of any length and number of lines, and sends it.
    #[track_caller]
    pub(crate) fn paste_and_send(&self, text: &str) {
        self.browser.run("document.getElementById('draft').value = arguments[0]", text);
        self.browser.click(".row button");
    }

    pub(crate) fn state(&self) -> String {
        let state = self.browser.eval("document.getElementById('state').textContent");
        state.as_str().expect("a text").to_owned()
    }

    #[track_caller]
    pub(crate) fn until_state(&self, expected: &str) {
        eventually(&format!("{expected:?} instead of {:?}", self.state()), || self.state() == expected);
    }

    #[track_caller]
    pub(crate) fn until_state_begins(&self, expected: &str) {
        eventually(&format!("{expected:?}… instead of {:?}", self.state()), || self.state().starts_with(expected));
    }

    pub(crate) fn draft(&self) -> String {
        self.browser.eval("document.getElementById('draft').value").as_str().expect("a text").to_owned()
    }

    /// Returns all said lines in the log.
    pub(crate) fn said(&self) -> Vec<Said> {
        serde_json::from_value(self.browser.eval(SAID)).expect("lines")
    }

    /// Returns the texts of all said lines in the log.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.said().into_iter().map(|said| said.text).collect()
    }

    /// Waits until the said lines are these.
    #[track_caller]
    pub(crate) fn until_texts(&self, expected: &[&str]) {
        eventually(&format!("{expected:?} were said, not {:?}", self.texts()), || self.texts() == expected);
    }

    /// Waits until a text was said and returns its line. Panics if there are several.
    #[track_caller]
    pub(crate) fn until_said(&self, text: &str) -> Said {
        self.until_shown(text);
        let mut found: Vec<Said> = self.said().into_iter().filter(|said| said.text == text).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// Waits until a text is somewhere in the log.
    #[track_caller]
    pub(crate) fn until_shown(&self, text: &str) {
        eventually(&format!("{text:?} is shown"), || self.shows(text));
    }

    /// Whether a text is somewhere in the log.
    pub(crate) fn shows(&self, text: &str) -> bool {
        let shows = "return document.getElementById('log').textContent.includes(arguments[0])";
        self.browser.run(shows, text) == json!(true)
    }

    /// Returns the notices and dividers in the log.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notices =
            "Array.from(document.querySelectorAll('#log > :not(.said, #cut)'), (line) => line.innerText.trim())";
        serde_json::from_value(self.browser.eval(notices)).expect("texts")
    }

    /// Returns the rows of the panel of people.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = "Array.from(document.querySelectorAll('#names li'), (row) => row.innerText)";
        serde_json::from_value(self.browser.eval(names)).expect("texts")
    }

    #[track_caller]
    pub(crate) fn until_names(&self, expected: &[&str]) {
        eventually(&format!("{expected:?} are here, not {:?}", self.names()), || self.names() == expected);
    }

    pub(crate) fn is_hidden(&self, css: &str) -> bool {
        self.browser.run("return !document.querySelector(arguments[0]).checkVisibility()", css) == json!(true)
    }

    /// Returns the id, or else the text, of the focused element.
    pub(crate) fn focus(&self) -> Value {
        self.browser.eval("document.activeElement.id || document.activeElement.textContent")
    }

    /// Panics if an element is wider than its space.
    #[track_caller]
    pub(crate) fn assert_nothing_overflows(&self) {
        let wide = "Array.from(document.querySelectorAll('html, body, header, main, #log, #log > *, aside'))
            .filter((element) => element.scrollWidth > element.clientWidth + 1)
            .map((element) => element.textContent.slice(0, 40))";
        assert_eq!(self.browser.eval(wide), json!([]), "these are wider than their space");
    }

    /// Panics if the browser logged an error or a violation of the policy since the last call.
    #[track_caller]
    pub(crate) fn assert_no_complaints(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }

    /// Writes a screenshot to `target/browser`.
    pub(crate) fn picture(&self, screen: Screen, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
        self.browser.screenshot(&folder.join(format!("{name}-{}.png", screen.name)));
    }
}

impl Drop for Page {
    /// Holds every test to a clean console.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The browser itself may have failed.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                eprintln!("the page was {:?}; the log ends with {:?}", self.state(), self.said().last());
                eprintln!("the browser complained: {:?}", self.browser.complaints());
            }));
        } else {
            self.assert_no_complaints();
        }
    }
}

/// Connects a TCP client under a name.
#[track_caller]
pub(crate) fn neighbour(server: &Server, name: &str) -> Client {
    let mut client = server.join();
    client.send_line(format!("/nick {name}"));
    let named = format!("* {} is now {name}", client.name());
    client.lines_until(|line| line == named);
    client
}

/// Connects a TCP client under a name, in a room.
#[track_caller]
pub(crate) fn neighbour_in(room: &str, server: &Server, name: &str) -> Client {
    let mut client = neighbour(server, name);
    client.send_line(format!("/join {room}"));
    client.lines_until(|line| line.starts_with(&format!("* you are in {room}, ")));
    client
}
