//! The page over https, and its WebSocket over wss.

use rustix::process::Signal;

use crate::page::{Page, neighbour, page_of};
use crate::support::tls_client::Certificates;
use crate::support::{Lines, Member, Server};

#[test]
#[ignore = "needs Chromium: tests/browser/run"]
fn the_page_over_https_talks_over_wss_and_notices_no_new_certificate() {
    let (certificates, next) = (Certificates::new(), Certificates::new());
    let server = Server::builder().flags(["--web-tls", "127.0.0.1:0"]).flags(certificates.flags()).go();
    let mut bob = neighbour(&server, "bob");
    let page = Page::open_trusting(&page_of(&server), &[certificates.pin(), next.pin()]);
    assert_eq!(page.browser.eval("location.protocol"), "https:");
    page.connect("ana");
    let talk = |bob: &mut crate::support::Client, round: &str| {
        page.say(&format!("{round} from a page"));
        bob.lines_until(|line| line == format!("ana> {round} from a page"));
        bob.send_line(format!("{round} from a line"));
        page.until_said(&format!("{round} from a line"));
    };
    talk(&mut bob, "first");

    for name in ["cert.pem", "key.pem"] {
        certificates.write(name, next.read(name));
    }
    server.signal(Signal::HUP);
    server.expect_log(&["TLS with the certificate", &next.pin()]);
    talk(&mut bob, "second");
    assert!(!page.shows("Lines may be missing here"));
    // The new handshake has the new certificate.
    page.browser.reload();
    page.until_state("Connected as ana");
    talk(&mut bob, "third");
    assert_eq!(page.browser.complaints(), [""; 0]);
}
