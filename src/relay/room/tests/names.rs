//! Names with owners.

use super::*;
use crate::relay::names::Names;
use crate::relay::secret::SecretHash;

/// A room of clients in which `ana` and `emily` belong to the clients that know `pcn_a` and `pcn_e`.
fn owned(options: Options, clients: usize) -> Chat {
    let mut chat = Chat::of(options, clients);
    assert_eq!(chat.roster.set_names(names(&[("ana", "pcn_a"), ("emily", "pcn_e")])), []);
    chat
}

fn names(owned: &[(&str, &str)]) -> Names {
    let lines: Vec<_> = owned.iter().map(|(name, token)| format!("{name} token {}\n", SecretHash::of(token))).collect();
    Names::parse(&lines.concat()).unwrap()
}

#[test]
fn an_owned_name_is_taken_with_its_token_alone() {
    play(
        &mut owned(options(), 2),
        &[
            (0, "/nick ana", &["* the name ana belongs to somebody: /nick ana TOKEN\n", ""]),
            (0, "/nick ANA pcn_e", &["* that is not the token of ANA\n", ""]),
            (0, "/nick ana ana", &["* that is not the token of ana\n", ""]),
            (0, "/nick аnа", &["* аnа looks like ana, which belongs to somebody\n", ""]),
            (0, "/nick ernily pcn_e", &["* ernily looks like emily, which belongs to somebody\n", ""]),
            (0, "/nick ana  pcn_a ", &["* client-1 is now ana\n", ""]),
            (0, "/nick ana", &["* you are ana already\n", ""]),
            (0, "/nick ana pcn_x", &["* that is not the token of ana\n", ""]),
            (0, "/nick Ana", &["* ana is now Ana\n", "* ana is now Ana\n"]),
            (1, "/nick ana", &["", "* the name ana belongs to somebody: /nick ana TOKEN\n"]),
            (0, "/nick bob", &["* Ana is now bob\n", "* Ana is now bob\n"]),
            (0, "/nick ana", &["* the name ana belongs to somebody: /nick ana TOKEN\n", ""]),
        ],
    );
}

#[test]
fn a_token_for_a_name_of_nobody_takes_no_name() {
    let unowned = |chat: &mut Chat| {
        play(
            chat,
            &[
                (0, "/nick bob pcn_a", &["* bob belongs to nobody: /nick bob\n"]),
                (0, "/nick bob by", &["* a name is 1 to 24 letters, digits, _ or -\n"]),
                (0, "/nick server pcn_a", &["* the name server is taken\n"]),
                (0, "/nick a.b pcn_a", &["* a name is 1 to 24 letters, digits, _ or -\n"]),
                (0, "/nick bob", &["* client-1 is now bob\n"]),
            ],
        );
    };
    unowned(&mut owned(options(), 1));
    unowned(&mut Chat::of(options(), 1));
}

#[test]
fn the_owner_takes_its_name_from_the_member_that_holds_it() {
    let mut chat = owned(options(), 3);
    play(&mut chat, &[(0, "/nick ana pcn_a", &["* client-1 is now ana\n", "", ""])]);
    let told = "* ana is now client-1\n";
    play(&mut chat, &[(1, "/nick Ana pcn_a", &[told, "* client-2 is now Ana\n* ana is now client-1\n", told])]);
    play(&mut chat, &[(0, "/nick", &[]), (0, "hi", &[]), (1, "hi", &[])]);
    assert!(chat.reads(2).ends_with("client-1> hi\nAna> hi\n"));
    // The first one takes it back: the room knows both.
    let both = "* Ana is now client-2\n* client-1 is now ana\n";
    chat.reads(0);
    chat.reads(1);
    play(&mut chat, &[(0, "/nick ana pcn_a", &[both, both, both])]);
}

#[test]
fn a_member_whose_name_gets_another_owner_is_a_number_again() {
    let mut chat = owned(options(), 2);
    play(&mut chat, &[(0, "/nick ana pcn_a", &[]), (1, "/nick bob", &[])]);
    let lost = chat.roster.set_names(names(&[("ana", "pcn_new"), ("b0b", "pcn_b")]));
    assert_eq!(lost.iter().map(|lost| lost.owned.as_str()).collect::<Vec<_>>(), ["ana", "b0b"]);
    chat.reads(0);
    chat.reads(1);
    for lost in lost {
        chat.room.apply(&mut chat.roster, Event::Unnamed { member: lost.member });
    }
    assert_eq!(chat.reads(1), "", "each waits for its place on the tape");
    chat.announce();
    chat.roster.check_invariants();
    assert_eq!(chat.reads(1), "* ana is now client-1\n* bob is now client-2\n");
}

#[test]
fn help_names_the_token_only_where_names_have_owners() {
    let mut chat = owned(options(), 1);
    let operator = chat.roster.clients();
    assert_eq!(operator, 1);
    chat.say(0, "/help");
    assert!(chat.reads(0).contains("* /nick NAME TOKEN: be called NAME, which belongs to you\n"));
    let mut chat = Chat::of(options(), 1);
    chat.say(0, "/help");
    assert!(!chat.reads(0).contains("TOKEN"));
}
