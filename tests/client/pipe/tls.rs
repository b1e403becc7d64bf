//! The same conversations over TLS, and servers that are not trusted.

use super::cut::talk_while_cut;
use super::*;
use crate::support::Server;
use crate::support::cutting_proxy::CuttingProxy;
use crate::support::tls_front::{Identity, Manner, TlsFront};

/// A client of `server`, whose certificate is that of `identity`.
fn client_over_tls(server: SocketAddr, identity: &Identity, args: &[&str]) -> Client {
    let mut command = client_of(format!("tls://{server}"));
    Client::start(command.arg("--ca").arg(identity.file()).args(args))
}

/// A client over TLS, and the plain server behind its front.
fn conversation_over_tls(manner: Manner, args: &[&str]) -> (Client, TcpStream, TlsFront) {
    let listener = listen("127.0.0.1:0");
    let identity = Identity::of("127.0.0.1");
    let front = TlsFront::with(address(&listener), &identity, manner);
    let client = client_over_tls(front.address(), &identity, args);
    (client, accept(&listener), front)
}

#[test]
fn a_conversation_ends_as_without_tls() {
    for manner in [Manner::Whole, Manner::Bytewise] {
        let (mut client, mut server, _front) = conversation_over_tls(manner, &[]);
        server.write_all(b"* you are client-1; /help lists what you can do\n").unwrap();
        client.type_in("hello\n");
        expect(&mut server, "hello\n");
        server.write_all(b"ana> hi\n").unwrap();
        client.stdout().wait_for("ana> hi\n");
        client.end_stdin();
        // The goodbye of TLS is an end for the server behind the front.
        assert_eq!(read_to_end(&mut server), "");
        server.write_all(b"ana> bye\nFIN\n").unwrap();
        client.ends(0, "* you are client-1; /help lists what you can do\nana> hi\nana> bye\nFIN\n", "");
    }
}

#[test]
fn a_server_that_closes_in_good_order_needs_no_fin() {
    let (mut client, mut server, _front) = conversation_over_tls(Manner::Whole, &[]);
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"ana> one\na last line without its end").unwrap();
    drop(server);
    client.ends(0, "ana> one\na last line without its end\n", "");
}

#[test]
fn much_text_goes_both_ways_at_once() {
    let (mut client, mut server, _front) = conversation_over_tls(Manner::Whole, &[]);
    server.write_all(b"* you are client-1; /help lists what you can do\n").unwrap();
    let text = numbered_lines(2 << 20);
    let (up, down) = (text.clone(), text.clone());
    let mut for_thread = server.try_clone().unwrap();
    let says = thread::spawn(move || for_thread.write_all(down.as_bytes()).unwrap());
    let mut stdin = client.child.stdin.take().unwrap();
    let types = thread::spawn(move || stdin.write_all(up.as_bytes()).unwrap());
    let heard = read_to_end(&mut server);
    types.join().unwrap();
    says.join().unwrap();
    assert!(heard == text, "{} bytes instead of {}", heard.len(), text.len());
    client.expect_small();
    server.write_all(b"FIN\n").unwrap();
    client.wait_for_exit();
    let exit = client.exits(0);
    assert!(exit.stdout == format!("* you are client-1; /help lists what you can do\n{text}FIN\n"));
}

#[test]
fn a_server_that_is_not_trusted_hears_nothing_and_is_never_tried_again() {
    let listener = listen("127.0.0.1:0");
    let mine = Identity::of("127.0.0.1");
    let other_host = Identity::of("chat.lan");
    let expired = Identity::with("127.0.0.1", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let pin_of = |identity: &Identity| ["--pin".to_owned(), identity.pin.clone()];
    let ca_of = |identity: &Identity| ["--ca".to_owned(), identity.file().display().to_string()];
    let another = Identity::of("127.0.0.1");
    for (identity, trust, why) in [
        (
            &mine,
            ca_of(&another),
            format!(
                "its certificate was issued by no authority that this client trusts (unknown issuer); \
                 if the server prints the pin {} at its start, give it with --pin",
                mine.pin
            ),
        ),
        (
            &other_host,
            ca_of(&other_host),
            "its certificate is for chat.lan, not for 127.0.0.1 (name mismatch)".to_owned(),
        ),
        (&expired, ca_of(&expired), "its certificate expired on 2020-01-02 at 00:00 UTC".to_owned()),
        (&mine, pin_of(&another), format!("its key has the pin {}, not the {} of --pin", mine.pin, another.pin)),
    ] {
        for how in ["--plain", "--reconnect", "--json", "--send=hello"] {
            let front = TlsFront::start(address(&listener), identity);
            let mut command = client_of(format!("tls://{}", front.address()));
            let client = Client::start_with(command.args(&trust).arg(how), "hello\n");
            client.ends(1, "", &format!("pollchat-client: cannot trust {}: {why}\n", front.address()));
            assert_eq!((front.connections(), front.handshakes()), (1, 0));
        }
    }
    assert!(!is_ready(&listener, PollFlags::IN), "nobody was let through");
}

#[test]
fn a_pin_is_enough() {
    let identity = Identity::with("chat.lan", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 2));
    let listener = listen("127.0.0.1:0");
    let front = TlsFront::start(address(&listener), &identity);
    let mut command = client_of(front.address());
    let mut client = Client::start(command.args(["--tls", "--pin", &identity.pin]));
    let mut server = accept(&listener);
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn the_next_connection_of_a_pipe_leads_to_no_stranger() {
    for is_tracked in [false, true] {
        let server = Server::start(&[]);
        let [mine, stranger] = ["127.0.0.1", "127.0.0.1"].map(Identity::of);
        let front = TlsFront::start(server.address(), &mine);
        let proxy = CuttingProxy::start(front.address());
        let args: &[&str] = if is_tracked { &["--json"] } else { &["--reconnect", "--nick", "ana"] };
        let mut command = client_of(format!("tls://{}", proxy.address()));
        let mut client = Client::start(command.args(["--pin", &mine.pin]).args(args));
        client.type_in("one\n");
        client.stdout().wait_for(if is_tracked { r#""text":"one""# } else { "* you are " });
        front.become_another(&stranger);
        proxy.cut();
        let exit = client.exits(1);
        let why = format!("its key has the pin {}, not the {} of --pin", stranger.pin, mine.pin);
        let last = exit.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("pollchat-client: cannot trust {}: {why}", proxy.address())), "{last}");
        assert_eq!((front.connections(), front.handshakes()), (2, 1));
    }
}

#[test]
fn an_end_without_a_goodbye_of_tls_is_a_lost_connection() {
    let (client, mut server, front) = conversation_over_tls(Manner::CutOff, &[]);
    server.write_all(b"* you are client-1; /help lists what you can do\nana> one\nana> half a").unwrap();
    drop(server);
    client.ends(
        1,
        "* you are client-1; /help lists what you can do\nana> one\n",
        &format!(
            "pollchat-client: the connection to {} was lost: it ended without a goodbye of TLS (close_notify)\n",
            front.address()
        ),
    );
}

#[test]
fn a_lost_connection_is_made_again() {
    let listener = listen("127.0.0.1:0");
    let identity = Identity::of("127.0.0.1");
    let front = TlsFront::with(address(&listener), &identity, Manner::CutOff);
    let mut client = client_over_tls(front.address(), &identity, &["--reconnect"]);
    for number in 0..2 {
        let mut server = accept(&listener);
        server.write_all(b"* you are client-1; /help lists what you can do\n").unwrap();
        if number == 0 {
            refuse_track(&mut server);
        }
        client.type_in(&format!("line {number}\n"));
        expect(&mut server, &format!("line {number}\n"));
        if number == 1 {
            server.write_all(b"FIN\n").unwrap();
        }
    }
    client.stderr().wait_for("it ended without a goodbye of TLS (close_notify); trying again\n");
    client.exits(1);
}

#[test]
fn ciphertext_that_is_cut_at_any_byte_loses_and_doubles_nothing() {
    for seed in 1..=3 {
        let server = Server::start(&["--history", "5", "--resume-within", "60"]);
        let identity = Identity::of("127.0.0.1");
        let front = TlsFront::start(server.address(), &identity);
        // The handshake takes about 700 bytes of the server, and 400 of the client.
        let proxy = CuttingProxy::chaotic_after(700, front.address(), seed * 0x9e37_79b9);
        let client = client_over_tls(proxy.address(), &identity, &["--reconnect", "--nick", "ana"]);
        let exit = talk_while_cut(client, server.join(), &proxy);
        let shown: Vec<&str> = exit.stdout.lines().filter(|line| line.starts_with("client-1> b")).collect();
        assert!(shown.is_sorted_by_key(|line| line["client-1> b".len()..].parse::<u32>().unwrap()), "{shown:?}");
    }
}

#[test]
fn a_port_of_the_other_kind_is_told_with_advice() {
    for said in ["* this is a chat relay and speaks no TLS: goodbye\nFIN\n", "220 mail.lan ESMTP\r\n"] {
        let listener = listen("127.0.0.1:0");
        let at = address(&listener);
        let client = Client::start(client_of(format!("tls://{at}")).args(["--pin", &Identity::of("x").pin]));
        accept(&listener).write_all(said.as_bytes()).unwrap();
        let advice = "no TLS is spoken on this port: write tcp:// for a port without it";
        client.ends(1, "", &format!("pollchat-client: cannot connect to {at}: {advice}\n"));
    }
    let told = "* this port speaks TLS: goodbye\n";
    for args in [&[][..], &["--reconnect"], &["--listen"]] {
        let (client, mut server) = conversation_with(|command| command.args(args));
        let at = server.local_addr().unwrap();
        server.write_all(told.as_bytes()).unwrap();
        drop(server);
        let advice = format!("pollchat-client: the server at {at} speaks TLS on this port: write tls://{at}\n");
        client.ends(1, told, &advice);
    }
}

#[test]
fn a_server_that_never_answers_the_hello_is_given_up() {
    let listener = listen("127.0.0.1:0");
    let at = address(&listener);
    let client = Client::start(client_of(format!("tls://{at}")).args(["--pin", &Identity::of("x").pin]));
    let _silent = accept(&listener);
    let why = "the server did not finish the TLS handshake";
    client.ends(1, "", &format!("pollchat-client: cannot connect to {at}: {why}\n"));
}

#[test]
fn a_system_without_authorities_is_told() {
    let mut command = client_of("tls://127.0.0.1:1");
    command.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
    let exit = Client::start(&mut command).exits(1);
    let why = "pollchat-client: no certificates of authorities are installed here (";
    assert!(exit.stderr.starts_with(why), "{}", exit.stderr);
    assert_eq!(exit.stderr.lines().count(), 1, "{}", exit.stderr);
}

#[test]
fn flags_that_contradict_each_other_are_wrong_usage() {
    let pin = Identity::of("x").pin;
    for (args, told) in [
        (&["tcp://chat.lan", "--tls"][..], "the scheme is one without encryption, and --tls asks for it"),
        (&["chat.lan", "--pin", &pin], "--pin requires TLS: write tls://chat.lan, or add --tls"),
        (&["chat.lan", "--ca", "file"], "--ca requires TLS: write tls://chat.lan, or add --tls"),
        (&["tls://chat.lan", "--ca", "file", "--pin", &pin], "cannot be used with"),
        (&["tls://chat.lan", "--pin", "SHA256:short"], "a pin is SHA256: and 43 characters of base64"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollchat-client"));
        let exit = Client::start(piped(&mut command).args(args)).exits(2);
        assert!(exit.stderr.contains(told), "{}", exit.stderr);
    }
}
