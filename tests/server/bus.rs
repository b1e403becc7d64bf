//! Two servers that share their rooms through a real redis-server. `tests/system/bus` does the same with many faults.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Client, Lines, Member, RedisServer, Server, ask, converse, eventually, missed};

/// The line that a room is told when its server is cut off.
const CUT_OFF: &str = "** cut off from the other servers: what you say waits";

/// A server on this Redis that announces neither joins nor leaves.
fn start(redis: &RedisServer, flags: &[&str]) -> Server {
    announcing(redis, &[&["--announce-up-to", "0"][..], flags].concat())
}

fn announcing(redis: &RedisServer, flags: &[&str]) -> Server {
    Server::builder().env("POLLCHAT_BUS", &redis.url()).flags(flags).go()
}

/// Two servers, and a client at each.
fn pair(redis: &RedisServer) -> ([Server; 2], Client, Client) {
    let servers = [start(redis, &[]), start(redis, &[])];
    let (ana, bob) = (servers[0].join(), servers[1].join());
    (servers, ana, bob)
}

/// The member takes a name, which the other is told, since it has heard of it before.
#[track_caller]
fn take_name(member: &mut Client, other: &mut Client, name: &str) {
    ask(member, other, "hello");
    member.rename(name);
    hears(other, &format!("* {} is now {name}", member.name()));
}

/// Takes lines until this one. None of them tells of a loss.
#[track_caller]
fn hears(client: &mut Client, line: &str) {
    for heard in client.lines_until(|heard| heard == line) {
        assert_eq!((missed(&heard), heard.contains("lost between")), (None, false), "{heard}");
    }
}

#[test]
fn lines_cross_in_one_order_and_each_once() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (servers, mut ana, mut bob) = pair(&redis);
    converse(&mut ana, &mut bob, 20);
    let mut witnesses = [servers[0].join(), servers[1].join()];
    // Both talk at once.
    for number in 0..500 {
        ana.send_line(format!("a {number}"));
        bob.send_line(format!("b {number}"));
    }
    let [first, second] = witnesses.each_mut().map(|witness| (0..1_000).map(|_| witness.line()).collect::<Vec<_>>());
    assert_eq!(first, second);
    for (talker, letter) in [(&ana, "a"), (&bob, "b")] {
        let own: Vec<_> = first.iter().filter(|line| line.starts_with(&format!("{}> ", talker.name()))).collect();
        let due: Vec<_> = (0..500).map(|number| talker.says(format!("{letter} {number}"))).collect();
        assert_eq!(own, due.iter().collect::<Vec<_>>());
    }
    // Nobody was sent own lines.
    let of_others: Vec<_> = (0..500).map(|number| bob.says(format!("b {number}"))).collect();
    ana.expect_all(of_others);
}

#[test]
fn names_and_numbers_are_unique_and_everybody_is_listed_everywhere() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (servers, mut ana, mut bob) = pair(&redis);
    assert_ne!(ana.number(), bob.number());
    take_name(&mut ana, &mut bob, "ana");
    bob.send_line("/nick Ana");
    bob.expect("* the name Ana is taken");
    let rows = bob.who();
    let listed = |name: &str| rows.iter().any(|row| row.starts_with(&format!("* here: {name}, ")));
    assert!(listed("ana") && listed(&bob.name()) && rows.len() == 3, "{rows:?}");
    eventually("both count both", || servers.iter().all(|server| server.join().present() == 3));
    // Two claim a name at the same time: one gets it, the other is told so, and both servers agree.
    let mut claimers = [servers[0].join(), servers[1].join()];
    for claimer in &mut claimers {
        claimer.send_line("/nick eve");
    }
    let answers = claimers.each_mut().map(|claimer| {
        let is_answer = |line: &str| line == "* the name eve is taken" || line.ends_with(" is now eve");
        claimer.lines_until(is_answer).pop().unwrap()
    });
    let holder =
        answers.iter().position(|answer| answer.ends_with(" is now eve")).unwrap_or_else(|| panic!("{answers:?}"));
    claimers[holder].send_line("it is me");
    for listener in [&mut ana, &mut bob] {
        hears(listener, "eve> it is me");
    }
    claimers[1 - holder].send_line("/nick eve");
    claimers[1 - holder].lines_until(|line| line == "* the name eve is taken");
}

#[test]
fn a_private_message_and_its_answer_cross() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (_servers, mut ana, mut bob) = pair(&redis);
    take_name(&mut bob, &mut ana, "bob");
    ana.send_line("/msg bob psst");
    bob.expect(format!("* {} tells you: psst", ana.name()));
    ana.expect("* you told bob: psst");
}

#[test]
fn a_room_is_one_over_all_servers_and_its_joins_and_leaves_are_told() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let servers = [announcing(&redis, &[]), announcing(&redis, &[])];
    let mut ana = servers[0].join();
    ana.send_line("/join rust");
    ana.lines_until(|line| line == "* you are in rust, alone");
    let mut bob = servers[1].join();
    bob.send_line("/join rust");
    bob.lines_until(|line| line == "* you are in rust, with 1 other");
    hears(&mut ana, &format!("* {} joined", bob.name()));
    ask(&mut ana, &mut bob, "hello");
    // What is said elsewhere is not heard.
    let mut eve = servers[1].join();
    eve.send_line("in the lobby");
    eve.send_line("/rooms");
    eve.lines_until(|line| line == "* room: rust, 2 here");
    bob.send_line("FIN");
    bob.lines_until(|line| line == "FIN");
    ana.expect(format!("* {} left", bob.name()));
}

#[test]
fn a_server_that_comes_later_has_the_history() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let first = start(&redis, &["--history", "3"]);
    let [mut ana, mut bob] = first.join_many();
    for number in 0..5 {
        ask(&mut ana, &mut bob, &format!("line {number}"));
    }
    let second = start(&redis, &["--history", "3"]);
    let mut late = second.join();
    late.expect("* 3 earlier lines:");
    late.expect_all((2..5).map(|number| ana.says(format!("line {number}"))));
    ask(&mut ana, &mut late, "welcome");
}

#[test]
fn a_tracked_client_reads_on_at_another_server() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (servers, mut ana, mut bob) = pair(&redis);
    converse(&mut ana, &mut bob, 1);
    let mut eve = servers[0].connect();
    eve.send_line("/track");
    let session: Vec<_> = eve.line().split(' ').map(str::to_owned).collect();
    let token = &session[2];
    ana.send_line("heard here");
    hears(&mut bob, &ana.says("heard here"));
    // The position behind the newest record: that of the newest stamp, and the records since.
    let mut position: Option<(String, u64)> = None;
    eve.lines_until(|line| {
        if let Some(stamp) = line.strip_prefix("@ ") {
            let (epoch, record) = stamp.split(' ').nth(1).and_then(|place| place.rsplit_once('.')).unwrap();
            position = Some((epoch.to_owned(), record.parse().unwrap()));
        } else if let Some((_, record)) = position.as_mut().filter(|_| !line.starts_with("** ")) {
            *record += 1;
        }
        line == ana.says("heard here")
    });
    let (epoch, record) = position.expect("a stamp");
    drop(eve);
    bob.send_line("missed there");
    hears(&mut ana, &bob.says("missed there"));
    let mut eve = servers[1].connect();
    eve.send_line(format!("/track {epoch}.{record} {token}"));
    let lines = eve.lines_until(|line| line == bob.says("missed there"));
    assert!(lines[0].starts_with("** session ") && lines[1] == "** resumed", "{lines:?}");
    assert!(!lines.contains(&ana.says("heard here")), "{lines:?}");
}

#[test]
fn a_restart_of_redis_loses_and_doubles_nothing() {
    let Some(mut redis) = RedisServer::start(&[]) else { return };
    let (servers, mut ana, mut bob) = pair(&redis);
    converse(&mut ana, &mut bob, 3);
    for round in 0..3 {
        ana.send_line(format!("before {round}"));
        redis.kill();
        bob.send_line(format!("meanwhile {round}"));
        redis.start_again();
        ana.send_line(format!("after {round}"));
        let (before, after) = (ana.says(format!("before {round}")), ana.says(format!("after {round}")));
        let heard = bob.lines_until(|line| line == after);
        assert_eq!(heard.iter().filter(|line| **line == before).count(), 1, "{heard:?}");
        assert!(!heard.iter().any(|line| line.contains("lost between")), "{heard:?}");
        hears(&mut ana, &bob.says(format!("meanwhile {round}")));
    }
    converse(&mut ana, &mut bob, 3);
    for server in &servers {
        let log = server.log();
        assert!(!log.iter().any(|line| line.contains("panicked")), "{log:#?}");
    }
}

#[test]
fn a_room_that_is_cut_off_waits_and_is_told_so() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let (servers, mut ana, mut bob) = pair(&redis);
    converse(&mut ana, &mut bob, 3);
    redis.stop();
    ana.send_line("this waits");
    for client in [&mut ana, &mut bob] {
        client.expect(CUT_OFF);
    }
    // Those who come meanwhile, and private answers, do not wait.
    assert!(ana.who().len() >= 3);
    redis.go_on();
    // The line may be there before the word, or behind it.
    let said = ana.says("this waits");
    let mut due = [false, false];
    bob.lines_until(|line| {
        due[0] |= line == said;
        due[1] |= line.starts_with("** together again after ");
        due.iter().all(|&is_heard| is_heard)
    });
    converse(&mut ana, &mut bob, 3);
    servers[0].signal(Signal::USR1);
    servers[0].expect_log(&["figures: ", "; bus: together, times cut off 1, entries "]);
}

#[test]
fn a_server_that_stops_says_goodbye_for_its_members() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let ([first, mut second], mut ana, mut bob) = pair(&redis);
    take_name(&mut bob, &mut ana, "bob");
    second.signal(Signal::TERM);
    assert!(second.wait(Duration::from_secs(10)).success());
    eventually("its members are gone", || ana.present() == 1);
    ana.send_line("/nick bob");
    ana.lines_until(|line| line.ends_with(" is now bob"));
    drop(first);
}

#[test]
fn a_member_of_another_server_can_be_removed() {
    let Some(redis) = RedisServer::start(&[]) else { return };
    let folder = crate::support::Folder::new("bus");
    let control = folder.path("control");
    let (first, second) = (start(&redis, &["--control", &control]), start(&redis, &[]));
    let (mut ana, mut bob) = (first.join(), second.join());
    take_name(&mut bob, &mut ana, "bob");
    let order = ["ctl", "--control", &control, "kick", "bob"];
    let output = Server::builder().flags(order).command().output().unwrap();
    assert!(output.status.success(), "{output:?}");
    bob.lines_until(|line| line == "* you were removed by the operator");
    eventually("bob is gone", || ana.present() == 1);
}

#[test]
fn a_redis_that_refuses_ends_the_start_with_one_line() {
    let Some(redis) = RedisServer::start(&["--requirepass", "secret"]) else { return };
    let address = redis.address();
    for (url, word) in [(format!("redis://:wrong@{address}"), "WRONGPASS"), (format!("redis://{address}"), "NOAUTH")] {
        let said = refused(&url);
        assert!(said.contains(word) && !said.contains("wrong@"), "{said}");
    }
    // With the right one it starts.
    let flags = ["--announce-up-to", "0"];
    let server = Server::builder().env("POLLCHAT_BUS", &format!("redis://:secret@{address}")).flags(flags).go();
    let [mut ana, mut bob] = server.join_many();
    ask(&mut ana, &mut bob, "hello");
    assert!(!server.log().iter().any(|line| line.contains("secret")));
}

#[test]
fn a_port_that_is_no_redis_is_told() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            let _ = (&stream).write_all(b"* you are client-1; /help lists what you can do\n");
            std::mem::forget(stream);
        }
    });
    let start = Server::builder().env("POLLCHAT_BUS", &format!("redis://{address}")).listen("127.0.0.1:0");
    let mut child = start.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("does another protocol answer on this port?")));
    assert_eq!(child.try_wait().unwrap(), None, "the port may be that of Redis later");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs a server that does not come as far as listening. Returns the one line that it says.
#[track_caller]
fn refused(url: &str) -> String {
    let start = Server::builder().env("POLLCHAT_BUS", url).listen("127.0.0.1:0");
    let output = start.command().stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let said: Vec<_> = text.lines().filter(|line| line.starts_with("pollchat-server: ")).collect();
    assert_eq!((output.status.code(), said.len()), (Some(1), 1), "{text}");
    said[0].to_owned()
}
