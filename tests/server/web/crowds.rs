//! Crowds on the page's port: whatever they do, the room goes on, and what they held is given back.

use crate::support::http::{WebServer, Wire, head};
use crate::support::{Client, Member, Server, converse, crowd, eventually};

#[test]
fn a_crowd_that_never_finishes_its_requests_is_in_nobodys_way() {
    let server = WebServer::quiet(&[]);
    let [mut ana, mut ben] = server.join_many();
    let before = server.descriptors();
    // An eighth of the descriptors is for visitors; a few of those are for the ones below.
    let crowd: Vec<Wire> = (0..crowd(4_000) / 8 - 10)
        .map(|number| {
            let mut visitor = server.visit();
            visitor.push(&head(&["GET / HTTP/1.1", &server.host_field()])[..number % 20]);
            visitor
        })
        .collect();
    converse(&mut ana, &mut ben, 100);
    let mut late = server.join();
    converse(&mut ana, &mut late, 10);
    assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
    let mut cia = server.browser();
    assert_eq!(cia.who().last().map(String::as_str), Some("* 4 here"));
    for mut visitor in crowd {
        assert!(visitor.ends(), "it is let go");
    }
    eventually("their descriptors are given back", || server.descriptors() <= before + 2);
}

#[test]
fn visitors_do_not_keep_clients_out_however_few_descriptors_there_are() {
    let flags = ["--announce-up-to", "0", "--max-clients", "8"];
    let server = WebServer::go(Server::builder().flags(flags).descriptors(64));
    let crowd: Vec<Wire> = (0..200).map(|_| server.visit()).collect();
    // As many as may be in the room.
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(Client::greeted);
    let [first, .., last] = &mut clients[..] else { unreachable!() };
    converse(first, last, 20);
    // Other visitors are told that it is full, as far as there are descriptors for that.
    let mut visitor = server.visit();
    visitor.push(head(&["GET / HTTP/1.1", &server.host_field()]));
    let rest = String::from_utf8(visitor.rest()).expect("UTF-8");
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{rest}");
    drop(crowd);
    eventually("the page is there again", || {
        let mut visitor = server.visit();
        visitor.push(head(&["GET / HTTP/1.1", &server.host_field()])) && visitor.response().status == 200
    });
}

#[test]
fn what_visitors_held_is_given_back() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    // Once around first: what the first visit brings for good is no leak.
    server.browser().close(Some(1000));
    ana.who();
    // One who has just left may still be among them.
    let before = server.descriptors();
    for round in 0..100 {
        match round % 5 {
            0 => drop(server.ask("GET / HTTP/1.1")),
            1 => server.browser().close(Some(1001)),
            2 => server.browser().wire.reset(),
            3 => drop(server.browser()),
            _ => server.visit().reset(),
        }
    }
    eventually("all descriptors are given back", || server.descriptors() <= before);
    eventually("nobody is left in the room", || ana.who().len() == 2);
}

#[test]
fn the_crowd_that_left_is_left_in_no_memory_either() {
    let server = WebServer::quiet(&[]);
    let mut ana = server.join();
    let visit = |count: usize| {
        for _ in 0..count {
            assert_eq!(server.ask("GET / HTTP/1.1").status, 200);
            server.browser().close(None);
        }
    };
    visit(200);
    ana.who();
    let before = server.resident_bytes();
    visit(1_000);
    ana.who();
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 1024 * 1024, "{grown} bytes more");
}
