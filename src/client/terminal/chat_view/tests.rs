use super::*;
use crate::client::{Colors, Times};

fn chat_view() -> ChatView {
    let mut chat = ChatView::new(Style::new(Colors::Off), Timestamps::at_terminal(Times::None), None, 80);
    assert_eq!(show(&mut chat, "* you are client-7; /help lists what you can do").1, called("client-7"));
    chat
}

fn called(name: &str) -> Option<ServerEvent> {
    Some(ServerEvent::Called(name.to_owned()))
}

/// Takes what is shown.
fn page(chat: &mut ChatView) -> String {
    chat.take_page().replace(HANG, "")
}

/// Returns the text shown for a line, and its consequence.
fn show(chat: &mut ChatView, text: &str) -> (String, Option<ServerEvent>) {
    let event = chat.show(ServerLine { text, is_continued: false, has_end: true });
    (page(chat), event)
}

#[test]
fn names_notices_private_lines_and_mentions_look_different() {
    let mut chat = chat_view();
    let lines = [
        ("ana> hi there", "ana> hi there\n"),
        ("ana> Client-7: look, client-77", "ana> \x1b[1;7mClient-7\x1b[0m: look, client-77\n"),
        ("* ana joined", "\x1b[2m* ana joined\x1b[0m\n"),
        ("* ana tells you: psst", "\x1b[1m* ana tells you: \x1b[0m\x1b[1mpsst\x1b[0m\n"),
        ("ana> *waves*", "ana \x1b[3mwaves\x1b[0m\n"),
        ("ana> *hugs client-7 *and* you*", "ana \x1b[3mhugs \x1b[1;7mclient-7\x1b[0;3m *and* you\x1b[0m\n"),
        ("ana> **bold**", "ana> **bold**\n"),
        ("ana> * ben joined *", "ana> * ben joined *\n"),
        ("no name here", "no name here\n"),
    ];
    for (line, written) in lines {
        assert_eq!(show(&mut chat, line), (written.to_owned(), None), "{line}");
    }
}

#[test]
fn only_our_own_renames_change_our_name() {
    let mut chat = chat_view();
    for (line, event) in [
        ("* client-7 is now ana", called("ana")),
        ("* client-7 is now ben", None),
        ("ben> ana is now eve", None),
        ("* ben tells you: ana is now eve", None),
        ("* you are ana already", called("ana")),
        ("* the name eve is taken", Some(ServerEvent::Unnamed("the name eve is taken".into()))),
    ] {
        assert_eq!(show(&mut chat, line).1, event, "{line}");
    }
    assert_eq!(chat.own_name(), Some("ana"));
    chat.on_connected();
    assert_eq!(chat.own_name(), None);
}

#[test]
fn mentions_are_whole_words_by_the_rooms_rules() {
    let mut chat = chat_view();
    show(&mut chat, "* client-7 is now Zoë");
    let mark = |text: &str| chat.mark_mentions(text).0.replace("\x1b[1;7m", "<").replace("\x1b[0m", ">");
    for (text, marked) in [
        ("zoë", "<zoë>"),
        ("ZOË, zoe\u{308}'s and Zoë--", "<ZOË>, <zoe\u{308}>'s and <Zoë-->"),
        ("Zoëy zoe", "Zoëy zoe"),
        ("@Zoë: 世界", "@<Zoë>: 世界"),
        ("", ""),
    ] {
        assert_eq!(mark(text), marked);
    }
}

#[test]
fn own_lines_are_shown_once_echoed_or_not() {
    let mut chat = chat_view();
    show(&mut chat, "* client-7 is now ana");
    for line in ["one", "/say /two", "/who", "three"] {
        chat.show_own(line, false);
    }
    let written = page(&mut chat).replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", "");
    assert_eq!(written, "ana> one\nana> /two\nana> /who\nana> three\n");
    // The first line was not echoed.
    for (line, is_written) in
        [("ana> /two", false), ("ben> three", true), ("ana> three", false), ("ana> three", true), ("ana> one", true)]
    {
        assert_eq!(!show(&mut chat, line).0.is_empty(), is_written, "{line}");
    }
}

#[test]
fn names_seen_can_be_completed() {
    let mut chat = chat_view();
    for line in ["ana> hi", "* ben joined", "* here: eve, 1 line, 0 min", "* ana is now Anna", "* ben left"] {
        show(&mut chat, line);
    }
    assert_eq!(chat.names().beginning_with(""), ["Anna", "eve"]);
}

#[test]
fn names_are_those_of_our_room_and_rooms_those_that_were_told() {
    let mut chat = chat_view();
    for line in ["ana> hi", "* room: tea, 3 here", "* you are in rust, with 1 other", "ben> hi", "* ana tells you: x"] {
        show(&mut chat, line);
    }
    assert_eq!(chat.names().beginning_with(""), ["ben"]);
    assert_eq!(chat.names().anywhere_beginning_with(""), ["ben", "ana"]);
    assert_eq!(chat.names().rooms_beginning_with(""), ["rust", "tea", "lobby"]);
    chat.on_lobby();
    assert!(chat.names().beginning_with("").is_empty());
}

#[test]
fn a_continued_line_is_marked_and_means_nothing() {
    let mut chat = chat_view();
    assert_eq!(chat.show(ServerLine { text: "* client-7 is now x", is_continued: true, has_end: true }), None);
    assert_eq!(page(&mut chat), "\x1b[2m…\x1b[0m * client-7 is now x\n");
}

#[test]
fn an_action_of_a_name_of_strokes_is_shown_as_it_came() {
    let mut chat = chat_view();
    for line in ["--> *ben is ignored*", "----> *unread ----*", "一一> *unread*", "-_-> *x*"] {
        assert_eq!(show(&mut chat, line).0, format!("{line}\n"), "it would look like a note or a rule");
    }
    assert_eq!(show(&mut chat, "-a-> *waves*").0, "-a- \x1b[3mwaves\x1b[0m\n");
}

#[test]
fn a_private_line_of_ours_is_shown_once() {
    let mut chat = chat_view();
    chat.show_own("/msg Ana psst", false);
    assert_eq!(page(&mut chat), "\x1b[1mclient-7 to Ana>\x1b[0m \x1b[1mpsst\x1b[0m\n");
    assert_eq!(show(&mut chat, "* you told ana: psst").0, "");
    let again = "\x1b[2m* you told ana: psst\x1b[0m\n";
    assert_eq!(show(&mut chat, "* you told ana: psst").0, again, "it was said elsewhere");
    for command in ["/msg", "/msg ana", "/msg a:b x"] {
        chat.show_own(command, false);
        assert_eq!(page(&mut chat), format!("\x1b[1mclient-7>\x1b[0m \x1b[2m{command}\x1b[0m\n"));
    }
    chat.show_own("/msg ana pcn_secret", false);
    assert_eq!(page(&mut chat), "\x1b[1mclient-7 to ana>\x1b[0m \x1b[1m…\x1b[0m\n");
    chat.on_connected();
    chat.show_own("/msg ana x", false);
    assert_eq!(page(&mut chat), "\x1b[1m>\x1b[0m \x1b[2m/msg ana x\x1b[0m\n", "a foreign server may tell it to all");
}

#[test]
fn no_piece_of_an_ignored_line_is_shown() {
    let mut chat = chat_view();
    chat.ignored.add("ana");
    let piece = |chat: &mut ChatView| {
        chat.show(ServerLine { text: "and more", is_continued: true, has_end: true });
        page(chat)
    };
    assert_eq!(show(&mut chat, "ana> a line over 64 KiB").0, "");
    assert_eq!([piece(&mut chat), piece(&mut chat)], ["", ""]);
    assert_ne!(show(&mut chat, "ben> another").0, "");
    assert_ne!(piece(&mut chat), "");
    chat.show_private(Notice::TellsYou { from: "ana", text: "x" });
    assert_eq!(piece(&mut chat), "");
}

#[test]
fn a_rule_stands_behind_the_listing_that_has_begun() {
    let mut chat = chat_view();
    assert_eq!(show(&mut chat, "* here: ana, 1 line, 0 min").0, "");
    chat.on_return();
    let shown = show(&mut chat, "ana> hi").0;
    let place = |part: &str| shown.find(part).expect(part);
    assert!(place("here: ana") < place(unread::RULE) && place(unread::RULE) < place("ana> hi"), "{shown}");
}

#[test]
fn a_note_has_no_control_characters() {
    let mut chat = chat_view();
    chat.show_note("--log \x1b[31mx\ny: no");
    assert_eq!(page(&mut chat), "\x1b[2m-- --log \u{fffd}[31mx\u{fffd}y: no\x1b[0m\n");
}

#[test]
fn help_tells_the_keys_below_the_command() {
    let mut chat = chat_view();
    chat.help_with(&["Tab completes"]);
    chat.show_own("/help", false);
    let shown = page(&mut chat);
    assert!(shown.find("/help") < shown.find("-- Tab completes"), "{shown}");
    chat.show_own("/help", false);
    assert!(!page(&mut chat).contains("Tab"), "a foreign server was asked");
}
