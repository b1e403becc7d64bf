//! Servers that are hostile or slow, and a stdout that is stuck.

use super::*;

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"ana> \x1b[2J\x07\xfe\xc2\x9b\r!\r\nb\0b\t\xe2\x80\xae\nFIN\n").unwrap();
    client.ends(0, "ana> \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}!\nbb\t\u{fffd}\nFIN\n", "");
}

#[test]
fn an_endless_line_is_cut_and_the_next_one_is_whole() {
    let (mut client, mut server) = conversation();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    let long = format!("ana> {}", "é".repeat(100_000));
    server.write_all(format!("{long}\nben> hello\nFIN\n").as_bytes()).unwrap();
    let shown = client.exits(0).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    let [first, rest @ .., "ben> hello", "FIN"] = &lines[..] else { panic!("{} lines", lines.len()) };
    let pieces: Vec<&str> = rest.iter().map(|piece| piece.strip_prefix("… ").expect("marked as continued")).collect();
    assert_eq!(pieces.len(), 3);
    assert!([&[*first], &pieces[..]].concat().concat() == long);
}

#[test]
fn no_flood_makes_it_grow() {
    let (mut client, mut server) = conversation_with(|command| command.stdout(Stdio::null()));
    // A line that never ends, of bytes that each become three when they are shown; more than the kernel takes.
    for _ in 0..1600 {
        server.write_all(&[0xfe; 10_000]).unwrap();
    }
    client.expect_small();
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"\nFIN\n").unwrap();
    client.ends(0, "", "");
}

#[test]
fn a_slow_server_gets_every_byte_and_nothing_is_hoarded() {
    let typed = numbered_lines(16 << 20);
    let (client, mut server) = conversation_with(|command| command.stdin(temporary_file(typed.as_bytes())));
    // It does not read: the client fills what the kernel has, and then sleeps, though a file can always be read.
    client.wait_until("it reads its file", |client| client.stdin_offset() > 64 << 10);
    client.wait_until_asleep();
    assert!(client.stdin_offset() < 16 << 20, "the kernel took all of it");
    client.expect_small();
    assert!(read_to_end(&mut server) == typed);
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn a_slow_server_is_told_all_that_comes_through_a_pipe() {
    let typed = numbered_lines(8 << 20);
    let (mut client, mut server) = conversation();
    let mut stdin = client.child.stdin.take().unwrap();
    let sent = typed.clone();
    let typist = thread::spawn(move || stdin.write_all(sent.as_bytes()).unwrap());
    let mut read = Vec::new();
    let mut piece = vec![0; 37_001];
    while let Ok(len @ 1..) = server.read(&mut piece) {
        read.extend_from_slice(&piece[..len]);
    }
    assert!(read == typed.as_bytes());
    typist.join().unwrap();
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_stuck_stdout_does_not_stop_what_is_typed() {
    let (reader, stdout) = io::pipe().unwrap();
    let (mut client, server) = conversation_with(|command| command.stdout(stdout));
    stuck_stdout_does_not_stop_what_is_typed(&mut client, &server, reader.into(), "\n");
    assert!(client.exits(1).stderr.contains("the last of 2 lines may not have been said"));
}

#[test]
fn a_stuck_terminal_does_not_stop_what_is_typed() {
    let (terminal, line) = pseudo_terminal();
    let (mut client, server) = conversation_with(|command| command.stdout(line));
    stuck_stdout_does_not_stop_what_is_typed(&mut client, &server, terminal.into(), "\r\n");
    assert!(client.exits(1).stderr.contains("the last of 2 lines may not have been said"));
}

/// The server says more than all buffers take while nobody reads the client's stdout at `reader`; then somebody does.
fn stuck_stdout_does_not_stop_what_is_typed(
    client: &mut Client,
    mut server: &TcpStream,
    reader: OwnedFd,
    newline: &str,
) {
    let said = format!("* hello\n{}FIN\n", numbered_lines(16 << 20));
    let (hello, mut unsaid) = said.as_bytes().split_at(8);
    // One short line first, so that nothing that comes after it fits exactly.
    server.write_all(hello).unwrap();
    assert!(becomes_ready(&reader, PollFlags::IN), "nothing is shown");
    // The client sleeps with something to read: its stdout is what it waits for.
    wait_until("stdout is stuck", || {
        say_what_is_taken(server, &mut unsaid);
        client.is_asleep() && !is_ready(server, PollFlags::OUT)
    });
    client.expect_small();
    for typed in ["hello\n", "hello again\n"] {
        client.type_in(typed);
        expect(&mut server, typed);
    }
    let output = Output::of(File::from(reader));
    server.write_all(unsaid).unwrap();
    assert!(output.whole() == said.replace('\n', newline));
}

fn say_what_is_taken(mut server: &TcpStream, unsaid: &mut &[u8]) {
    server.set_nonblocking(true).unwrap();
    while let Ok(len) = server.write(unsaid) {
        *unsaid = &unsaid[len..];
        assert!(!unsaid.is_empty(), "the kernel took all of it");
    }
    server.set_nonblocking(false).unwrap();
}
