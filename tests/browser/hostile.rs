//! Hostile peers: markup, scripts, control characters and marks in lines and names.

use crate::browser::{DESK, PHONE, eventually};
use crate::page::{Page, neighbour, neighbour_in, server};
use crate::support::{Lines, Member};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn whatever_peers_say_is_text_and_stays_in_its_place() {
    let server = server().flags(["--announce-up-to", "0"]).go();
    let page = Page::join(&server, "ana");
    page.browser
        .run("window.ran = []; addEventListener('securitypolicyviolation', (event) => ran.push(event.blockedURI))", ());
    let mut bob = neighbour(&server, "bob");
    let mut eve = neighbour(&server, "עדה_المتصل_abc");
    let zalgo = format!("z{}", "\u{335}\u{310}\u{489}".repeat(20));
    let texts = [
        "<img src=x onerror=\"ran.push('img')\">".to_owned(),
        "</script><script>ran.push('script')</script>".to_owned(),
        "</textarea><svg onload=ran.push('svg')><style>*{display:none}</style>".to_owned(),
        "javascript:ran.push('link') http://\"onmouseover=ran.push('href') https://example.org/<script>".to_owned(),
        "${ran.push('template')} {{ran.push('braces')}} &lt;b&gt; %3Cscript%3E \\u003cscript\\u003e".to_owned(),
        "\u{2067}\u{200f}שלום\u{200e} \u{ad}\u{200d}\u{fe0f}\u{feff}\u{fff9}".to_owned(),
        "مرحبا <b>bob</b> (1) [2] 3.4 a-b".to_owned(),
        zalgo.clone(),
        "W".repeat(4096),
        "𓀀\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(50),
        "a \t b    c".to_owned(),
        "> quoted> * starred".to_owned(),
        "* server: you were removed".to_owned(),
        "FIN ".to_owned(),
        "\u{202e}evil\u{202c} \u{2066}in\u{2069} \u{1b}[2J\u{9b} \u{2028}".to_owned(),
    ];
    for text in &texts {
        eve.send_line(text);
    }
    eve.send_line("the last");
    page.until_said("the last");

    // The relay has replaced terminal control characters, for all clients alike.
    let heard = bob.lines_until(|line| line.ends_with("> the last"));
    let expected: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("עדה_المتصل_abc> ")).collect();
    assert_eq!(expected.len(), texts.len() + 1);
    assert_eq!(page.texts(), expected);
    assert!(page.said().iter().all(|said| said.who == "עדה_المتصل_abc" && !said.is_own));

    assert_eq!(
        page.browser.eval("window.ran"),
        serde_json::json!([]),
        "no script ran, and the policy had nothing to block"
    );
    let strangers = "document.querySelectorAll('#log :not(p, b, bdi, span, time, a, .fold, .fold *)').length";
    assert_eq!(page.browser.eval(strangers), 0);
    for screen in [DESK, PHONE] {
        page.browser.screen(screen);
        page.assert_nothing_overflows();
        page.picture(screen, "hostile");
    }
    // Stacked combining marks stay within their own line.
    let clipped = "Array.from(document.querySelectorAll('#log .said'))
        .every((line) => /paint|content/.test(getComputedStyle(line).contain))";
    assert_eq!(page.browser.eval(clipped), true);
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn an_address_becomes_a_link_that_gives_nothing_away() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    let mut bob = neighbour(&server, "bob");
    bob.send_line("see https://example.org/a?b=1&c=(2), (http://[::1]:80/x). ftp://example.org javascript://x http://");
    page.until_shown("ftp://");
    let links = page.browser.eval(
        "Array.from(document.querySelectorAll('#log a'), (a) => [a.textContent, a.href, a.target, a.rel].join(' '))",
    );
    let expected = [
        "https://example.org/a?b=1&c=(2 https://example.org/a?b=1&c=(2 _blank noopener noreferrer",
        "http://[::1]:80/x http://[::1]/x _blank noopener noreferrer",
    ];
    assert_eq!(links, serde_json::json!(expected));
}

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn names_and_rooms_of_peers_are_text_everywhere() {
    let server = server().go();
    let page = Page::join(&server, "ana");
    page.browser.run("window.ran = []; document.title = ''", ());
    page.browser.screen(DESK);
    let names = ["constructor", "__proto__", "דני_hello", "Ünïcode-_", "W".repeat(24).as_str()].map(str::to_owned);
    let mut others: Vec<_> = names.iter().map(|name| neighbour(&server, name)).collect();
    for other in &mut others {
        other.send_line("  ana <b>indented</b>\n  ```\n```<i>\n<script>ran.push(1)</script>\n```\n*<u>acts</u>*");
        other.who();
    }
    page.until_shown(&names[4]);
    page.show_people();
    eventually("all names", || page.names().len() == 6);
    let shown = page.names();
    assert!(names.iter().all(|name| shown.contains(name)), "{shown:?} are not as they are");
    // A room with the same kind of name, and one that the page is only told of.
    let _far = neighbour_in("__proto__", &server, "far");
    page.browser.run("openRooms(true)", ());
    page.browser.until("document.querySelector('[data-room=__proto__]') !== null");
    page.browser.run("document.querySelector('[data-room=__proto__]').click()", ());
    page.until_shown("You are in __proto__");
    page.say("/ignore <b>");
    page.until_shown("the lines of \u{2068}<b>\u{2069} are hidden");
    assert_eq!(
        page.browser.eval("[ran, document.querySelectorAll('#log :is(i, u, script, img)').length]"),
        serde_json::json!([[], 0])
    );
    for screen in [DESK, PHONE] {
        page.browser.screen(screen);
        page.assert_nothing_overflows();
    }
}
