//! Orders of operators, as the room reads them, and what the others read of it.

use std::time::Duration;

use super::*;

/// Returns the order in a line of the operator, if it is one.
fn order_in<'a>(chat: &Chat, operator: usize, line: &'a str) -> Option<Order<'a>> {
    let id = chat.members[operator].as_ref().unwrap().id;
    match chat.room.decide(&chat.roster, id, line, 0) {
        Decision::Obey(order) => Some(order),
        _ => None,
    }
}

#[test]
fn the_operator_gives_orders_behind_a_slash() {
    let mut chat = Chat::new(options());
    let operator = chat.enter_operator();
    let hour = Some(Duration::from_secs(3_600));
    for (line, order) in [
        ("/kick CLIENT-1  no spam ", Order::Kick { name: "CLIENT-1", reason: "no spam" }),
        ("/Ban ana 1h spam", Order::Ban { target: "ana", time: hour, reason: "spam" }),
        ("/unban 192.0.2.0/24", Order::Unban { target: "192.0.2.0/24" }),
        ("/bans", Order::Bans),
        ("/announce back soon", Order::Announce { text: "back soon" }),
        ("/greeting", Order::Greeting { text: "" }),
        ("/stats", Order::Stats),
        ("/reload", Order::Reload),
        ("/stop", Order::Stop),
        ("/who -a", Order::Who { all: true }),
        ("FIN", Order::Stop),
    ] {
        assert_eq!(order_in(&chat, operator, line), Some(order), "{line}");
    }
    for line in ["/who", "/who x", "/rooms", "/help", "/say /stop", "//stop", "stop", "/msg ana /stop", " /stop"] {
        assert_eq!(order_in(&chat, operator, line), None, "{line}");
    }
}

#[test]
fn a_wrong_order_is_answered_with_the_right_form_and_no_client_has_any() {
    let mut chat = Chat::new(options());
    let operator = chat.enter_operator();
    let client = chat.enter();
    chat.reads(operator);
    chat.reads(client);
    for (line, answer) in [
        ("/nick ana", "* you are server, and nobody else\n"),
        ("/kick", "* /kick NAME [REASON]: remove NAME\n"),
        ("/announce", "* /announce TEXT: say TEXT in every room\n"),
        ("/stop now", "* /stop: stop the server\n"),
        ("/nope x", "* there is no command /nope; /help lists what you can do\n"),
        ("/ stop", "* there is no command /; /help lists what you can do\n"),
        ("/", "* there is no command /; /help lists what you can do\n"),
    ] {
        assert_eq!(chat.say(operator, line), None);
        assert_eq!(chat.reads(operator), answer, "{line}");
    }
    for word in ["/kick", "/ban", "/unban", "/bans", "/announce", "/greeting", "/stats", "/reload", "/stop"] {
        assert_eq!(chat.say(client, &format!("{word} client-1")), None);
        assert_eq!(chat.reads(client), format!("* there is no command {word}; /help lists what you can do\n"));
    }
    chat.say(client, "/who -a");
    assert_eq!(chat.reads(client), "* 0 of 2 here\n", "for a client it is the begin of a name");
}

#[test]
fn help_lists_the_orders_for_the_operator_alone() {
    let mut chat = Chat::new(options());
    let (operator, client) = (chat.enter_operator(), chat.enter());
    chat.reads(operator);
    chat.say(operator, "/help");
    chat.say(client, "/help");
    let (help, of_client) = (chat.reads(operator), chat.reads(client));
    for verb in ["who", "kick", "ban", "unban", "bans", "announce", "greeting", "stats", "reload", "stop", "rooms"] {
        assert_eq!(help.matches(&format!("* /{verb}")).count(), 1 + usize::from(verb == "ban"), "{verb}: {help}");
    }
    assert!(!of_client.contains("/kick") && !of_client.contains("/stop"), "{of_client}");
}

#[test]
fn the_room_reads_that_a_member_was_removed_if_it_has_read_that_it_joined() {
    let mut chat = Chat::of(Options { announce_up_to: 9, ..options() }, 3);
    play(&mut chat, &[(1, "/nick ana", &["* ana joined\n", "* client-2 is now ana\n", "* ana joined\n"])]);
    chat.depart(1, |member| Event::Removed { member });
    chat.depart(2, |member| Event::Removed { member });
    assert_eq!(chat.reads(0), "* ana was removed\n", "nobody knows client-3");
}

#[test]
fn a_line_of_an_operator_is_said_to_all_and_is_nobodys_own() {
    let mut chat = Chat::of(Options { history_lines: 1, ..options() }, 2);
    let before = chat.room.tape().end();
    chat.room.apply(&mut chat.roster, Event::Proclaimed { text: "back soon".into() });
    assert_eq!(chat.room.tape().end(), before, "it waits for its place on the tape");
    chat.announce();
    assert_eq!((chat.reads(0), chat.reads(1)), ("server> back soon\n".into(), "server> back soon\n".into()));
    assert_eq!(chat.room.tape().end().line, before.line + 1, "it counts as a line");
    let late = chat.enter();
    assert!(chat.reads(late).ends_with("* 1 earlier line:\nserver> back soon\n"));
}

#[test]
fn a_room_that_stands_still_takes_a_few_lines_of_operators() {
    let mut chat = Chat::of(options(), 1);
    let mut taken = 0;
    while chat.room.takes_proclamation() {
        chat.room.apply(&mut chat.roster, Event::Proclaimed { text: format!("{taken}").into() });
        taken += 1;
    }
    assert_eq!(taken, 16);
    chat.room.apply(&mut chat.roster, Event::Announced);
    assert!(chat.room.takes_proclamation());
    chat.announce();
    let lines: Vec<String> = (0..taken).map(|index| format!("server> {index}\n")).collect();
    assert_eq!(chat.reads(0), lines.concat(), "in their order");
}
