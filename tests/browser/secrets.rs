//! Passwords and tokens in the page: what it asks, what it keeps, and where no secret may be.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process};

use pollchat::relay::name::Name;
use pollchat::relay::names::NewToken;
use rustix::process::Signal;

use crate::browser::{DESK, PHONE, eventually, key};
use crate::fit_for_all::assert_fit;
use crate::page::{Page, neighbour, page_of, server};
use crate::proxy::Proxy;
use crate::support::crashing_server::CrashingServer;
use crate::support::{Client, Lines, Member, Server, Start};

const WORD: &str = "open sesame";

/// A folder with a file of a password and one of names, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Folder(env::temp_dir().join(format!("pollchat-secrets-{}-{number}", process::id())));
        let _ = fs::remove_dir_all(&folder.0);
        fs::create_dir(&folder.0).expect("a folder");
        folder
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file of ours");
        path.into_os_string().into_string().expect("UTF-8")
    }

    /// Writes a password, and returns a builder of a server that asks for it.
    fn server_with_password(&self) -> Start {
        server().flags(["--password-file", &self.write("password", WORD)])
    }

    /// Gives names to owners, and returns a builder of their server, and their tokens.
    fn server_with_names<const N: usize>(&self, names: [&str; N]) -> (Start, [String; N]) {
        let tokens = names.map(|name| NewToken::of(&Name::parse(name).expect("a name")));
        let lines: String = tokens.iter().map(|token| format!("{}\n", token.line)).collect();
        (server().flags(["--names", &self.write("names", &lines)]), tokens.map(|token| token.token))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Connects a TCP client that knows the password.
#[track_caller]
fn friend(server: &Server) -> Client {
    let mut client = server.connect();
    client.send_line(format!("/pass {WORD}"));
    client.join()
}

/// Counts in `asked` how often the person is asked for the password.
fn count_questions(page: &Page) {
    page.browser.run(
        "window.asked = 0;
        const ours = askPerson;
        askPerson = (problem) => { asked += 1; ours(problem) };",
        (),
    );
}

#[track_caller]
fn give_password(page: &Page, word: &str) {
    page.browser.type_into("#password", &format!("{word}{}", key::ENTER));
}

#[track_caller]
fn until_refused(page: &Page, problem: &str) {
    page.browser.until(&format!("document.getElementById('refusal').textContent === '{problem}'"));
}

/// Panics if a secret is in a place where others may read it: over a shoulder, in a log, or on another day.
#[track_caller]
fn assert_kept(secret: &str, page: &Page, server: &Server) {
    let places = "[location.href, document.title, document.documentElement.outerHTML, ...recall.texts,
                   Object.values(localStorage)].join(' ')";
    assert!(!page.browser.eval(places).to_string().contains(secret), "the page shows {secret}");
    let printed = [server.stdout(), server.log()].concat();
    assert!(printed.iter().all(|line| !line.contains(secret)), "the server logs {secret}");
    assert!(page.browser.complaints().iter().all(|line| !line.contains(secret)), "the console shows {secret}");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_password_is_asked_for_once_a_tab() {
    let folder = Folder::new();
    let server = folder.server_with_password().go();
    let there = page_of(&server);
    let mut bob = friend(&server);
    let page = Page::open(&there);
    page.type_into("#name", &format!("ana{}", key::ENTER));
    page.until_state("Asked for a password");
    assert_eq!(page.focus(), "password", "the word can be typed at once");
    assert!(page.is_hidden("#composer") && page.is_hidden("#who"));
    bob.send_line("not for strangers");
    assert_eq!(bob.who().len(), 2, "nobody else is in the room");

    give_password(&page, "open barley");
    until_refused(&page, "That is not the password.");
    assert_eq!(page.browser.eval("[password, document.getElementById('password').value]").to_string(), "[null,\"\"]");
    assert_eq!((page.focus(), page.state().as_str()), ("password".into(), "Asked for a password"));
    assert_eq!(page.browser.eval("document.getElementById('password').ariaInvalid"), "true");
    give_password(&page, WORD);
    page.until_state("Connected as ana");
    assert_eq!(page.focus(), "draft", "the message can be typed next");
    assert!(page.is_hidden("#gate") && !page.shows("not for strangers") && !page.shows("password"));
    page.say("thank you");
    bob.lines_until(|line| line == "ana> thank you");

    // The session is enough on the way back, and the word behind its end.
    page.browser.reload();
    page.until_state("Connected as ana");
    count_questions(&page);
    page.click("#disconnect");
    page.click("#connect");
    page.until_state("Connected as ana");
    page.say("once more");
    bob.lines_until(|line| line == "ana> once more");
    assert_eq!(page.browser.eval("asked"), 0);
    assert_kept(WORD, &page, &server);

    // Another tab is asked anew.
    let other = Page::open(&there);
    other.click("#connect");
    other.until_state("Asked for a password");
    // Disconnect is the way out.
    other.click("#disconnect");
    other.until_state("Not connected: you left");
    assert!(other.is_hidden("#gate") && !other.is_hidden("#composer"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_changed_password_is_asked_for_and_three_wrong_ones_leave_the_field() {
    let folder = Folder::new();
    let server = folder.server_with_password().go();
    let page = Page::open(&page_of(&server));
    page.click("#connect");
    page.until_state("Asked for a password");
    give_password(&page, WORD);
    page.until_state_begins("Connected as ");
    folder.write("password", "shut sesame");
    server.signal(Signal::HUP);
    server.expect_log(&["password"]);
    page.until_state_begins("Connected as ");
    page.click("#disconnect");
    page.click("#connect");
    // The old word was the first try.
    page.until_state("Asked for a password");
    until_refused(&page, "That is not the password.");
    for word in ["wrong", "wrong again"] {
        give_password(&page, word);
        page.browser.until("state !== 'connecting'");
    }
    page.until_state("Not connected: that is not the password either");
    until_refused(&page, "That is not the password either.");
    give_password(&page, "shut sesame");
    page.until_state_begins("Connected as ");
    assert_eq!(page.focus(), "draft");
    assert!(page.is_hidden("#gate"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn behind_a_restart_the_page_gives_its_password_and_its_token_by_itself() {
    let folder = Folder::new();
    let ana = NewToken::of(&Name::parse("ana").expect("a name"));
    let (password, names) = (folder.write("password", WORD), folder.write("names", &ana.line));
    let flags = ["--journal-sync", "0", "--password-file", &password, "--names", &names];
    let mut crashing = CrashingServer::start(&flags);
    let page = Page::open(&format!("{}#ana:{}", crashing.page(), ana.token));
    page.click("#connect");
    page.until_state("Asked for a password");
    give_password(&page, WORD);
    page.until_state("Connected as ana");
    page.say("before");
    crashing.until_kept("ana> before");
    page.until_said("before");
    count_questions(&page);
    // It is sent, and not read.
    crashing.freeze();
    page.say("meanwhile");
    page.browser.type_into("#draft", "half a thought");
    crashing.crash();
    eventually("the page is back", || {
        page.browser.run("dispatchEvent(new Event('online'))", ());
        page.state() == "Connected as ana"
    });
    crashing.until_kept("ana> meanwhile");
    page.until_texts(&["before", "meanwhile"]);
    assert_eq!((page.draft().as_str(), page.browser.eval("asked")), ("half a thought", 0.into()));
    assert!(page.is_hidden("#gate") && page.is_hidden("#again") && !page.shows("not sent"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_link_gives_a_pupil_the_name_and_leaves_no_trace() {
    let folder = Folder::new();
    let (builder, [ana, dom]) = folder.server_with_names(["ana", "дом"]);
    let server = builder.go();
    let there = format!("{}r/rust", page_of(&server));
    let mut bob = neighbour(&server, "bob");
    bob.send_line("/join rust");
    bob.send_line("/nick ana");
    bob.lines_until(|line| line == "* the name ana belongs to somebody: /nick ana TOKEN");

    let page = Page::open(&format!("{there}#ana:{ana}"));
    assert_eq!(page.browser.eval("location.href"), there);
    assert_eq!(page.focus(), "connect");
    page.browser.press(&[key::ENTER]);
    page.until_state("Connected as ana");
    page.say("good morning");
    bob.lines_until(|line| line == "ana> good morning");
    page.browser.reload();
    page.until_state("Connected as ana");
    // A new session needs the token again.
    page.click("#disconnect");
    page.click("#connect");
    page.until_state("Connected as ana");
    assert!(page.is_hidden("#token"));
    assert_kept(&ana, &page, &server);

    // A link in the page at work, in another script, as browsers and messengers encode it.
    page.browser.run("location.hash = arguments[0]", format!("%D0%B4%D0%BE%D0%BC:{dom}"));
    page.until_state("Connected as дом");
    assert_eq!(page.browser.eval("location.href"), there);
    bob.lines_until(|line| line == "* ana is now дом");
    page.browser.run("location.hash = arguments[0]", format!("a b:{ana}"));
    page.browser.until(&format!("location.href === '{there}'"));
    page.browser.run("location.hash = arguments[0]", "ana:part");
    page.say("still here");
    bob.lines_until(|line| line == "дом> still here");
    assert_eq!(page.browser.eval("location.hash"), "#ana:part", "it is somebody else's");
    assert_kept(&dom, &page, &server);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_owned_name_asks_for_its_token() {
    let folder = Folder::new();
    let (builder, [ana]) = folder.server_with_names(["ana"]);
    let server = builder.go();
    let mut bob = neighbour(&server, "bob");
    let page = Page::open(&page_of(&server));
    page.type_into("#name", &format!("ana{}", key::ENTER));
    page.until_state_begins("Connected as client-");
    page.browser.until("document.activeElement.id === 'token'");
    assert!(page.browser.text("#trouble").contains("ana belongs to somebody"), "{}", page.browser.text("#trouble"));
    page.type_into("#token", &format!("pcn_wrong{}", key::ENTER));
    page.browser.until("document.getElementById('trouble').textContent.includes('not the token of ana')");
    page.browser.until("document.activeElement.id === 'token' && document.activeElement.value === ''");
    page.type_into("#token", &format!("{ana}{}", key::ENTER));
    page.until_state("Connected as ana");
    assert!(page.is_hidden("#token"));
    assert_eq!((page.focus(), page.browser.text("#trouble").as_str()), ("draft".into(), ""));
    page.say("it is me");
    bob.lines_until(|line| line == "ana> it is me");

    // A name that looks like it is refused, with or without a token.
    page.clear("#name");
    page.type_into("#name", &format!("аnа{}", key::ENTER));
    page.browser.until("document.getElementById('trouble').textContent.includes('looks like ana')");
    page.until_state("Connected as ana");

    // The same in a command, which is neither shown nor brought back.
    page.say("/nick zoe");
    page.until_state("Connected as zoe");
    page.say(&format!("/nick ana {ana}"));
    page.until_state("Connected as ana");
    page.say("/pass whatever");
    page.until_shown("no password is asked of you");
    page.browser.type_into("#draft", &key::UP.to_string());
    assert_eq!(page.draft(), "/nick zoe", "no secret is brought back");
    page.browser.clear("#draft");
    assert!(!page.shows("whatever"));
    // The tab knows the token now.
    page.say("/nick zoe");
    page.until_state("Connected as zoe");
    page.say("/nick ana");
    page.until_state("Connected as ana");
    assert_kept(&ana, &page, &server);
    page.browser.reload();
    page.until_state("Connected as ana");
    assert!(!page.shows("whatever"));
    assert_kept(&ana, &page, &server);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_second_device_takes_the_name_and_the_first_one_does_not_fight() {
    let folder = Folder::new();
    let (builder, [ana]) = folder.server_with_names(["ana"]);
    let server = builder.go();
    let mut bob = neighbour(&server, "bob");
    let proxy = Proxy::to(&page_of(&server));
    let phone = Page::open(&format!("{}#ana:{ana}", proxy.page()));
    phone.browser.screen(PHONE);
    phone.click("#connect");
    phone.until_state("Connected as ana");
    phone.say("from the phone");
    bob.lines_until(|line| line == "ana> from the phone");

    let desk = Page::open(&format!("{}#ana:{ana}", page_of(&server)));
    desk.click("#connect");
    desk.until_state("Connected as ana");
    phone.until_state_begins("Connected as client-");
    phone.until_shown("you are here a second time: this one is client-");
    assert_eq!(phone.browser.text("#connect"), "Rename");
    phone.picture(PHONE, "taken-over");

    // Neither a break nor a reload takes it back.
    let is_still_here = |page: &Page, round: &str| {
        page.until_state_begins("Connected as client-");
        page.say(&format!("{round} by another name"));
        page.until_said(&format!("{round} by another name"));
        desk.say(&format!("{round} as ana"));
        desk.until_said(&format!("{round} as ana"));
    };
    is_still_here(&phone, "at once");
    proxy.cut();
    phone.until_state_begins("Connection lost");
    is_still_here(&phone, "after a break");
    phone.browser.reload();
    is_still_here(&phone, "after a reload");
    let told = bob.lines_until(|line| line.ends_with("> after a reload as ana"));
    let as_ana: Vec<&String> = told.iter().filter(|line| line.starts_with("ana> ")).collect();
    assert_eq!(as_ana, ["ana> at once as ana", "ana> after a break as ana", "ana> after a reload as ana"]);

    // The person may take it back.
    phone.clear("#name");
    phone.type_into("#name", &format!("ana{}", key::ENTER));
    phone.until_state("Connected as ana");
    desk.until_state_begins("Connected as client-");
    phone.say("mine again");
    bob.lines_until(|line| line == "ana> mine again");

    // The same while the phone is away: its records tell.
    proxy.close(true);
    proxy.cut();
    phone.until_state("Connection lost: trying again");
    desk.click("#connect");
    desk.until_state("Connected as ana");
    proxy.close(false);
    phone.browser.run("dispatchEvent(new Event('online'))", ());
    phone.until_state_begins("Connected as client-");
    phone.until_shown("you have lost your name: you are client-");
    phone.say("I see");
    phone.until_said("I see");
    desk.say("I am here");
    let told = bob.lines_until(|line| line.ends_with("> I am here"));
    assert_eq!(told.last().map(String::as_str), Some("ana> I am here"));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_fields_of_secrets_are_fit_for_all() {
    let folder = Folder::new();
    let (builder, [_]) = folder.server_with_names(["ana"]);
    let server = builder.flags(["--password-file", &folder.write("password", WORD)]).go();
    let page = Page::open(&page_of(&server));
    page.type_into("#name", &format!("ana{}", key::ENTER));
    page.until_state("Asked for a password");
    assert_fit(&page, "asked");
    page.browser.screen(PHONE);
    give_password(&page, "open barley");
    until_refused(&page, "That is not the password.");
    assert_fit(&page, "refused");
    page.browser.screen(DESK);
    let role = |css: &str| page.browser.run("return document.querySelector(arguments[0]).getAttribute('role')", css);
    assert_eq!(role("#refusal"), "status", "a screen reader says it");
    give_password(&page, WORD);
    page.browser.until("document.activeElement.id === 'token'");
    assert_fit(&page, "token");
    // By keyboard alone.
    let ways = [("name", key::TAB), ("token", key::TAB), ("connect", key::TAB)];
    page.browser.run("document.getElementById('name').focus()", ());
    for (id, next) in ways {
        assert_eq!(page.focus(), id);
        page.browser.press(&[next]);
    }
}
