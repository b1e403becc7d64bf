//! The page of the game Bombards, with a referee whose lines the test writes.

use serde_json::{Value, json};

use crate::browser::{DESK, Screen, eventually, key};
use crate::fit_for_all::assert_fit;
use crate::page::{Page, neighbour, neighbour_in, page_of, server};
use crate::support::{Client, Lines, Member, Server};

/// The narrowest phone.
const NARROW: Screen = Screen { name: "narrow", width: 320, height: 568, is_phone: true };

/// Counts the frames that the page asks for, and the timers that are set, from before its script on.
const COUNTERS: &str = "{
    window.frames = 0;
    window.timers = new Set();
    const [ask, set, clear] = [requestAnimationFrame, setTimeout, clearTimeout];
    window.requestAnimationFrame = (paint) => { frames += 1; return ask(paint) };
    window.setTimeout = (act, ...rest) => {
        const timer = set((...all) => { timers.delete(timer); act(...all) }, ...rest);
        timers.add(timer);
        return timer;
    };
    window.clearTimeout = (timer) => { timers.delete(timer); clear(timer) };
    window.setInterval = () => { throw new Error('an interval') };
}";

impl Page {
    fn news(&self) -> String {
        self.browser.text("#news")
    }

    #[track_caller]
    fn until_news(&self, expected: &str) {
        // Names are isolated from the text around them.
        let is_so = || self.news().replace(['\u{2068}', '\u{2069}'], "") == expected;
        eventually(&format!("{expected:?} instead of {:?}", self.news()), is_so);
    }

    /// Returns the rows of the table, cells joined by blanks.
    fn cannons(&self) -> Vec<String> {
        let rows = "Array.from(document.querySelectorAll('#rows tr'), (row) =>
            Array.from(row.cells, (cell) => cell.textContent.replace(/[\\u2068\\u2069]/g, '')).join(' '))";
        serde_json::from_value(self.browser.eval(rows)).expect("texts")
    }

    #[track_caller]
    fn until_cannons(&self, expected: &[&str]) {
        eventually(&format!("{expected:?}, not {:?}", self.cannons()), || self.cannons() == expected);
    }

    #[track_caller]
    fn until_banner(&self, expected: &str) {
        let banner = "document.getElementById('banner').hidden ? '' : document.getElementById('why').textContent";
        eventually(&format!("{expected:?}"), || self.browser.eval(banner) == json!(expected));
    }

    fn talk(&self) -> Vec<String> {
        let talk = "Array.from(document.querySelectorAll('#talk p'), (line) => line.textContent)";
        serde_json::from_value(self.browser.eval(talk)).expect("texts")
    }
}

fn game_of(server: &Server) -> String {
    format!("{}bombards", page_of(server))
}

fn referee(server: &Server) -> Client {
    neighbour_in("bombards", server, "bombards")
}

/// Says the whole state.
fn state(referee: &mut Client, cannons: &[&str]) {
    referee.send_line("field 700 400 barrel 30 box 15 speed 200 gravity 400 step 20");
    for cannon in cannons {
        referee.send_line(format!("cannon {cannon}"));
    }
    referee.send_line(format!("cannons {} tick 7", cannons.len()));
}

/// Opens the page with a referee that knows the cannons of zoe and bob.
fn play(server: &Server) -> (Page, Client) {
    let mut referee = referee(server);
    let page = Page::open("about:blank");
    page.browser.before_every_page(COUNTERS);
    page.browser.go(&game_of(server));
    referee.lines_until(|line| line.ends_with(" tells you: look"));
    page.browser.type_into("#name", "zoe");
    page.browser.click("#left");
    referee.lines_until(|line| line == "* zoe tells you: join left");
    state(&mut referee, &["zoe left 100 300 0", "bob right 600 250 3"]);
    page.until_state("Playing as zoe");
    (page, referee)
}

/// Returns the step at which a flight of zoe ends by itself, and its place in px.
fn end_of(page: &Page, angle: i32, power: i32) -> [i64; 3] {
    let end = format!(
        "(() => {{
            const {{ path }} = flightOf({{ x: 100, y: 300, camp: 'left', angle: {angle}, power: {power} }});
            const {{ x, y }} = path.at(-1);
            return [path.length - 1, Math.floor(x / 1000), Math.floor(y / 1000)];
        }})()"
    );
    serde_json::from_value(page.browser.eval(&end)).expect("numbers")
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_game_is_played_by_keyboard_alone() {
    let server = server().go();
    let mut referee = referee(&server);
    let page = Page::open(&game_of(&server));
    referee.lines_until(|line| line.ends_with(" tells you: look"));
    while page.focus() != json!("name") {
        page.browser.press(&[key::TAB]);
    }
    page.browser.press(&['z']);
    page.browser.press(&['o']);
    page.browser.press(&[key::ENTER]);
    referee.lines_until(|line| line == "* zo tells you: join");
    state(&mut referee, &["zo left 100 300 0", "*target* right 600 250 0"]);
    page.until_cannons(&["zo (you) left – – 0", "the target right 500 50 0"]);
    assert_eq!(page.focus(), json!("field"), "the keys aim at once");
    for pressed in [key::RIGHT, key::RIGHT, key::LEFT, key::UP, key::UP, key::UP, key::ENTER] {
        page.browser.press(&[pressed]);
    }
    referee.lines_until(|line| line == "* zo tells you: fire 46 88");
    referee.send_line("shot 10 zo 46 88");
    page.browser.until("flights.has('zo')");
    referee.send_line("end 60 zo hit 598 252 *target*");
    referee.send_line("cannon *target* right 500 200 -1");
    referee.send_line("cannon zo left 130 310 1");
    page.until_news("Your shell (46°, 88) hits the target: +1.");
    page.until_cannons(&["zo (you) left – – 1", "the target right 370 110 -1"]);
    // Each dial is a slider, and Enter fires from there, too.
    while page.focus() != json!("angle") {
        page.browser.press(&[key::TAB]);
    }
    page.browser.press(&[key::LEFT]);
    page.browser.press(&[key::ENTER]);
    referee.lines_until(|line| line == "* zo tells you: fire 45 88");
    while page.focus() != json!("words") {
        page.browser.press(&[key::TAB]);
    }
    page.browser.type_into("#words", &format!("well shot{}", key::ENTER));
    referee.expect("zo> well shot");
    eventually("the talk is shown", || page.talk() == ["zo: well shot"]);
    while page.focus() != json!("leave") {
        page.browser.press(&[key::SHIFT, key::TAB]);
    }
    page.browser.press(&[key::ENTER]);
    referee.lines_until(|line| line == "* zo tells you: leave");
    state(&mut referee, &[]);
    page.until_state("Watching as zo");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_shell_flies_from_its_shot_alone_and_nothing_runs_between_shots() {
    let server = server().go();
    let (page, mut referee) = play(&server);
    let is_quiet = "frame === 0 && timers.size === 0 && flights.size + effects.length === 0";
    page.browser.until(is_quiet);
    let frames = page.browser.eval("frames").as_i64().expect("a number");
    // Each line that changes something is painted once.
    referee.send_line("cannon bob right 610 260 3");
    page.until_cannons(&["bob right 510 40 3", "zoe (you) left – – 0"]);
    page.browser.until(is_quiet);
    assert!(page.browser.eval("frames").as_i64().expect("a number") <= frames + 2);
    referee.send_line("shot 10 zoe 60 60");
    page.browser.until("flights.get('zoe')?.step > 20");
    page.browser.until("flights.get('zoe')?.effect?.how === 'ground'");
    let [steps, x, y] = end_of(&page, 60, 60);
    referee.send_line(format!("end {} zoe ground {x} {y}", 10 + steps));
    page.browser.until("flights.size === 0 && ghosts.size === 1");
    let side = if x < 610 { "short of" } else { "beyond" };
    page.until_news(&format!("Your shell (60°, 60) falls {} px {side} bob.", (610 - x).abs()));
    page.browser.until(is_quiet);
    // A referee that stops in the middle of a shot leaves no frame running.
    referee.send_line("shot 200 bob 60 80");
    page.browser.until("flights.has('bob')");
    drop(referee);
    page.until_banner("No referee is in this room, so nobody can fire. Start one, with the port for line clients:");
    page.browser.until(is_quiet);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn a_reload_in_the_middle_of_a_shot_keeps_member_cannon_and_shell() {
    let server = server().go();
    let (page, mut referee) = play(&server);
    referee.send_line("shot 10 zoe 84 100");
    page.browser.until("flights.has('zoe')");
    page.browser.reload();
    page.until_state("Playing as zoe");
    assert_eq!(page.browser.eval("flights.has('zoe')"), json!(true), "its shell flies on");
    page.until_cannons(&["bob right 500 50 3", "zoe (you) left – – 0"]);
    referee.send_line("end 110 zoe hit 600 250 bob");
    page.until_news("Your shell (84°, 100) hits bob: +1.");
    // The page asks for the state, and nobody has left.
    let heard = referee.lines_until(|line| line == "* zoe tells you: look");
    assert!(!heard.iter().any(|line| line.ends_with(" left") || line.ends_with(" joined")), "{heard:?}");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn with_reduced_motion_paths_stand_instead_of_flights() {
    let server = server().go();
    let (page, mut referee) = play(&server);
    page.browser.prefer(&[("prefers-reduced-motion", "reduce")]);
    page.browser.until("calm.matches && frame === 0");
    let frames = page.browser.eval("frames").as_i64().expect("a number");
    for name in ["zoe", "bob"] {
        referee.send_line(format!("shot 10 {name} 45 80"));
        referee.send_line(format!("end 60 {name} out 701 300"));
    }
    page.until_news("bob’s shell (45°, 80) leaves the field.");
    page.browser.until("ghosts.size === 2 && effects.length === 0 && frame === 0");
    assert!(page.browser.eval("frames").as_i64().expect("a number") <= frames + 4);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_of_the_game_passes_an_audit_and_fits_everywhere() {
    let server = server().go();
    let page = Page::open(&game_of(&server));
    page.until_banner("No referee is in this room, so nobody can fire. Start one, with the port for line clients:");
    assert_fit(&page, "bombards-alone");
    drop(page);
    let (page, mut referee) = play(&server);
    let mut bob = neighbour_in("bombards", &server, "bob");
    bob.send_line("W".repeat(300));
    let names: Vec<String> =
        (0..30).map(|n| format!("{:W<22}{n:02} right {} {} {n}", "", 420 + 8 * n, 160 + 7 * n)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    state(&mut referee, &[&["zoe left 100 300 0", "bob left 40 200 -12"], &names[..]].concat());
    page.browser.until("cannons.size === 32");
    assert_fit(&page, "bombards-crowded");
    page.browser.screen(NARROW);
    page.assert_nothing_overflows();
    let small =
        "Array.from(document.querySelectorAll('button, input, a')).filter((element) => element.checkVisibility())
        .filter((element) => element.getBoundingClientRect().height < 44).map((element) => element.id)";
    assert_eq!(page.browser.eval(small), json!([]), "a finger needs 44 px");
    page.browser.screen(DESK);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn hostile_lines_are_text_or_nothing() {
    let server = server().go();
    let (page, mut referee) = play(&server);
    page.browser
        .run("window.ran = []; addEventListener('securitypolicyviolation', (event) => ran.push(event.blockedURI))", ());
    let mut mallory = neighbour_in("bombards", &server, "mallory");
    let texts = [
        "cannon zoe right 1 1 1000",
        "bombards> cannons 0 tick 1",
        "<img src=x onerror=\"ran.push('img')\">",
        "</script><script>ran.push('script')</script>",
        "\u{202e}evil",
    ];
    for text in texts {
        mallory.send_line(text);
        mallory.send_line(format!("/msg zoe {text}"));
    }
    for line in
        ["shot 1 zoe 1e3 85", "end 1 zoe hit 9999999999 1", "cannon <b>x</b> left 10 10 1", "cannon zoe left NaN 1 1"]
    {
        referee.send_line(line);
    }
    for n in 0..300 {
        referee.send_line(format!("cannon n{n} left {n} {n} {n}"));
        referee.send_line(format!("shot {n} n{n} 85 100"));
    }
    mallory.send_line("the last");
    eventually("all is heard", || page.talk().last().is_some_and(|line| line == "mallory: the last"));
    assert_eq!(page.browser.eval("cannons.get('zoe').score"), json!(0));
    assert_eq!(page.browser.eval("cannons.size"), json!(64));
    assert_eq!(page.browser.eval("window.ran"), json!([]));
    assert_eq!(page.browser.eval("document.querySelectorAll('img, #talk script').length"), json!(0));
    assert!(page.talk().contains(&format!("mallory: {}", texts[2])), "{:?}", page.talk());
    page.picture(DESK, "bombards-hostile");
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_says_what_is_missing_and_what_to_do() {
    let server = server().go();
    let mut other = neighbour(&server, "zoe");
    let page = Page::open(&game_of(&server));
    page.until_banner("No referee is in this room, so nobody can fire. Start one, with the port for line clients:");
    assert_eq!(page.browser.text("#how"), "pollchat-bombards 127.0.0.1:PORT");
    let mut referee = referee(&server);
    page.until_banner("");
    referee.lines_until(|line| line.ends_with(" tells you: look"));
    page.browser.type_into("#name", &format!("zoe{}", key::ENTER));
    page.browser
        .until("document.getElementById('trouble').textContent === 'The name zoe is taken. Choose another name.'");
    other.send_line("/nick zora");
    other.lines_until(|line| line.ends_with("is now zora"));
    page.browser.click("#right");
    referee.lines_until(|line| line == "* zoe tells you: join right");
    referee.send_line("/nick judge");
    page.until_banner("No referee is in this room, so nobody can fire. Start one, with the port for line clients:");
    referee.send_line("/nick bombards");
    page.until_banner("");
    drop(server);
    page.until_banner("The connection is lost: trying again.");
    assert_eq!(page.browser.eval("document.getElementById('again').checkVisibility()"), Value::Bool(true));
}
