//! Signals: the end in good order, the second signal, SIGHUP, stop and continue.

use super::*;

#[test]
fn sigint_and_sigterm_end_it_with_0_even_with_a_stuck_client() {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut server, [mut a, mut b], stuck) = with_a_stuck_client(&[]);
        let start = Instant::now();
        server.signal(signal);
        for client in [&mut a, &mut b] {
            client.expect("* the server is shutting down");
            client.expect_farewell();
        }
        let status = server.wait(SHUTDOWN + SLACK);
        assert_eq!(status.code(), Some(0), "after {:?}", start.elapsed());
        drop(stuck);
    }
}

#[test]
fn those_who_talk_without_end_do_not_hold_it_up() {
    let mut server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    converse(&mut a, &mut b, 1);
    let flooders: [Client; 3] = server.join_many();
    let chunk = "and another thing\n".repeat(1000);
    let floods = flooders.map(|flooder| {
        let chunk = chunk.clone();
        thread::spawn(move || while (flooder.stream()).write_all(chunk.as_bytes()).is_ok() {})
    });
    b.lines_until(|line| line.ends_with("> and another thing"));
    server.signal(Signal::TERM);
    assert_eq!(server.wait(SHUTDOWN + SLACK).code(), Some(0));
    for flood in floods {
        flood.join().expect("the connection ends with the server");
    }
    drop(a);
}

#[test]
fn with_nobody_there_it_ends_without_waiting() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        assert_eq!(server.wait(DEADLINE).code(), Some(0));
        server.drained();
    }
}

#[test]
fn nobody_is_let_in_during_the_shutdown() {
    let (mut server, [mut a, _b], stuck) = with_a_stuck_client(&[]);
    server.signal(Signal::TERM);
    a.expect("* the server is shutting down");
    if let Ok(stream) = TcpStream::connect(server.address()) {
        stream.set_read_timeout(Some(DEADLINE)).expect("connected");
        let mut got = Vec::new();
        let _ = (&stream).read_to_end(&mut got);
        let got = String::from_utf8_lossy(&got);
        assert!(!got.contains("you are"), "{got}");
    }
    assert_eq!(server.wait(SHUTDOWN + SLACK).code(), Some(0));
    drop(stuck);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // The first alone takes two seconds with one who is stuck. A slow machine has three tries to show less.
    let is_quick = || {
        let (mut server, [mut a, _b], stuck) = with_a_stuck_client(&[]);
        server.signal(Signal::TERM);
        a.expect("* the server is shutting down");
        let start = Instant::now();
        server.signal(Signal::TERM);
        server.wait(DEADLINE);
        drop(stuck);
        start.elapsed() < SHUTDOWN / 2
    };
    assert!((0..3).any(|_| is_quick()), "it was not at once");
}

#[test]
fn sighup_does_not_end_it() {
    let mut server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    server.signal(Signal::HUP);
    converse(&mut a, &mut b, 10);
    server.signal(Signal::HUP);
    server.join();
    converse(&mut a, &mut b, 10);
    server.assert_running();
}

#[test]
fn lines_flow_again_after_stop_and_cont() {
    let mut server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    for round in 0..5 {
        server.signal(Signal::STOP);
        a.send_line(format!("meanwhile {round}"));
        let mut newcomer = server.connect();
        server.signal(Signal::CONT);
        b.expect(a.says(format!("meanwhile {round}")));
        newcomer.greeted();
        newcomer.send_line("FIN");
        newcomer.lines_until(|line| line == "FIN");
        converse(&mut a, &mut b, 2);
    }
    server.assert_running();
}

#[test]
fn it_can_be_stopped_and_continued_while_idle() {
    let mut server = Server::quiet(&[]);
    let [mut a, mut b] = server.join_many();
    for _ in 0..20 {
        server.signal(Signal::STOP);
        server.signal(Signal::CONT);
        ask(&mut a, &mut b, "still there");
    }
    server.assert_running();
}
