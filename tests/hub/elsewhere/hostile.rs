//! Events that no server has written, but another client of Redis.

use super::SECOND;
use crate::report::lines;
use crate::support::hub::quiet;
use crate::together::Servers;

#[test]
fn events_of_a_hostile_client_of_redis_fill_no_log() {
    let mut servers = Servers::new(&quiet(), 1);
    servers.pass(SECOND);
    lines();
    for number in 1..=50 {
        let events = [
            format!("h 1 {} fox", 1 + quiet().announce_up_to),
            format!("B 10.0.0.{number} 1h spam"),
            "B 10.0.0.0/1 spam".to_owned(),
            format!("U 10.0.0.{number}"),
            "no event".to_owned(),
        ];
        servers.add_to("pollchat:roster", &format!("{number:016x}"), 1, 0, &format!("{}\n", events.join("\n")));
    }
    servers.pass(50 * SECOND);
    let logged = lines();
    for (words, most) in [
        ("has --announce-up-to", 1),
        ("has banned 10.0.0", 10),
        ("is not carried out", 1),
        ("has unbanned 10.0.0", 10),
        ("is no event", 1),
        ("does not renew its lease", 10),
    ] {
        assert_eq!(logged.iter().filter(|line| line.contains(words)).count(), most, "{words}: {logged:#?}");
    }
    assert_eq!(logged.len(), 33, "{logged:#?}");
}
