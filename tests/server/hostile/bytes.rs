//! Random bytes make no line of another form or name.

use super::*;

/// Marsaglia's xorshift64: the same bytes in every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below the limit")
    }
}

/// What hostile input is put together of, beside bytes at random.
const PIECES: [&[u8]; 39] = [
    b"\n",
    b"\n",
    b"\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b"> ",
    b"* ",
    b"/",
    b"//",
    b"\x1b[2J",
    b"\x7f",
    b"\x1b]0;x\x07",
    b"\n/nick ",
    b"\n/nick ana\n",
    b"\n/nick \xd0\x90\xd0\xbd\xd0\xb0\n",
    b"\n/nick x>\n",
    b"\n/who\n",
    b"\n/help\n",
    b"\n/msg client-1 ",
    b"\n/msg ana ",
    b"\n/msg client-2 ",
    b"server",
    b"client-1> hi",
    b"* client-1 left",
    b"* the server is shutting down",
    b" is now ",
    b" joined",
    b"\xe2\x80\xae",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xc2\x9b",
    b"\x9b",
    b"\xe2\x82",
    b"\xf0\x9f\x91\x8d",
    b"\xed\xa0\x80",
];

/// What may end its conversation: rare, for nothing that comes after it is heard.
const LEAVING: [&[u8]; 4] = [b"FIN\n", b"\nexit\n", b"\nFIN", b"\n/quit\r\n"];

fn burst(random: &mut Xorshift) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = random.below(6000);
    while bytes.len() < length {
        match random.below(100) {
            0..70 => bytes.extend_from_slice(PIECES[random.below(PIECES.len())]),
            70..98 => bytes.extend_from_slice(&random.next().to_le_bytes()[..1 + random.below(8)]),
            98 => bytes.extend(b"x".repeat(random.below(5000))),
            _ => bytes.extend_from_slice(LEAVING[random.below(LEAVING.len())]),
        }
    }
    bytes
}

/// Whether no terminal obeys anything in it.
fn is_clean(text: &str) -> bool {
    let is_bad = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    !text.contains(is_bad)
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn is_given_name(name: &str) -> bool {
    name.strip_prefix("client-").is_some_and(|number| number.parse::<u64>().is_ok())
}

/// Who is here, as one who was told everything knows it.
struct Roster {
    present: HashSet<String>,
    /// Private lines may come before the notice of the name that they are under.
    ever: HashSet<String>,
    told_by: HashSet<String>,
}

impl Roster {
    fn of(clients: &[&Client]) -> Roster {
        let present: HashSet<String> = clients.iter().map(|client| client.name()).collect();
        Roster { ever: present.clone(), present, told_by: HashSet::new() }
    }

    /// Every line is of a form of the protocol, and under a name that is somebody's just now.
    #[track_caller]
    fn check(&mut self, line: &str) {
        assert!(is_clean(line), "{line:?}");
        if let Some(notice) = line.strip_prefix("* ") {
            self.check_notice(notice);
            return;
        }
        let (name, _) = line.split_once("> ").unwrap_or_else(|| panic!("of no form: {line:?}"));
        assert!(self.present.contains(name), "nobody is called {name:?}: {line:?}");
    }

    /// Names hold no white space, so the words tell the forms apart, whatever the names are.
    #[track_caller]
    fn check_notice(&mut self, notice: &str) {
        match *notice.split(' ').collect::<Vec<_>>() {
            [name, "joined"] => {
                assert!((is_given_name(name) || is_name(name)) && self.present.insert(name.to_owned()), "{notice:?}");
                self.ever.insert(name.to_owned());
            }
            [name, "left"] => assert!(self.present.remove(name), "{notice:?}"),
            [old, "is", "now", new] => {
                assert!(self.present.remove(old), "{notice:?}");
                assert!(is_name(new) && self.present.insert(new.to_owned()), "{notice:?}");
                self.ever.insert(new.to_owned());
            }
            [name, "tells", "you:", ..] => {
                self.told_by.insert(name.to_owned());
            }
            _ => panic!("a notice that this client did not ask for: {notice:?}"),
        }
    }
}

#[test]
fn hostile_bytes_make_no_line_of_another_form_or_name() {
    let server = Server::start(&[]);
    let [mut observer, mut clerk]: [Client; 2] = server.join_introduced();
    let mut roster = Roster::of(&[&observer, &clerk]);
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for round in 0..100 {
        let mut hostile: [Client; 3] = server.join_many();
        for _ in 0..3 {
            hostile.iter_mut().for_each(|client| client.send_lossy(&burst(&mut random)));
        }
        hostile.iter().for_each(Client::half_close);
        for client in &mut hostile {
            check_own_lines(client);
        }
        eventually("they have left", || clerk.present() == 2);
        clerk.send_line(format!("round {round}"));
        let said = clerk.says(format!("round {round}"));
        observer.lines_until(|line| line == said).iter().for_each(|line| roster.check(line));
        assert_eq!(roster.present.len(), 2);
    }
    assert!(roster.ever.contains("ana") && !roster.told_by.is_empty(), "the bytes are too tame");
    // A client that was not introduced can send private lines under the name that it was given.
    roster.told_by.retain(|name| !is_given_name(name));
    assert!(roster.told_by.is_subset(&roster.ever), "{:?}", roster.told_by.difference(&roster.ever));
    observer.who();
}

/// Whatever it sent, what it gets is of the protocol's forms as well, and ends as it should.
#[track_caller]
fn check_own_lines(client: &mut Client) {
    let lines = client.lines_until(|line| {
        // Its own CR may have asked for CRLF.
        let line = line.strip_suffix('\r').unwrap_or(line);
        let is_notice = line.starts_with("* ");
        let is_said = line.split_once("> ").is_some_and(|(name, _)| is_name(name));
        assert!(is_clean(line) && (is_notice || is_said || line == "FIN"), "{line:?}");
        line == "FIN"
    });
    assert!(!lines.is_empty());
    client.expect_end();
}

impl Client {
    /// Sends it, if the server still listens: it may have been told to end the conversation.
    fn send_lossy(&mut self, bytes: &[u8]) {
        let _ = self.stream().write_all(bytes);
    }
}
