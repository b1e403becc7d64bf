//! A TCP chat relay that serves twenty thousand clients from one thread.
//!
//! `pollchat-server` accepts TCP clients and browsers, and relays each complete line of a client to all other clients
//! in its room, marked with its sender's name. `pollchat-client` is the companion. The server is one readiness-driven
//! loop over a slab of connections, without a queue per recipient. The [manual] tells operators and users what both
//! programs do; this page is for readers of the code.
//!
//! # The way of a line
//!
//! ```text
//! socket ─read→ LineDecoder ─line→ Room::decide ─event→ Room::apply → tape (one append: "ana> hello\n")
//!                                      └─reply→ outbox of the sender
//! tape ─cursor of each reader→ one write per connection and turn → socket
//! ```
//!
//! 1. A socket is readable. `server/hub/input.rs` reads it into a scratch buffer that all connections share, within
//!    the budgets of the turn.
//! 2. [`LineDecoder`](relay::line::LineDecoder) finds complete lines, in whatever pieces they arrive, and
//!    [`sanitize`](relay::sanitize::sanitize) replaces invalid UTF-8 and control characters.
//! 3. `server/hub/lines.rs` hands each line to [`Room::decide`](relay::room::Room::decide), which changes nothing. It
//!    returns a reply to the sender, or an [`Event`](relay::event::Event).
//! 4. [`Room::apply`](relay::room::Room::apply) turns the event into one append to the [tape](relay::tape::Tape),
//!    whatever the number of readers. No other code changes a room.
//! 5. In the flush pass, `server/hub/output.rs` writes to each connection the tape between its
//!    [cursor](relay::cursor::Cursor) and the end, in most cases with one `write`.
//!
//! A line is sanitized once and appended once. Only the rest of a line that a write tore is copied again.
//!
//! # The turn
//!
//! The outer loop ([`Server::run`](server::Server::run)) *waits* for events or the next timer. Then the
//! [hub](server::hub::Hub) *reacts*: it reads and handles lines, and writes nothing. Then it *flushes*: it writes to
//! all readers of the tapes that have moved, and to the dirty connections. It also finds the readers that lag, and
//! removes closed connections. Keys become free only there, so no event of a batch reaches a newcomer with a reused
//! key. The hub takes events, streams and the time as values. So the simulator in `tests/simulator` drives it as well
//! as the kernel does.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | tape | the shared, bounded, append-only ring of a room's outgoing bytes |
//! | cursor | the place of one reader on the tape |
//! | hole | a span of the tape that a cursor steps over: the reader's own lines |
//! | lag | the state of a reader that the tail of the tape overtook; it is told how many lines it missed |
//! | outbox | bytes for one connection alone: private replies, and the rest of a line that a write tore |
//! | room | one tape and the rules for what is put on it; a client is in one at a time |
//! | mover | a client on its way to another room: still owed a part of the old tape, and not read |
//! | roster | the members of the whole server, with their numbers and names |
//! | event | a change of a room: said, renamed, unnamed, joined, left, removed, shutting down |
//! | entering | connected, bounded and on a deadline, but not yet a member of a room |
//! | turn | one pass of the loop: wait, react, flush |
//! | dirty | queued for the next flush pass, even if the tape does not move |
//! | brake | the budgets for bytes put on a tape: one per turn, a tighter one if a healthy reader is far behind |
//!
//! # The map
//!
//! Arrows run one way: programs → server, client → relay, net. A file owns state, and its first paragraph says which.
//!
//! | module | files | owns |
//! |---|---|---|
//! | [`relay`] | | lines, their rules and their recipients. Pure: no socket, no clock, no mio |
//! | | `line` `sanitize` `telnet` | framing, cleaning, telnet commands |
//! | | `name` `lookalike` `command` `notice` | names, names that look alike, commands, the texts of the server |
//! | | `names` `secret` | names with owners, hashes of tokens and passwords |
//! | | `object` `order` | a line as an object of JSON, orders of operators |
//! | | `room` `roster` `directory` `event` | rules of a room, all members, all rooms, changes of a room |
//! | | `record` `elsewhere` | the records of a room in a log that servers share, the members of all these servers |
//! | | `tape` `stamp` `past` `cursor` | the tape, its times and positions, earlier logs, a reader's place on it |
//! | | `sequence` | repetitions and gaps in a log that several servers write |
//! | [`server`] | `mod` | the outer loop on mio |
//! | | `cli` `config` `limits` `memory` | flags, settings, every limit, their sum |
//! | | `source` `dial` | the sources of events as numbers, connections to Redis |
//! | | `endpoint` `reach` | addresses of ports, as written and as reached |
//! | | `listening` `listener` `unix` | binding, accepting, files of Unix sockets |
//! | | `inherited` `systemd` | sockets and console that a service manager hands over, what it is told |
//! | | `settings` `cli/file` | where each setting comes from, the file of `--config` |
//! | | `reload` `small_file` | all that is read at the start and again at a reload, reading one file |
//! | | `certificate` `pem` `secrets` | the files of TLS, those of names and of the password |
//! | | `bans` | banned networks, the form of their lines, their file and the thread that writes it |
//! | | `access` `sniff` `sessions` | allowed addresses, foreign protocols, sessions of tracked clients |
//! | | `proxy` | trusted proxies, and the addresses of clients that they give |
//! | | `stats` `figures` `reason` | counters, their names, reasons of refusals and leaves |
//! | | `report` `fields` | the throttled log, and the fields of its lines |
//! | | `metrics` | the figures as text for Prometheus |
//! | | `ctl` | `pollchat-server ctl`, which gives an order to a running server |
//! | `server/journal` | `mod` `store` `writer` `disk` | opening, the seam to the loop, the thread, the kernel's calls |
//! | | `head` `folder` `numbers` | the form of files, the folder and its lock, client numbers |
//! | | `handover` | the file of sessions between two runs |
//! | | `room_log` `restore` `export` | writing a room, reading it back, printing it |
//! | `server/bus` | `mod` `reading` `writing` | the seam to the hub, the connection that reads, the one that writes |
//! | | `address` `link` `resp` `side` | where Redis is, a connection to it, the form of replies, the replies it owes |
//! | | `streams` `stream` `loading` `entry` | all streams, one of them, its history, the form of an entry |
//! | | `leases` `posts` `throttle` | the servers that are there, events for one of them, how often a failure is logged |
//! | `server/hub` | `mod` | the order of the phases of a turn |
//! | | `proxied` `handshakes` | before the way in: the header of a proxy, a TLS handshake |
//! | | `admission` `refusals` `closing` | the way in, the way out again with a reason, the way out |
//! | | `reporting` | the log lines about clients and peers |
//! | | `banning` | orders that ban and lift, the search for members that a new ban covers |
//! | | `doorkeeper` | the server's password, and the connections that have to give it |
//! | | `reading` `input` `lines` | the order of the reads, reading a client, handing lines to the room |
//! | | `output` `http` `scraping` | the flush pass, visitors of the page, scrapers of metrics |
//! | | `channel` `rooms` `key_set` `moving` | one room at work, all of them, its readers, moves between two |
//! | | `together` `rooms/sharing` | the bus: what is read back, what rooms have for it, and their gates |
//! | | `together/news` `together/waits` | what clients know of the bus, rooms that load |
//! | | `together/under_way` | lines of tracked clients on their way to the log |
//! | | `tracking` `seats` | sessions from one connection to the next, the seats of members that are away |
//! | | `names` | names that change hands: by a token, or because their file has changed |
//! | | `elsewhere` | this server among others: its way in, and what it tells them of its members |
//! | | `elsewhere/claims` `elsewhere/gone` | names that are asked of all servers, the ends of servers |
//! | | `elsewhere/doubts` | servers of which Redis has lost events |
//! | | `elsewhere/orders` `elsewhere/posts` | orders for all servers, private messages between two |
//! | | `orders` | orders of operators and their answers |
//! | | `settings` | settings that change at run time |
//! | | `keeping` | the kept rooms, as readers of the journal |
//! | | `control` | operators on the control socket, and their answers under way |
//! | | `handing_over` | sessions that pass from one run to the next |
//! | | `connections` `schedule` `timers` | the slab, the queues of a turn, all timers |
//! | | `wall` `patrol` | what is read while the room waits, the search for dead peers |
//! | `server/connection` | `mod` `input` `output` `moving` | one connection: phase, input, write paths, moves |
//! | | `protocol` `telnet` `tracking` `farewell` | its encoding, telnet commands, dialect, last words |
//! | | `sealing` | its TLS: text that waits to be read, ciphertext that waits to be written |
//! | `server/flow` | `brake` `deliveries` `budget` | backpressure: one tape, all tapes, the work of a turn |
//! | | `rate` `stall` | one client, a slow reader |
//! | `server/web` | `site` `resource` `request` `response` `document` | HTTP: routing, addresses, parsing, answers |
//! | | `exchange` `origin` `scrape` | one connection at a time, origin policy, requests for metrics |
//! | | `websocket` `frame` | frames in, frames out |
//! | | `page` `bombards` `minify` | the chat page, the page of the game, what both are sent without |
//! | [`client`] | `session` `connect` `link` | one connection, making it, again and again |
//! | | `resolver` `race` | the look-up of the name, connects to several addresses |
//! | | `trust` `secure` | trusted servers, TLS under a connection |
//! | | `secrets` `door` | the user's password and token, a server that asks for a password |
//! | | `decoder` `outbox` | lines from the server, lines to it |
//! | | `room` | the room that it is in, and the way back there |
//! | | `leaving` `ending` | the bounds of leaving, the exit code and its message |
//! | | `tracking` | a session of the tracked dialect: position, own lines, what to send again |
//! | | `pipe` | the form for pipes: answers, lines of stdin, `--json`, the outcome |
//! | | `terminal` | the form for terminals: keys, editor, screen, chat view |
//! | | `program` `answers` | the form for a program of this crate, the answers about room, name and lines |
//! | [`bombards`] | `field` `game` `order` `report` | a game: physics, players, their words, the words of the referee |
//! | | `follow` `check` `referee` | what reports tell, `--check`, the referee as a client |
//! | [`net`] | `stream` `outbox` `keepalive` `unanswered` `stdio` | the kernel: sockets, unsent bytes, dead peers, stdio |
//! | | `tls` | cryptography and pins of both programs; a session of the server as bytes in and bytes out |
//! | | `address` `resolve` `backoff` | addresses as people write them, look-ups off the loop, pauses between attempts |
//! | [`logging`] | | the log on stderr, which neither blocks nor panics |
//! | [`variables`] | | the environment variables behind the flags |
//! | [`manual`] | `operating` `protocol` `client` `bombards` `memory` | prose for operators and users, `--generate` |
//!
//! A new timer is a variant of `Timer` in `server/hub/timers.rs`. A new command begins in `relay/command.rs`, a new order
//! of operators in `relay/order.rs`, a new notice in `relay/notice/mod.rs`, a new limit in `server/limits.rs`.

pub mod bombards;
pub mod client;
pub mod logging;
pub mod manual;
pub mod net;
pub mod relay;
pub mod server;
pub mod variables;

/// The default TCP port of server and client.
pub const PORT: u16 = 46_000;

/// The default TCP port of `tls://`.
pub const TLS_PORT: u16 = 46_001;
