//! Each kind of stdin.

use super::*;

#[test]
fn a_pipe_is_delivered_whole_and_ends_by_itself() {
    let (mut client, mut server) = conversation();
    client.type_in("a\nb\n");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "a\nb\n");
    server.write_all(b"* you are client-7\nFIN\n").unwrap();
    client.ends(0, "* you are client-7\nFIN\n", "");
}

#[test]
fn a_last_line_without_its_end_is_delivered_too() {
    let (mut client, mut server) = conversation();
    client.type_in("a\nexi");
    client.end_stdin();
    assert_eq!(read_to_end(&mut server), "a\nexi");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_pipe_that_ends_without_data_is_an_end() {
    let (mut client, mut server) = conversation();
    client.wait_until_asleep();
    client.end_stdin(); // A hang-up alone, with nothing to read.
    assert_eq!(read_to_end(&mut server), "");
    drop(server);
    client.ends(0, "", "");
}

#[test]
fn a_file_is_delivered_whole_and_ends_by_itself() {
    let text = numbered_lines(300_000);
    let file = temporary_file(text.as_bytes());
    let (client, mut server) = conversation_with(|command| command.stdin(file));
    assert_eq!(read_to_end(&mut server), text);
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn an_empty_stdin_shows_what_the_server_says_and_ends() {
    let (client, mut server) = conversation_with(|command| command.stdin(Stdio::null()));
    assert_eq!(read_to_end(&mut server), "");
    server.write_all("* hello\nana> café\n".as_bytes()).unwrap();
    drop(server);
    client.ends(0, "* hello\nana> café\n", "");
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let listener = listen("127.0.0.1:0");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"exec "$0" "$1" <&-"#, env!("CARGO_BIN_EXE_pollchat-client")]);
    shell.arg(address(&listener).to_string());
    let client = Client::start(&mut shell);
    let mut server = accept(&listener);
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "FIN\n", "");
}

#[test]
fn a_stdin_that_cannot_be_read_is_told() {
    let (client, _server) = conversation_with(|command| command.stdin(File::open("/").unwrap()));
    client.ends(1, "", "pollchat-client: cannot read stdin: Is a directory (os error 21)\n");
}

#[test]
fn a_terminal_is_talked_through_plainly_if_asked_for_and_its_mode_left_alone() {
    let (mut terminal, line) = pseudo_terminal();
    let inherited = line.try_clone().unwrap();
    let (client, mut server) = conversation_with(|command| {
        command.arg("--plain").stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line)
    });
    let mut screen = Output::of(terminal.try_clone().unwrap());
    terminal.write_all(b"hello\n").unwrap();
    expect(&mut server, "hello\n");
    server.write_all(b"ana> hi\n").unwrap();
    screen.wait_for("ana> hi\r\n");
    let flags = rustix::fs::fcntl_getfl(&inherited).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK), "the shell would inherit {flags:?}");
    terminal.write_all(b"\x04").unwrap(); // Ctrl-D
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
    screen.wait_for("FIN\r\n");
}

#[test]
fn inherited_pipes_stay_blocking() {
    let (stdin, mut typist) = io::pipe().unwrap();
    let (reader, stdout) = io::pipe().unwrap();
    let (ours_in, ours_out) = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
    let (client, mut server) = conversation_with(|command| command.stdin(stdin).stdout(stdout));
    typist.write_all(b"hello\n").unwrap();
    expect(&mut server, "hello\n");
    server.write_all(b"ana> hi\n").unwrap();
    Output::of(reader).wait_for("ana> hi\n");
    for fd in [ours_in.as_fd(), ours_out.as_fd()] {
        assert!(!rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
    }
    drop(typist);
    assert_eq!(read_to_end(&mut server), "");
    server.write_all(b"FIN\n").unwrap();
    client.ends(0, "", "");
}
