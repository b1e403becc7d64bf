//! What has changed between two runs: flags, files, the journal, the time, or the handover itself.

use super::*;

fn names(owned: &[(&str, &str)]) -> Names {
    let lines: Vec<_> = owned.iter().map(|(name, token)| format!("{name} token {}\n", SecretHash::of(token))).collect();
    Names::parse(&lines.concat()).unwrap()
}

#[test]
fn a_room_that_there_is_no_place_for_gives_way_to_the_lobby() {
    let disk = Disk::new(1);
    let mut world = start(&Config::default(), &disk);
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    ana.says(&mut world, "/join tea\n");
    ana.reads();
    bob.reads();
    stop(&mut world);
    let mut world = start_again(&Config { rooms_max: 1, ..Config::default() }, &disk);
    bob.resume(&mut world);
    let lines = ana.resume(&mut world);
    assert_eq!(lines[1..3], ["** cannot resume: earlier lines follow", "** you are ana, in lobby"]);
    assert_eq!(ana.heard, 2);
    world.pass(INTRODUCE_AFTER);
    assert_eq!(bob.reads(), ["* ana joined"]);
}

#[test]
fn a_room_that_becomes_kept_or_is_kept_no_longer_keeps_its_members() {
    let rust = Name::parse("rust").unwrap();
    let (with, without) = (Config { rooms: vec![rust], ..quiet() }, quiet());
    for (before, after, answer) in
        [(&with, &without, "** you missed 1 line"), (&without, &with, "** cannot resume: earlier lines follow")]
    {
        let disk = Disk::new(2);
        let kept = |world: &mut World, config: &Config| {
            world.hub.keep(
                Box::new(disk.clone()),
                disk.kept(config.backlog_bytes).drain(..=config.rooms.len()).collect(),
                disk.numbers(),
            );
            world.hub.set_clock(DAY);
        };
        let mut world = World::new(before);
        kept(&mut world, before);
        let mut ana = named(&mut world, "ana");
        ana.says(&mut world, "/join rust\n");
        ana.reads();
        ana.says(&mut world, "one\n");
        stop(&mut world);
        let mut world = World::new(after);
        kept(&mut world, after);
        world.hub.take_back(&disk.take_handover().unwrap(), world.now).unwrap();
        world.run();
        let lines = ana.resume(&mut world);
        assert_eq!(lines[1..3], [answer, "** you are ana, in rust"]);
        assert_eq!(ana.heard, 3);
    }
}

#[test]
fn a_name_that_has_another_owner_by_now_is_lost_and_its_room_reads_so() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    world.hub.set_names(names(&[("zoe", "pcn_z")]));
    let (mut ana, mut bob) = (named(&mut world, "ana"), named(&mut world, "bob"));
    let mut zoe = Tracked::begin(&mut world);
    zoe.says(&mut world, "/nick zoe pcn_z\n");
    for tracked in [&mut ana, &mut bob, &mut zoe] {
        tracked.reads();
    }
    stop(&mut world);
    for (owned, zoe_is, told) in [
        (&[("zoe", "pcn_z"), ("ana", "pcn_a")][..], "zoe", vec!["* ana is now client-1"]),
        (&[("zoe", "pcn_y"), ("ana", "pcn_a")], "client-3", vec!["* ana is now client-1", "* zoe is now client-3"]),
        (&[], "zoe", vec![]),
    ] {
        let handover = disk.take_handover().unwrap();
        let text = disk.text(0).len();
        let mut world = start(&config, &disk);
        world.hub.set_names(names(owned));
        world.hub.take_back(&handover, world.now).unwrap();
        world.run();
        world.hub.check_invariants();
        let at = bob.next.clone();
        let lines = bob.resume(&mut world);
        let records: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("* ")).collect();
        assert_eq!(records, told);
        bob.next = at;
        assert_eq!(zoe.resume(&mut world)[2], format!("** you are {zoe_is}, in lobby"));
        // The same again with other names.
        stop(&mut world);
        disk.take_handover();
        disk.cut(0, text);
        zoe.next.clone_from(&bob.next);
        let mut disk = disk.clone();
        pollchat::server::journal::store::Store::hand_over(&mut disk, handover);
    }
}

#[test]
fn seats_that_there_are_no_longer_go_first_and_the_others_read_so() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut clients = ["ana", "bob", "cho"].map(|name| named(&mut world, name));
    clients.iter_mut().for_each(|client| drop(client.reads()));
    stop(&mut world);
    let mut world = start_again(&Config { clients_max: Some(2), ..config }, &disk);
    let lines = clients[2].resume(&mut world);
    assert_eq!(lines.last().unwrap(), "* ana left");
    clients[1].resume(&mut world);
    assert_eq!(clients[1].name, "bob");
    world.says(&clients[1].client, "/who\n");
    assert!(clients[1].client.received().ends_with("** 2 here\n"));
}

#[test]
fn a_session_needs_no_password_in_the_next_run_either() {
    let (config, disk) = (quiet(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let mut world = start_again(&config, &disk);
    world.hub.set_password(Some(SecretHash::of("open sesame")));
    assert_eq!(ana.resume(&mut world)[1], "** resumed");
}

#[test]
fn a_journal_that_lacks_a_record_makes_the_handover_void() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let ana = named(&mut world, "ana");
    ana.says(&mut world, "one\ntwo\n");
    stop(&mut world);
    let whole = disk.text(0).len();
    disk.cut(0, whole - "ana> two\n".len());
    let mut world = start(&config, &disk);
    let handover = disk.take_handover().unwrap();
    let refused = world.hub.take_back(&handover, world.now);
    assert_eq!(refused, Err(NotTakenBack::EndsElsewhere("lobby".into())));
    assert_eq!(world.hub.stats().clients, 0);
    // It comes back as after a crash.
    let (_, lines) = begin(&mut world, &format!("/track {} {}", ana.next, ana.token));
    assert!(lines[0].contains(" heard 0 at ") && !lines[0].contains(&ana.token), "{lines:?}");
    assert_eq!(lines[4..], ["ana> one"]);
    let log = ana.next.split('.').next().unwrap();
    assert!(!lines[0].contains(log), "what it may have read behind that is given to no other record: {lines:?}");
}

#[test]
fn a_handover_that_is_too_old_is_none_and_one_of_the_future_counts() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let handover = disk.take_handover().unwrap();
    let mut world = start(&config, &disk);
    world.hub.set_clock(DAY + HANDOVER_AGE_MAX_MS + 1);
    assert_eq!(world.hub.take_back(&handover, world.now), Err(NotTakenBack::OutOfDate(60)));
    let mut world = start(&config, &disk);
    let later = Handover { stopped_ms: DAY + 1_000_000_000, ..handover };
    world.hub.take_back(&later, world.now).unwrap();
    assert_eq!(ana.resume(&mut world)[1], "** resumed");
}

#[test]
fn the_time_since_a_member_came_goes_on() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let mut ana = named(&mut world, "ana");
    world.pass(Duration::from_secs(600));
    ana.reads();
    stop(&mut world);
    let mut world = start(&config, &disk);
    world.hub.set_clock(DAY + 120_000);
    world.hub.take_back(&disk.take_handover().unwrap(), world.now).unwrap();
    ana.resume(&mut world);
    world.says(&ana.client, "/who\n");
    assert!(ana.client.received().contains("** here: ana, 0 lines, 12 min\n"));
}

#[test]
fn seats_end_at_once_in_a_run_that_keeps_none() {
    let disk = Disk::new(1);
    let mut world = start(&Config::default(), &disk);
    let mut ana = named(&mut world, "ana");
    stop(&mut world);
    let mut world = start_again(&Config { resume_within: None, ..Config::default() }, &disk);
    assert_eq!(world.hub.stats().clients, 0);
    let lines = ana.resume(&mut world);
    assert_eq!((lines[1].as_str(), lines.last().unwrap().as_str()), ("** resumed", "* ana left"));
}

#[test]
fn a_handover_may_say_anything_and_no_rule_of_the_hub_is_broken() {
    let (config, disk) = (Config::default(), Disk::new(1));
    let mut world = start(&config, &disk);
    let clients = ["ana", "bob", "cho"].map(|name| named(&mut world, name));
    stop(&mut world);
    let text = serde_json::to_string(&disk.take_handover().unwrap()).unwrap();
    let bytes = disk.text(0).len();
    let tampered = [
        text.replace("\"ana\"", "\"bob\""),
        text.replace("\"ana\"", "\"server\""),
        text.replace("\"ana\"", "\"x y\\u001b\""),
        text.replace("\"number\":1", "\"number\":2"),
        text.replace("\"number\":2", "\"number\":0"),
        text.replace("\"number\":3", "\"number\":18446744073709551615"),
        text.replace("\"room\":0", "\"room\":7"),
        text.replace("\"hash\":\"", "\"hash\":\"0"),
        text.replace("\"heard\":1", "\"heard\":18446744073709551615"),
        text.replace("\"lobby\"", "\"tea\"")
            .replace("\"is_kept\":true", "\"is_kept\":false")
            .replace(".3\"", ".18446744073709551615\""),
        text.replace("\"age\":0", "\"age\":4294967295"),
        text.replace("\"lobby\"", "\"1obby\"").replace("\"is_kept\":true", "\"is_kept\":false"),
        text.replace("\"lobby\"", "\"tea\"").replace("\"is_kept\":true", "\"is_kept\":false"),
    ];
    for json in tampered {
        assert_ne!(json, text);
        let handover: Handover = serde_json::from_str(&json).unwrap();
        let mut world = start(&Config { lag: Lag::Wait, ..Config::default() }, &disk);
        world.hub.take_back(&handover, world.now).unwrap();
        world.run();
        world.hub.check_invariants();
        let (again, _) = begin(&mut world, &format!("/track x {}", clients[0].token));
        world.says(&again, "back\nFIN\n");
        world.pass(RESUME_WITHIN);
        assert_eq!(world.hub.stats().clients, 0, "{json}");
        disk.cut(0, bytes);
    }
}
