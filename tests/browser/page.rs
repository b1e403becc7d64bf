//! The page as the tests see it: what a person would see of it, and do with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::browser::{Browser, Screen, eventually, key};
use crate::support::{Client, Server, Start};

/// The page, open in a browser of its own.
pub(crate) struct Page {
    pub(crate) browser: Browser,
}

/// A line that somebody said, as it is shown.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Said {
    /// What stands above it, whether one sees it or only a screen reader does.
    pub(crate) who: String,
    pub(crate) text: String,
    /// The time, or what stands in its place.
    pub(crate) at: String,
    /// Whether it stands on the right.
    pub(crate) is_right: bool,
}

const SAID: &str = "Array.from(document.querySelectorAll('#log .said'), (line) => {
    const log = document.getElementById('log').getBoundingClientRect(), box = line.getBoundingClientRect();
    return {
        who: line.querySelector('.who').textContent,
        text: line.querySelector('.text').textContent,
        at: line.querySelector('time, .fate').textContent,
        is_right: log.right - box.right < box.left - log.left,
    };
})";

/// A server with a page.
pub(crate) fn server() -> Start {
    Server::builder().flags(["--web", "127.0.0.1:0"])
}

/// Where the page of a server is.
#[track_caller]
pub(crate) fn page_of(server: &Server) -> String {
    let mut address = None;
    eventually("the server tells where the page is", || {
        let stdout = server.stdout();
        address = stdout.iter().find_map(|line| line.strip_prefix("the page is at ")).map(str::to_owned);
        address.is_some()
    });
    address.expect("eventually found it")
}

impl Page {
    /// Opens it, and leaves it at that.
    #[track_caller]
    pub(crate) fn open(address: &str) -> Page {
        let page = Page { browser: Browser::start() };
        page.browser.go(address);
        page
    }

    /// Opens it, and connects under a name.
    #[track_caller]
    pub(crate) fn join(server: &Server, name: &str) -> Page {
        let page = Page::open(&page_of(server));
        page.connect(name);
        page
    }

    #[track_caller]
    pub(crate) fn connect(&self, name: &str) {
        self.browser.clear("#name");
        self.browser.type_into("#name", name);
        self.browser.click("#connect");
        self.until_state(&format!("Connected as {name}"));
    }

    /// Types a text into the field, and sends it.
    #[track_caller]
    pub(crate) fn say(&self, text: &str) {
        self.browser.type_into("#draft", &format!("{text}{}", key::ENTER));
    }

    /// Puts a text into the field, which may be long and of many lines, and sends it.
    #[track_caller]
    pub(crate) fn paste_and_send(&self, text: &str) {
        self.browser.run("document.getElementById('draft').value = arguments[0]", text);
        self.browser.click(".row button");
    }

    pub(crate) fn state(&self) -> String {
        self.browser.text("#state")
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

    /// All that was said, as far as it is shown.
    pub(crate) fn said(&self) -> Vec<Said> {
        serde_json::from_value(self.browser.eval(SAID)).expect("lines")
    }

    /// The texts of what was said.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.said().into_iter().map(|said| said.text).collect()
    }

    /// Waits until a text was said, and returns the line; there must be one of it.
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

    /// What the log holds that nobody said: notices, and what stands between lines.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notices =
            "Array.from(document.querySelectorAll('#log > :not(.said, #cut)'), (line) => line.innerText.trim())";
        serde_json::from_value(self.browser.eval(notices)).expect("texts")
    }

    /// Who is here, as the panel lists them.
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

    /// Where the focus is.
    pub(crate) fn focus(&self) -> Value {
        self.browser.eval("document.activeElement.id || document.activeElement.textContent")
    }

    /// Has the page's clock go on all of a sudden.
    pub(crate) fn let_pass(&self, seconds: u32) {
        self.browser.run("const now = Date.now; Date.now = () => now() + 1000 * arguments[0];", seconds);
    }

    /// Nothing may be wider than there is room for it.
    #[track_caller]
    pub(crate) fn assert_nothing_overflows(&self) {
        let wide = "Array.from(document.querySelectorAll('html, body, header, main, #log, #log > *, aside'))
            .filter((element) => element.scrollWidth > element.clientWidth + 1)
            .map((element) => element.textContent.slice(0, 40))";
        assert_eq!(self.browser.eval(wide), json!([]), "these are wider than there is room for");
    }

    /// Neither an error nor a violation of the policy, since it was last asked.
    #[track_caller]
    pub(crate) fn assert_no_complaints(&self) {
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }

    /// Keeps a picture of it in `target/browser`.
    pub(crate) fn picture(&self, screen: Screen, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
        self.browser.screenshot(&folder.join(format!("{name}-{}.png", screen.name)));
    }
}

impl Drop for Page {
    /// Whatever a test is about, the page must not have been in trouble.
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may be the browser that is in trouble.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                eprintln!("the page was {:?}; the log ends with {:?}", self.state(), self.said().last());
                eprintln!("the browser complained: {:?}", self.browser.complaints());
            }));
        } else {
            self.assert_no_complaints();
        }
    }
}

/// A TCP client under a name.
#[track_caller]
pub(crate) fn neighbour(server: &Server, name: &str) -> Client {
    let mut client = server.join();
    client.send_line(format!("/nick {name}"));
    let named = format!("* {} is now {name}", client.name());
    client.lines_until(|line| line == named);
    client
}
