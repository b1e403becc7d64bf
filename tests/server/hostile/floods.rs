//! Floods of lines, commands and fragments.

use super::*;

/// One who says numbered lines as fast as it can, in a thread of its own, until it is stopped.
struct Flood {
    prefix: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Client, usize)>,
}

/// The padding makes lines long, so that a reader in a debug build still takes them faster than they come.
fn flood_line(index: usize) -> String {
    format!("{index} {:~<1000}", "")
}

impl Flood {
    fn start(mut client: Client) -> Flood {
        let prefix = client.says("");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut said = 0;
            while !stopped.load(Ordering::Relaxed) {
                client.send((said..said + 16).map(|index| flood_line(index) + "\n").collect::<String>());
                said += 16;
            }
            (client, said)
        });
        Flood { prefix, stop, thread }
    }

    /// The flooder, and how many lines it said.
    fn stop(self) -> (Client, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the server takes what the flooder says")
    }

    /// The number of this line, if it is the flooder's.
    fn index(&self, line: &str) -> Option<usize> {
        index_in(&self.prefix, line)
    }
}

fn index_in(prefix: &str, line: &str) -> Option<usize> {
    let text = line.strip_prefix(prefix)?;
    let index = text.split(' ').next().and_then(|index| index.parse().ok()).expect("a numbered line");
    assert_eq!(text.len(), flood_line(index).len(), "a whole line");
    Some(index)
}

/// One who hears the flood and loses no line of it.
struct Hearer {
    client: Client,
    due: Option<usize>,
}

impl Hearer {
    fn new(client: Client) -> Hearer {
        Hearer { client, due: None }
    }

    /// The next line that is not the flooder's.
    fn other_line(&mut self, flood: &Flood) -> String {
        let start = Instant::now();
        loop {
            let line = self.client.line();
            let Some(index) = flood.index(&line) else {
                return line;
            };
            assert_eq!(index, *self.due.get_or_insert(index), "{} lost lines", self.client.name());
            self.due = Some(index + 1);
            assert!(start.elapsed() < DEADLINE, "nothing of the others comes through");
        }
    }

    /// Takes one more line of the flood, if not all that was said is heard.
    fn hear_on(&mut self, prefix: &str, said: usize) {
        if self.due.unwrap_or(0) < said {
            let index = index_in(prefix, &self.client.line()).expect("only the flood is left");
            assert_eq!(index, *self.due.get_or_insert(index), "{} lost lines", self.client.name());
            self.due = Some(index + 1);
        }
    }
}

#[test]
fn under_a_flood_healthy_readers_lose_no_line_and_others_are_heard() {
    let server = Server::quiet(&[]);
    let mut a = Hearer::new(server.join());
    let mut b = Hearer::new(server.join());
    let flood = Flood::start(server.join());
    let mut newcomers = Vec::new();
    for round in 0..200 {
        for text in [format!("ping {round}"), format!("pong {round}")] {
            a.client.send_line(&text);
            assert_eq!(b.other_line(&flood), a.client.says(&text));
            std::mem::swap(&mut a, &mut b);
        }
        if round % 20 == 0 {
            newcomers.push(server.join());
        }
    }
    // They have not read since they came: so whether they lag or not is theirs, but talk they can.
    let mut last = newcomers.pop().expect("some came");
    drop(newcomers);
    last.send_line("hello");
    for hearer in [&mut a, &mut b] {
        assert_eq!(hearer.other_line(&flood), last.says("hello"));
    }
    drop(last);
    let prefix = flood.prefix.clone();
    let (mut flooder, said) = flood.stop();
    // In step, for there may be more to come than a tape holds.
    for _ in 0..said {
        a.hear_on(&prefix, said);
        b.hear_on(&prefix, said);
    }
    assert_eq!([a.due, b.due], [Some(said); 2]);
    // The flooder has missed nothing of the little that the others said, and got nothing of its own.
    for round in 0..200 {
        for text in ["ping", "pong"] {
            let line = flooder.line();
            assert!(line.ends_with(&format!("> {text} {round}")), "{line:?}");
        }
    }
    assert!(flooder.line().ends_with("> hello"));
    ask(&mut flooder, &mut a.client, "sorry");
}

#[test]
fn a_flood_does_not_make_the_server_grow() {
    let server = Server::quiet(&["--backlog", "1M"]);
    let [mut a, mut b] = server.join_many();
    let mute = server.join_narrow();
    say_numbered(&mut a, &mut b, 0, MANY);
    let before = server.resident_bytes();
    let mut flooders: Vec<_> = (0..4).map(|_| Flood::start(server.join())).collect();
    let mut peak = 0;
    for _ in 0..20 {
        (0..1000).for_each(|_| drop(b.line()));
        peak = peak.max(server.resident_bytes());
    }
    let flooders: Vec<_> = flooders.drain(..).map(Flood::stop).collect();
    assert!(peak < before + SLACK_BYTES, "grew from {before} to {peak} bytes");
    assert_eq!(a.present(), 7);
    drop((flooders, mute));
}

#[test]
fn newcomers_get_in_under_a_flood() {
    let server = Server::quiet(&["--history", "5"]);
    let flood = Flood::start(server.join());
    for _ in 0..50 {
        let mut newcomer = server.join();
        let mut heard = 0;
        newcomer.lines_until(|line| {
            assert_eq!(missed(line), None);
            heard += usize::from(flood.index(line).is_some());
            heard == 10
        });
    }
    flood.stop();
}

#[test]
fn one_who_asks_without_end_and_never_reads_is_held_back_and_loses_nothing() {
    let server = Server::quiet(&["--backlog", "1M"]);
    let [mut a, mut b] = server.join_many();
    let mut asker = server.join_narrow();
    converse(&mut a, &mut b, 10);
    let before = server.resident_bytes();
    let requests = b"/who\n/help\n/nope\n".repeat(100);
    let sent = push(&asker, &requests, 1 << 20);
    for _ in 0..20 {
        converse(&mut a, &mut b, 10);
        let now = server.resident_bytes();
        assert!(now < before + SLACK_BYTES, "grew from {before} to {now} bytes");
    }
    // What it sent was not lost meanwhile: every whole request is answered in the end. What it sent last may be
    // a part of one, which its half-close makes a line.
    let rounds = sent / b"/who\n/help\n/nope\n".len();
    asker.half_close();
    let lines = answers(&mut asker);
    let totals = lines.iter().filter(|line| *line == "* 3 here").count();
    assert!((rounds..=rounds + 1).contains(&totals), "{totals} answers to {rounds} questions");
    converse(&mut a, &mut b, 10);
}

fn answers(asker: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = asker.try_line().expect("an end in good order") {
        // A sample of what is repeated a hundred thousand times is enough, but for what is counted.
        if line == "* 3 here" || lines.len() < 100 {
            lines.push(line);
        }
    }
    lines
}

/// Sends `chunk` again and again until the server takes no more, or `max` bytes are sent; tells how many.
fn push(client: &Client, chunk: &[u8], max: usize) -> usize {
    let mut stream = client.stream();
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("connected");
    let mut sent = 0;
    while sent < max {
        match stream.write(&chunk[sent % chunk.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("the server ended it: {error}"),
        }
    }
    stream.set_write_timeout(Some(DEADLINE)).expect("connected");
    sent
}

#[test]
fn fragments_that_are_never_finished_cost_a_line_each() {
    raise_descriptor_limit();
    let server = Server::quiet(&["--backlog", "1M"]);
    let [mut a, mut b] = server.join_many();
    let before = server.resident_bytes();
    let mut holders: Vec<_> = (0..200).map(|_| server.join()).collect();
    for holder in &mut holders {
        holder.send("x".repeat(4096));
    }
    converse(&mut a, &mut b, 10);
    let now = server.resident_bytes();
    assert!(now < before + 200 * 2 * 4096 + SLACK_BYTES, "grew from {before} to {now} bytes");
    for holder in &mut holders {
        holder.send("\n");
        b.expect(holder.says("x".repeat(4096)));
    }
}
