//! A room that several servers share.

use super::*;
use crate::relay::name::Name;

/// A room of clients in which all that happens in a room has happened, as far as it does without a bus.
fn eventful(mut chat: Chat) -> Chat {
    let operator = chat.enter_operator();
    let [ana, bob, cia, dan] = std::array::from_fn(|_| chat.enter());
    chat.introduce(bob);
    chat.say(ana, "/nick ana");
    chat.say(ana, "hello");
    chat.say(bob, "/nick bob");
    chat.say(cia, " a * b ");
    chat.say(operator, "quiet, please");
    chat.apply(operator, Event::Proclaimed { text: "all of you".into() });
    let holder = chat.reader(bob).id;
    chat.room.apply(&mut chat.roster, Event::Unnamed { member: holder });
    chat.announce();
    chat.leave(bob);
    chat.depart(cia, |member| Event::Removed { member });
    chat.leave(dan);
    chat
}

const EVENTS: &str = "j 2 client-2\nj 1 ana\ns 1 ana hello\nn 2 client-2 bob\nj 3 client-3\ns 3 client-3  a * b \n\
                      a quiet, please\na all of you\nn 2 bob client-2\nl 2 client-2\nk 3 client-3\n";

fn announcing() -> Options {
    Options { announce_up_to: 10, ..options() }
}

fn text(room: &Room) -> String {
    String::from_utf8(room.tape().slices(0, room.tape().end().offset).concat()).unwrap()
}

#[test]
fn what_happens_in_a_shared_room_goes_to_the_log_and_not_onto_the_tape() {
    let mut chat = Chat::new(announcing());
    chat.room.share();
    assert!(chat.room.is_shared());
    assert_eq!(chat.room.take_outgoing(), None);
    let mut chat = eventful(chat);
    assert_eq!(chat.room.take_outgoing(), Some(Outgoing { events: EVENTS.to_owned(), lines: 4 }));
    assert_eq!(chat.room.take_outgoing(), None);
    assert_eq!(text(&chat.room), "");
}

#[test]
fn the_records_of_a_log_make_the_tape_of_a_room_without_one() {
    let alone = eventful(Chat::new(announcing()));
    assert!(!alone.room.is_shared());
    let mut chat = Chat::new(announcing());
    chat.room.share();
    let mut said = 0;
    for line in EVENTS.lines() {
        let record = Record::parse(line).unwrap();
        let span = chat.room.hear(&record);
        said += span.lines();
        assert_eq!(span.end, chat.room.tape().end());
    }
    assert_eq!((said, text(&chat.room)), (4, text(&alone.room)));
}

#[test]
fn the_effect_of_an_event_in_a_shared_room_is_counted_in_bytes_for_the_log() {
    let mut chat = Chat::new(announcing());
    chat.room.share();
    let ana = chat.enter();
    let member = chat.reader(ana).id;
    let mut effect = |event: Event<'_>| {
        let applied = chat.room.apply(&mut chat.roster, event);
        let outgoing = chat.room.take_outgoing().map_or(0, |outgoing| outgoing.events.len() as u64);
        assert_eq!((applied.bytes, applied.own), (outgoing, None));
        (outgoing, applied.reply)
    };
    assert_eq!(effect(Event::Said { member, text: "hi".into() }), (13 + 16, None), "with its introduction");
    assert_eq!(effect(Event::Said { member, text: "ho".into() }), (16, None));
    let name = Name::parse("ana").unwrap();
    assert_eq!(effect(Event::Renamed { member, name, is_owner: false }), (17, None));
    assert_eq!(effect(Event::Left { member }), (0, None));
    assert_eq!(effect(Event::Announced), (8, None));
    assert_eq!(effect(Event::Announced), (0, None));
}

#[test]
fn a_longer_line_than_the_room_takes_is_cut() {
    let mut chat = Chat::new(Options { line_bytes_max: 3, ..options() });
    chat.room.share();
    chat.room.hear(&Record::Said { number: 1, name: "ana", text: "12345678é" });
    chat.room.hear(&Record::Proclaimed { text: "1234567890" });
    assert_eq!(text(&chat.room), "ana> 12345678\nserver> 123456789\n");
}
