//! Consoles on pipes, files and closed descriptors.

use super::*;

/// Talk between two clients and the console's end, whatever stdin is.
#[track_caller]
fn serves_on(server: &mut Server) {
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    converse(&mut ana, &mut bob, 10);
    server.expect_log(&["server left ("]);
    server.expect_rest();
    server.assert_running();
}

fn started(stdin: impl Into<Stdio>) -> (Server, Screen) {
    let (source, stdout) = io::pipe().expect("a pipe");
    let mut screen = Screen::new(source);
    let flags = ["--console", "--announce-up-to", "0", "--history", "1000000"];
    let server = Server::builder().flags(flags).stdin(stdin).go_before(&mut screen, stdout);
    (server, screen)
}

#[test]
fn without_a_stdin_the_console_ends_and_the_server_serves() {
    for stdin in [Stdio::null(), File::open("/").unwrap().into(), File::create("/dev/null").unwrap().into()] {
        let (mut server, _screen) = started(stdin);
        serves_on(&mut server);
    }
}

#[test]
fn a_closed_stdin_and_a_closed_stdout_do_not_stop_it() {
    for (redirection, ends) in [("<&-", true), (">&-", false), ("<&- >&-", true)] {
        let address = std::net::TcpListener::bind("127.0.0.78:0").unwrap().local_addr().unwrap();
        let command = Server::builder().listen(&address.to_string()).flags(["--console"]).command();
        let program = command.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"exec "$0" "$@" {redirection}"#)]).arg(program).args(command.get_args());
        let (stdin, mut keyboard) = io::pipe().unwrap();
        let mut child = shell.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let talk = thread::spawn(move || {
            eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
            let mut ana = Client::connect(address);
            ana.greeted();
            if !ends {
                writeln!(keyboard, "can you hear me").unwrap();
                ana.lines_until(|line| line == "server> can you hear me");
            }
            ana.send_line("/msg server hello");
            let answer = if ends { "* nobody here is called server" } else { "* you told server: hello" };
            ana.lines_until(|line| line == answer);
        });
        let result = talk.join();
        let ended = child.try_wait().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        assert!(result.is_ok() && ended.is_none(), "{redirection}: {ended:?}");
    }
}

#[test]
fn a_file_is_said_whole_and_starves_nobody() {
    let path = std::env::temp_dir().join(format!("pollchat-console-{}", std::process::id()));
    let lines: String = (0..20_000).map(|index| format!("{}\n", numbered(index))).collect();
    std::fs::write(&path, &lines).unwrap();
    let (mut server, mut screen) = started(File::open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    screen.expect_all([FIRST_LINE, "FIN"]);
    // Who comes now is shown what the newer half of the tape holds of it.
    let mut ana = server.connect();
    ana.greeted();
    let earlier: usize = ana.line().split(' ').nth(1).unwrap().parse().unwrap();
    assert!(earlier > 10_000, "{earlier}");
    (20_000 - earlier..20_000).for_each(|index| ana.expect(format!("server> {}", numbered(index))));
    drop(ana);
    server.expect_log(&["server left (end of input; the console)"]);
    serves_on_after_history(&mut server);
}

#[track_caller]
fn serves_on_after_history(server: &mut Server) {
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    for client in [&mut ana, &mut bob] {
        client.lines_until(|line| line == format!("server> {}", numbered(19_999)));
    }
    converse(&mut ana, &mut bob, 10);
    server.expect_rest();
}

#[test]
fn a_stuck_stdout_falls_behind_and_holds_up_nobody() {
    let (server, mut desk) = quiet(&["--backlog", "256K"]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    // Nobody looks at the screen.
    say_numbered(&mut ana, &mut bob, 0, 20_000);
    desk.types("I see nothing\n");
    ana.expect("server> I see nothing");
    server.expect_rest();
    let (mut due, mut gaps) = (0, 0);
    while due < 20_000 {
        let line = desk.screen.line();
        if let Some(missed) = missed(&line) {
            (due, gaps) = (due + missed, gaps + 1);
        } else {
            assert_eq!(line, ana.says(numbered(due)));
            due += 1;
        }
    }
    assert_eq!((due, gaps), (20_000, 1));
    ana.send_line("again");
    desk.screen.expect(ana.says("again"));
}

#[test]
fn a_dead_stdout_ends_the_showing_and_nothing_else() {
    let (mut server, Desk { mut keyboard, screen }) = quiet(&[]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    drop(screen);
    converse(&mut ana, &mut bob, 10);
    writeln!(keyboard, "I am still here").unwrap();
    for client in [&mut ana, &mut bob] {
        client.lines_until(|line| line == "server> I am still here");
    }
    writeln!(keyboard, "/kick client-2").unwrap();
    bob.expect("* you were removed by the operator");
    server.expect_log(&["cannot write to stdout"]);
    assert_eq!(server.log().iter().filter(|line| line.contains("cannot write to stdout")).count(), 1);
    server.expect_rest();
    writeln!(keyboard, "FIN").unwrap();
    ana.lines_until(|line| line == "FIN");
    drop((ana, bob));
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
}

#[test]
fn a_stdout_that_was_stuck_may_die_as_well() {
    let (mut server, Desk { mut keyboard, screen }) = quiet(&["--backlog", "256K"]);
    let [mut ana, mut bob]: [Client; 2] = server.join_many();
    say_numbered(&mut ana, &mut bob, 0, 5_000);
    drop(screen);
    server.expect_log(&["cannot write to stdout"]);
    writeln!(keyboard, "still here").unwrap();
    ana.expect("server> still here");
    server.expect_rest();
    writeln!(keyboard, "FIN").unwrap();
    ana.expect("* the server is shutting down");
    ana.expect_farewell();
    drop((ana, bob));
    assert_eq!(server.wait(DEADLINE).code(), Some(0));
}

#[test]
fn a_full_disk_ends_the_showing_and_nothing_else() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let (stdin, mut keyboard) = io::pipe().unwrap();
    let address = std::net::TcpListener::bind("127.0.0.79:0").unwrap().local_addr().unwrap();
    let start = Server::builder().listen(&address.to_string()).flags(["--console"]);
    let mut child = start.command().stdin(stdin).stdout(full).stderr(Stdio::null()).spawn().unwrap();
    let talk = thread::spawn(move || {
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        let mut ana = Client::connect(address);
        ana.greeted();
        ana.send_line("hello");
        writeln!(keyboard, "hello").unwrap();
        ana.lines_until(|line| line == "server> hello");
    });
    let result = talk.join();
    let ended = child.try_wait().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(result.is_ok() && ended.is_none(), "{ended:?}");
}

#[test]
fn what_was_inherited_stays_as_blocking_as_it_was() {
    let (stdin, _keyboard) = io::pipe().unwrap();
    let (source, stdout) = io::pipe().unwrap();
    let (_terminal, line) = pseudo_terminal();
    let ends: [(std::os::fd::OwnedFd, std::os::fd::OwnedFd); 2] =
        [(stdin.into(), stdout.into()), (line.try_clone().unwrap().into(), line.into())];
    drop(source);
    for (stdin, stdout) in ends {
        let shared = [stdin.try_clone().unwrap(), stdout.try_clone().unwrap()];
        let address = std::net::TcpListener::bind("127.0.0.80:0").unwrap().local_addr().unwrap();
        let start = Server::builder().listen(&address.to_string()).flags(["--console"]);
        let mut child = start.command().stdin(stdin).stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
        let flags = shared.map(|fd| rustix::fs::fcntl_getfl(fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(flags, [false, false]);
    }
}

#[test]
fn it_rests_with_a_console_whatever_that_is() {
    let (server, mut desk) = quiet(&[]);
    let mut ana = server.join();
    desk.types("hello\n");
    ana.expect("server> hello");
    server.expect_rest();
    let (_keyboard_side, line) = pseudo_terminal();
    let server = Server::builder().flags(["--console"]).stdin(line).go();
    eventually("the console is open", || server.stdout().len() == 2);
    server.expect_rest();
}
