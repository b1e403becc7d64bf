//! Tracked pipes and a real server, behind a proxy that breaks their connections.

use super::*;
use crate::support::cutting_proxy::CuttingProxy;
use crate::support::{Lines as _, Server, eventually};

fn client_behind(proxy: &CuttingProxy, args: &[&str]) -> Client {
    Client::start(client_of(proxy.address()).args(args))
}

#[test]
fn nobody_notices_that_a_proxy_restarts() {
    let server = Server::start(&[]);
    let proxy = CuttingProxy::start(server.address());
    let mut ben = server.join();
    let mut client = client_behind(&proxy, &["--reconnect", "--nick", "ana"]);
    client.stdout().wait_for("* you are ana, in lobby\n");
    let mut heard = Vec::new();
    for round in 0..5 {
        client.type_in(&format!("a{round}\n"));
        heard.extend(ben.lines_until(|line| line == format!("ana> a{round}")));
        proxy.cut();
        ben.send(format!("b{round}\n"));
        client.stdout().wait_for(&format!("> b{round}\n"));
    }
    client.end_stdin();
    heard.extend(ben.lines_until(|line| line == "* ana left"));
    let expected: Vec<String> = (0..5).map(|round| format!("ana> a{round}")).collect();
    let noise = ["* ana joined", "* client-2 is now ana", "* ana left"];
    heard.retain(|line| !noise.contains(&line.as_str()));
    assert_eq!(heard, expected);
    let exit = client.exits(0);
    let said: Vec<&str> = exit.stdout.lines().filter(|line| line.contains("> ")).collect();
    assert_eq!(said, (0..5).map(|round| format!("client-1> b{round}")).collect::<Vec<_>>());
    assert!(proxy.connections() == 6, "{}", proxy.connections());
}

/// Lets ana, at a client behind a proxy that cuts, and ben say 60 lines each. Checks that ben hears each of hers once, in
/// order, and sees no coming and going. Returns her exit.
pub(super) fn talk_while_cut(mut client: Client, mut ben: crate::support::Client, proxy: &CuttingProxy) -> Exit {
    for number in 0..60 {
        client.type_in(&format!("a{number}\n/who\n"));
        ben.send(format!("b{number}\n"));
    }
    eventually("some connections were cut", || proxy.connections() > 3);
    proxy.calm();
    client.end_stdin();
    let exit = client.exits(0);
    let heard = ben.lines_until(|line| line == "* ana left");
    let from_ana: Vec<&str> = heard.iter().filter_map(|line| line.strip_prefix("ana> ")).collect();
    assert_eq!(from_ana, (0..60).map(|number| format!("a{number}")).collect::<Vec<_>>());
    // Nobody saw a coming and going.
    assert_eq!(heard.iter().filter(|line| line.ends_with(" joined")).count(), 1, "{heard:?}");
    exit
}

#[test]
fn connections_that_are_cut_at_any_byte_lose_and_double_nothing() {
    for seed in 1..=2 {
        let server = Server::start(&["--history", "5", "--resume-within", "60"]);
        let proxy = CuttingProxy::chaotic(server.address(), seed * 0x9e37_79b9);
        let ben = server.join();
        let client = client_behind(&proxy, &["--reconnect", "--nick", "ana", "--json"]);
        let exit = talk_while_cut(client, ben, &proxy);
        let mut positions = Vec::new();
        let mut missed = 0;
        for line in exit.stdout.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            missed += object["missed"].as_u64().unwrap_or_default();
            let position = object["position"].as_str().and_then(|position| position.rsplit_once('.'));
            positions.extend(position.map(|(_, number)| number.parse::<u64>().unwrap()));
        }
        assert!(positions.is_sorted_by(|a, b| a < b), "{positions:?}");
        let span = positions.last().unwrap() + 1 - positions[0];
        assert_eq!(positions.len() as u64 + missed, span, "each record once, or told");
    }
}

#[test]
fn a_line_is_sent_through_a_proxy_that_cuts() {
    let server = Server::start(&["--resume-within", "60"]);
    let mut ben = server.join();
    for seed in 1..=3 {
        let proxy = CuttingProxy::chaotic(server.address(), seed * 0x9e37_79b9);
        let client = client_behind(&proxy, &["--nick", "ana", "--send", "/hello"]);
        let waits = Instant::now();
        eventually("it is over, or cut often enough", || {
            proxy.connections() > 2 || waits.elapsed() > Duration::from_secs(2)
        });
        proxy.calm();
        assert_eq!(client.exits(0).stdout, "");
        let heard = ben.lines_until(|line| line == "* ana left");
        assert_eq!(heard.iter().filter(|line| *line == "ana> /hello").count(), 1, "{heard:?}");
    }
}

#[test]
fn lines_reach_the_room_for_which_they_were_typed() {
    for seed in 1..=2 {
        let server = Server::start(&["--history", "5", "--resume-within", "60", "--announce-up-to", "0"]);
        let proxy = CuttingProxy::chaotic(server.address(), seed * 0x9e37_79b9);
        let rooms = ["lobby", "tea"];
        let mut listeners = rooms.map(|room| {
            let mut listener = server.join();
            if room != "lobby" {
                listener.send(format!("/join {room}\n"));
                listener.lines_until(|line| line.starts_with(&format!("* you are in {room}")));
            }
            listener
        });
        let mut client = client_behind(&proxy, &["--reconnect", "--nick", "ana"]);
        for number in 0..60 {
            if number % 10 == 0 {
                client.type_in(&format!("/join {}\n", rooms[number / 10 % 2]));
            }
            client.type_in(&format!("{number}\n"));
        }
        eventually("some connections were cut", || proxy.connections() > 3);
        proxy.calm();
        client.type_in("/join lobby\nend\n/join tea\nend\n");
        client.end_stdin();
        client.exits(0);
        for (index, listener) in listeners.iter_mut().enumerate() {
            let heard = listener.lines_until(|line| line == "ana> end");
            let expected = (0..60).filter(|number| number / 10 % 2 == index).map(|number| format!("ana> {number}"));
            assert_eq!(heard, expected.chain(["ana> end".to_owned()]).collect::<Vec<_>>(), "{}", rooms[index]);
        }
    }
}

#[test]
fn a_restart_in_good_order_loses_and_doubles_no_line() {
    let mut server = Server::start(&[]);
    let proxy = CuttingProxy::start(server.address());
    let mut client = client_behind(&proxy, &["--reconnect", "--nick", "ana"]);
    client.stdout().wait_for("* you are ana, in lobby\n");
    client.type_in("one\n");
    server.signal(Signal::TERM);
    assert!(server.wait(DEADLINE).success());
    client.stderr().wait_for("; trying again\n");
    let server = Server::start(&[]);
    let mut ben = server.join();
    proxy.lead_to(server.address());
    client.type_in("two\n");
    client.end_stdin();
    let heard = ben.lines_until(|line| line == "ana> two");
    // Whether the first server took it or not is a race, but the client knows.
    assert!(heard.iter().filter(|line| *line == "ana> one").count() <= 1, "{heard:?}");
    client.exits(0);
}
