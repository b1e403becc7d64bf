//! The rules of a room as transcripts: who says what, and what each member reads.

use std::io::Read as _;

use super::*;
use crate::relay::cursor::Slices;

mod names;
mod orders;
mod shared;

/// A room, its roster, and a reader for each member.
struct Chat {
    room: Room,
    roster: Roster,
    now: u32,
    members: Vec<Option<Reader>>,
}

/// A member, and its lines that it has not read.
struct Reader {
    id: MemberId,
    cursor: Cursor,
    private: String,
}

fn options() -> Options {
    Options {
        greeting: String::new(),
        history_lines: 0,
        audience: Audience::Others,
        announce_up_to: 0,
        line_bytes_max: 4096,
        rooms_max: 3,
        has_journal: false,
    }
}

impl Chat {
    fn new(options: Options) -> Chat {
        Chat {
            room: Room::new(RoomId::LOBBY, Rc::new(options), Tape::new(1 << 16).unwrap()),
            roster: Roster::default(),
            now: 0,
            members: Vec::new(),
        }
    }

    /// A room of `clients`, which have read their greetings.
    fn of(options: Options, clients: usize) -> Chat {
        let mut chat = Chat::new(options);
        for _ in 0..clients {
            let member = chat.enter();
            chat.reads(member);
        }
        chat
    }

    /// A client enters. Returns its key: 0 for `client-1`.
    fn enter(&mut self) -> usize {
        let id = self.roster.add_client(self.members.len(), RoomId::LOBBY, self.now);
        self.welcome(id)
    }

    fn enter_operator(&mut self) -> usize {
        let id = self.roster.add_operator(self.members.len(), self.now);
        self.welcome(id)
    }

    fn welcome(&mut self, id: MemberId) -> usize {
        let Welcome { cursor, private } = self.room.welcome(&self.roster, id);
        self.members.push(Some(Reader { id, cursor, private }));
        self.members.len() - 1
    }

    fn reader(&mut self, member: usize) -> &mut Reader {
        self.members[member].as_mut().expect("it is present")
    }

    /// Hands a line to the room, as the hub does. Returns whether it asks for more than an answer.
    fn say(&mut self, member: usize, line: &str) -> Option<&'static str> {
        let id = self.reader(member).id;
        match self.room.decide(&self.roster, id, line, self.now) {
            Decision::Nothing => {}
            Decision::Apply(event) => self.apply(member, event),
            Decision::Reply(reply) | Decision::Costly { reply, .. } | Decision::Claim { taken: reply, .. } => {
                self.reader(member).private += &reply;
            }
            Decision::TakeOver { holder, renamed } => {
                self.room.apply(&mut self.roster, Event::Unnamed { member: holder });
                self.announce();
                self.apply(member, renamed);
            }
            Decision::Tell { to, message, told, .. } => {
                self.reader(to).private += &message;
                self.reader(member).private += &told;
            }
            Decision::Obey(Order::Stop) => return Some("stops"),
            Decision::Obey(_) => return Some("orders"),
            Decision::Track { .. } => return Some("is tracked"),
            Decision::TellElsewhere { .. } => return Some("is for another server"),
            Decision::Join { .. } => return Some("moves"),
            Decision::Leave => return Some("leaves"),
        }
        self.roster.check_invariants();
        None
    }

    fn apply(&mut self, member: usize, event: Event<'_>) {
        let applied = self.room.apply(&mut self.roster, event);
        let reader = self.reader(member);
        if let Some(own) = applied.own {
            assert_eq!(reader.cursor.skip_own(own), crate::relay::cursor::Pace::Keeping);
        }
        reader.private.extend(applied.reply);
    }

    /// The time of a silent member is over.
    fn introduce(&mut self, member: usize) {
        let id = self.reader(member).id;
        self.apply(member, Event::Joined { member: id });
    }

    fn leave(&mut self, member: usize) {
        self.depart(member, |member| Event::Left { member });
    }

    fn depart(&mut self, member: usize, event: fn(MemberId) -> Event<'static>) {
        let id = self.members[member].take().expect("it is present").id;
        self.room.apply(&mut self.roster, event(id));
        self.announce();
        self.roster.check_invariants();
    }

    fn announce(&mut self) {
        while self.room.has_announcement() {
            self.room.apply(&mut self.roster, Event::Announced);
        }
    }

    /// Text that a member has to read since the last call: private lines first.
    fn reads(&mut self, member: usize) -> String {
        let reader = self.members[member].as_mut().expect("it is present");
        let mut lines = std::mem::take(&mut reader.private);
        let tape = self.room.tape();
        let mut slices = Slices::new();
        reader.cursor.pending(tape.plain(), tape.end().offset, &mut slices);
        let bytes = slices.bytes() as u64;
        for mut slice in slices.as_slice().iter().map(|slice| &**slice) {
            slice.read_to_string(&mut lines).unwrap();
        }
        reader.cursor.advance(tape.plain(), bytes);
        reader.cursor.align_to_line(tape.plain(), &mut Vec::new());
        lines
    }
}

/// Each step: the author (`client-N` is N-1), its line, and what members 0, 1, … read then.
fn play(chat: &mut Chat, steps: &[(usize, &str, &[&str])]) {
    for (member, line, read) in steps {
        assert_eq!(chat.say(*member, line), None, "{line}");
        for (reader, expected) in read.iter().enumerate() {
            assert_eq!(chat.reads(reader), *expected, "member {reader}, after {member} said {line:?}");
        }
    }
}

#[test]
fn a_line_goes_to_all_others_and_not_back() {
    play(
        &mut Chat::of(options(), 3),
        &[
            (0, "hello", &["", "client-1> hello\n", "client-1> hello\n"]),
            (1, " two  spaces\t", &["client-2>  two  spaces\t\n", "", "client-2>  two  spaces\t\n"]),
            (0, "", &["", "", ""]),
            (0, "//who", &["", "client-1> /who\n", "client-1> /who\n"]),
            (0, "/say  exit", &["", "client-1>  exit\n", "client-1>  exit\n"]),
            (0, "/say ", &["* /say TEXT says TEXT as it is\n", "", ""]),
            (0, "/say", &["* /say TEXT says TEXT as it is\n", "", ""]),
            (0, "* ana joined", &["", "client-1> * ana joined\n", "client-1> * ana joined\n"]),
            (0, "FIN now", &["", "client-1> FIN now\n", "client-1> FIN now\n"]),
        ],
    );
}

#[test]
fn everyone_may_be_the_audience_or_the_sender_alone() {
    let everyone = Options { audience: Audience::Everyone, ..options() };
    play(&mut Chat::of(everyone, 2), &[(0, "one", &["client-1> one\n", "client-1> one\n"])]);
    let sender = Options { audience: Audience::Sender, ..options() };
    let mut chat = Chat::of(sender, 2);
    play(
        &mut chat,
        &[
            (0, "one", &["client-1> one\n", ""]),
            (0, "/nick ana", &["* client-1 is now ana\n", "* client-1 is now ana\n"]),
        ],
    );
    play(&mut chat, &[(0, "two", &["ana> two\n", ""])]);
}

#[test]
fn words_of_farewell_leave_and_those_of_the_operator_stop() {
    let mut chat = Chat::new(options());
    let operator = chat.enter_operator();
    let client = chat.enter();
    for word in ["FIN", "fin", "exit", "EXIT", "/quit"] {
        assert_eq!(chat.say(client, word), Some("leaves"));
        assert_eq!(chat.say(operator, word), Some("stops"));
    }
}

#[test]
fn the_first_name_is_told_to_its_owner_and_later_ones_to_all() {
    play(
        &mut Chat::of(options(), 2),
        &[
            (0, "/nick ana", &["* client-1 is now ana\n", ""]),
            (0, "hi", &["", "ana> hi\n"]),
            (0, "/nick Ana", &["* ana is now Ana\n", "* ana is now Ana\n"]),
            (0, "/nick eva", &["* Ana is now eva\n", "* Ana is now eva\n"]),
            (1, "/nick ana", &["", "* client-2 is now ana\n"]),
        ],
    );
}

#[test]
fn a_refused_name_is_told_to_its_sender_alone() {
    let mut chat = Chat::of(options(), 2);
    play(&mut chat, &[(0, "/nick Straße", &["* client-1 is now Straße\n", ""])]);
    for taken in ["straße", "STRASSE", "server", "Server", "client-1", "CLIENT-x"] {
        chat.say(1, &format!("/nick {taken}"));
        let shown = if taken == "straße" { "straße" } else { taken };
        assert_eq!((chat.reads(1), chat.reads(0)), (format!("* the name {shown} is taken\n"), String::new()));
    }
    for text in ["a b", "a>", "*", "a.b", "\u{200d}", &"x".repeat(25)] {
        chat.say(1, &format!("/nick {text}"));
        assert_eq!(chat.reads(1), "* a name is 1 to 24 letters, digits, _ or -\n", "{text}");
    }
    chat.say(1, "/nick");
    assert_eq!(chat.reads(1), "* /nick NAME: a name is 1 to 24 letters, digits, _ or -\n");
    play(&mut chat, &[(0, "/nick Straße", &["* you are Straße already\n", ""])]);
}

#[test]
fn names_are_normalised_and_their_limit_counts_characters() {
    let mut chat = Chat::of(options(), 2);
    play(&mut chat, &[(0, "/nick Zoe\u{308}", &["* client-1 is now Zo\u{eb}\n", ""])]);
    play(&mut chat, &[(1, "/nick ZOE\u{308}", &["", "* the name ZO\u{cb} is taken\n"])]);
    chat.say(1, &format!("/nick {}", "e\u{301}".repeat(24)));
    assert_eq!(chat.reads(1), format!("* client-2 is now {}\n", "\u{e9}".repeat(24)));
}

#[test]
fn a_name_is_free_again_after_leaving() {
    let mut chat = Chat::of(options(), 2);
    chat.say(0, "/nick Eva");
    chat.leave(0);
    chat.say(1, "/nick eva");
    assert_eq!(chat.reads(1), "* client-2 is now eva\n");
    let late = chat.enter();
    assert_eq!(chat.reads(late), "* you are client-3; /help lists what you can do\n", "numbers are not reused");
}

#[test]
fn who_lists_members_by_age_with_their_lines_and_minutes() {
    let mut chat = Chat::of(options(), 2);
    play(&mut chat, &[(0, "one", &["", "client-1> one\n"]), (0, "/nope", &[]), (1, "/nick ana", &[])]);
    chat.reads(0);
    chat.reads(1);
    chat.now = 125;
    let rows = "* here: client-1, 1 line, 2 min\n* here: ana, 0 lines, 2 min\n* 2 here\n";
    play(&mut chat, &[(1, "/who", &["", rows])]);
    chat.leave(0);
    play(&mut chat, &[]);
    chat.say(1, "/who");
    assert_eq!(chat.reads(1), "* here: ana, 0 lines, 2 min\n* 1 here\n");
}

#[test]
fn who_lists_the_hundred_oldest_and_counts_the_rest() {
    let mut chat = Chat::of(options(), 1_103);
    chat.leave(0);
    let newest = chat.enter();
    chat.reads(newest);
    chat.say(newest, "/who");
    let answer = chat.reads(newest);
    let rows: Vec<&str> = answer.lines().collect();
    assert_eq!(rows[0], "* here: client-2, 0 lines, 0 min");
    assert_eq!(rows[99], "* here: client-101, 0 lines, 0 min");
    assert_eq!(rows[100..], ["* and 1,003 more", "* 1,103 here"]);
}

#[test]
fn who_lists_later_members_by_pages_and_those_of_a_name() {
    let mut chat = Chat::of(options(), 230);
    for (member, name) in [(7, "Ann"), (205, "ANTON"), (150, "Änn"), (3, "page")] {
        chat.say(member, &format!("/nick {name}"));
    }
    (0..230).for_each(|member| drop(chat.reads(member)));
    let mut answer = |line: &str| -> Vec<String> {
        chat.say(0, line);
        chat.reads(0).lines().map(str::to_owned).collect()
    };
    let page = answer("/who page 2");
    assert_eq!(page[0], "* here: client-101, 0 lines, 0 min");
    assert_eq!(page[99], "* here: client-200, 0 lines, 0 min");
    assert_eq!(page[100..], ["* and 30 more", "* 230 here"]);
    let last = answer("/who Page 3");
    assert_eq!((last.len(), last[29].as_str()), (31, "* here: client-230, 0 lines, 0 min"));
    for line in ["/who page 4", "/who page 999999999999999999"] {
        assert_eq!(answer(line), ["* 230 here"], "{line}");
    }
    assert_eq!(answer("/who page 1"), answer("/who"));
    let [ann, anton] = ["Ann", "ANTON"].map(|name| format!("* here: {name}, 0 lines, 0 min"));
    assert_eq!(answer("/who aN"), [&ann, &anton, "* 2 of 230 here"]);
    assert_eq!(answer("/who page"), ["* here: page, 0 lines, 0 min", "* 1 of 230 here"]);
    let given = answer("/who client");
    assert_eq!(given[100..], ["* and 126 more", "* 226 of 230 here"]);
    for line in ["/who zoe".to_owned(), format!("/who {}", "a".repeat(4_000)), "/who \u{301}".to_owned()] {
        assert_eq!(answer(&line), ["* 0 of 230 here"], "{line}");
    }
    for line in ["/who page x", "/who page -1", "/who ann anton"] {
        assert_eq!(answer(line), ["* /who, /who NAME or /who page N lists who is here"], "{line}");
    }
}

#[test]
fn what_a_member_does_is_a_line_like_any_other() {
    let mut chat = Chat::of(options(), 2);
    play(
        &mut chat,
        &[
            (0, "/me waves", &["", "client-1> *waves*\n"]),
            (1, "/ME  left *the room*\t", &["client-2> *left *the room**\n", ""]),
            (0, "/me", &["* /me TEXT says what you do\n", ""]),
            (0, "/say /me x", &["", "client-1> /me x\n"]),
        ],
    );
    chat.say(0, "/who client-1");
    assert_eq!(chat.reads(0), "* here: client-1, 2 lines, 0 min\n* 1 of 2 here\n");
}

#[test]
fn messages_go_to_one_and_are_confirmed() {
    let mut chat = Chat::of(options(), 3);
    play(
        &mut chat,
        &[
            (1, "/nick Zoë", &["", "* client-2 is now Zoë\n", ""]),
            (0, "/msg ZOE\u{308} for  you", &["* you told Zoë: for  you\n", "* client-1 tells you: for  you\n", ""]),
            (1, "/msg client-1 and you", &["* Zoë tells you: and you\n", "* you told client-1: and you\n", ""]),
            (0, "/msg client-2 hi", &["* nobody here is called client-2\n", "", ""]),
            (0, "/msg server hi", &["* nobody here is called server\n", "", ""]),
            (0, "/msg Zoë", &["* /msg NAME TEXT tells TEXT to NAME alone\n", "", ""]),
            (0, "/msg", &["* /msg NAME TEXT tells TEXT to NAME alone\n", "", ""]),
        ],
    );
}

#[test]
fn a_command_that_does_not_exist_is_answered_in_private() {
    let mut chat = Chat::of(options(), 2);
    for (line, word) in [("/nope x", "/nope"), ("/", "/"), ("/ who", "/"), ("/kick client-2", "/kick")] {
        chat.say(0, line);
        let answer = format!("* there is no command {word}; /help lists what you can do\n");
        assert_eq!((chat.reads(0), chat.reads(1)), (answer, String::new()));
    }
    chat.say(0, "/help");
    let help = chat.reads(0);
    assert!(help.lines().all(|line| line.starts_with("* ")) && help.contains("/nick") && !help.contains("/kick"));
    assert_eq!(chat.reads(1), "");
}

#[test]
fn a_command_behind_blanks_is_answered_in_private_and_said_to_nobody() {
    let mut chat = Chat::new(options());
    let operator = chat.enter_operator();
    let ana = chat.enter();
    let bob = chat.enter();
    for member in [operator, ana, bob] {
        chat.reads(member);
    }
    let hint = "* a command begins at the start of the line; /say says it as it is\n";
    for member in [ana, operator] {
        for line in [" /msg client-2 secret", "\t/quit", "\u{3000}/kick client-2", "\u{a0}/nope"] {
            chat.say(member, line);
            assert_eq!((chat.reads(member).as_str(), chat.reads(bob).as_str()), (hint, ""), "{line:?}");
        }
    }
    chat.say(ana, "/say  /msg client-2 secret");
    assert_eq!(chat.reads(bob), "client-1>  /msg client-2 secret\n");
}

#[test]
fn a_newcomer_is_greeted_and_shown_the_last_lines() {
    let options = Options { greeting: "hi\x1b\nall".into(), history_lines: 2, announce_up_to: 9, ..options() };
    let mut chat = Chat::new(options);
    let first = chat.enter();
    let greeting = "* you are client-1; /help lists what you can do\n* hi\u{fffd}\n* all\n";
    assert_eq!(chat.reads(first), greeting, "no header without history");
    chat.say(first, "one");
    let second = chat.enter();
    assert!(chat.reads(second).ends_with("* all\n* 1 earlier line:\nclient-1> one\n"));
    chat.say(first, "two");
    chat.introduce(second);
    chat.say(first, "three");
    chat.leave(first);
    let third = chat.enter();
    let history = "* 2 earlier lines:\nclient-1> two\n* client-2 joined\nclient-1> three\n* client-1 left\n";
    assert!(chat.reads(third).ends_with(history), "notices do not count as lines");
}

#[test]
fn a_member_is_introduced_with_its_first_line_name_or_when_its_time_is_over() {
    let mut chat = Chat::of(Options { announce_up_to: 9, ..options() }, 4);
    play(
        &mut chat,
        &[
            (0, "hi", &["", "* client-1 joined\nclient-1> hi\n"]),
            (0, "again", &["", "client-1> again\n"]),
            (1, "/nick ana", &["* ana joined\n", "* client-2 is now ana\n"]),
            (1, "/who", &[""]),
        ],
    );
    chat.reads(1);
    chat.introduce(2);
    chat.introduce(2);
    assert_eq!((chat.reads(0), chat.reads(1)), ("* client-3 joined\n".into(), "* client-3 joined\n".into()));
    assert!(!chat.reads(2).contains("client-3"), "a member does not read its own notice");
    // The room reads `left` of the three members whose `joined` it has read.
    for member in [3, 2, 1] {
        chat.leave(member);
    }
    assert_eq!(chat.reads(0), "* client-3 left\n* ana left\n");
}

#[test]
fn a_crowd_is_told_neither_who_joins_nor_who_leaves() {
    let mut chat = Chat::of(Options { announce_up_to: 2, ..options() }, 3);
    play(
        &mut chat,
        &[
            (1, "hi", &["client-2> hi\n", "", "client-2> hi\n"]),
            (2, "/nick ana", &["", "", "* client-3 is now ana\n"]),
            (2, "/nick eva", &["* ana is now eva\n"]),
        ],
    );
    chat.introduce(0);
    chat.leave(2);
    chat.leave(1);
    assert_eq!(chat.reads(0), "", "the room has shrunk, and they were never introduced");
    let late = chat.enter();
    chat.say(late, "hi");
    assert_eq!(chat.reads(0), "* client-4 joined\nclient-4> hi\n");
}

#[test]
fn the_author_of_an_overlong_line_is_told_the_limit() {
    let chat = Chat::new(Options { line_bytes_max: 100, ..options() });
    assert_eq!(chat.room.overlong_reply(), "* line too long (over 100 bytes): not relayed\n");
}

#[test]
fn all_are_told_of_the_shutdown() {
    let mut chat = Chat::of(options(), 2);
    chat.room.apply(&mut chat.roster, Event::ShuttingDown);
    for member in [0, 1] {
        assert_eq!(chat.reads(member), "* the server is shutting down\n");
    }
}
