import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeServer } from './fake-server.mjs';
import { load } from './load.mjs';

const { Session, commandOrLine, plainLine } = load(
  ['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'lost.js', 'chart.js', 'own.js', 'session.js'],
  ['Session', 'commandOrLine', 'plainLine'],
);

const NOW = 10_000_000;

/** A page with this session, over connections that a test cuts. */
class Page {
  constructor(server) {
    Object.assign(this, { server, session: new Session(), shown: [], refused: [], lost: [] });
  }

  /** Opens a connection: `bytesUp` bytes of the client arrive on it, and `linesDown` lines of the server. */
  open({ bytesUp = Infinity, linesDown = Infinity } = {}) {
    Object.assign(this, { bytesUp, linesDown, up: '', down: [], isReady: false });
    this.connection = this.server.connect((line) => this.down.push(line));
    this.transmit(this.session.begin());
    return this;
  }

  /** Ends the connection. The session is kept on both sides. */
  cut() {
    this.connection.leave();
    this.session.end();
    this.isReady = false;
    return this;
  }

  say(line) {
    this.session.say(line);
    this.transmit(line.wire);
  }

  transmit(text) {
    const passed = text.slice(0, this.bytesUp);
    this.bytesUp -= passed.length;
    this.up += passed;
    this.run();
  }

  /** Carries lines to the server, and lines to the client, until there are none. Each side is done with one at a time. */
  run() {
    if (this.isRunning) return;
    this.isRunning = true;
    for (;;) {
      const end = this.up.indexOf('\n');
      if (end >= 0) {
        const line = this.up.slice(0, end);
        this.up = this.up.slice(end + 1);
        this.connection.hear(line);
      } else if (this.down.length > 0) {
        this.receive(this.down.shift());
      } else {
        break;
      }
    }
    this.isRunning = false;
  }

  receive(line) {
    if (this.linesDown <= 0) return;
    this.linesDown -= 1;
    const events = this.session.hear(line, NOW);
    // The first place that the page knows of: from there on it has to see everything.
    this.start ??= this.session.position && { ...this.session.position };
    events.forEach((event) => this.take(event));
  }

  take(event) {
    this.shown.push(event);
    if (event.kind === 'taken' && event.isRefused) this.refused.push(event.line);
    if (event.kind === 'decided') {
      this.lost.push(...event.lost);
      this.session.release().forEach((line) => this.say(line));
    }
    if (event.kind !== 'ready') return;
    this.isReady = true;
    this.lost.push(...event.lost);
    event.again.forEach((line) => this.say(line));
  }

  get records() {
    return this.shown.filter(({ isRecord }) => isRecord);
  }

  get texts() {
    return this.records.map(({ kind, from, text, notice }) => (kind === 'said' ? `${from}> ${text}` : `* ${notice}`));
  }

  get missed() {
    return this.shown.filter(({ kind }) => kind === 'missed').reduce((sum, { lines }) => sum + lines, 0);
  }
}

const textsOn = (room) => room.records.map(({ text }) => text);
const hear = (session, ...lines) => lines.flatMap((line) => session.hear(line, NOW));
const kinds = (events) => events.map(({ kind }) => kind);

test('a first connection asks, and is ready when it is answered', () => {
  const session = new Session();
  assert.equal(session.begin(), '/track\n');
  const [ready] = hear(session, '** session Tok3n heard 0 at ab.12 as client-7');
  assert.deepEqual([ready.kind, ready.isTracked, ready.isResumed, ready.name], ['ready', true, false, 'client-7']);
  assert.deepEqual(hear(session, '** you are client-7, in lobby'), []);
  assert.deepEqual(hear(session, '** welcome to all').map(({ kind, isPrivate, notice }) => [kind, isPrivate, notice]),
    [['other', true, 'welcome to all']]);
  assert.deepEqual(hear(session, '** 2 earlier lines:'), []);
  assert.deepEqual(kinds(hear(session, '@ 5000 ab.10')), ['placed']);
  const [earlier, first] = hear(session, 'bob> hi');
  assert.deepEqual([earlier.kind, earlier.lines], ['earlier', 2]);
  assert.deepEqual([first.text, first.at, first.isEarlier, first.isNews], ['hi', 5000, true, false]);
  const [left, caughtUp] = hear(session, '* bob left');
  assert.deepEqual([left.kind, left.at, left.isEarlier, caughtUp.kind], ['left', 5000, true, 'caughtUp']);
  const [joined] = hear(session, '@ 9000 ab.12', '@ 9000 ab.12', '* client-7 joined');
  assert.deepEqual([joined.at, joined.isEarlier, joined.isNews, joined.isRecord], [9000, false, true, true]);
  session.end();
  assert.equal(session.begin(), '/track ab.13 Tok3n\n');
});

test('only records move the position', () => {
  const session = new Session();
  session.begin();
  hear(session, '** session T heard 0 at e.x.5 as ana', '** you are ana, in rust', '@ 1000 e.x.5');
  hear(session, 'bob> * x', '** bob tells you: hi', '* cho joined', '** 2 here', 'server> soon', '* anything', 'FIN');
  session.end();
  assert.equal(session.begin(), '/track e.x.9 T\n');
});

test('a server that does not track is heard as before', () => {
  for (const answer of ['* there is no command /track; /help lists what you can do',
    '* nothing to track: only you hear your echo']) {
    const session = new Session();
    session.begin();
    assert.deepEqual(hear(session, '* you are client-7; /help lists what you can do', 'bob> early'), []);
    const events = hear(session, answer);
    assert.deepEqual(kinds(events), ['ready', 'welcome', 'said']);
    assert.equal(events[0].isTracked, false);
    session.say(plainLine('x'));
    assert.deepEqual(session.waiting(9), []);
    assert.deepEqual(kinds(hear(session, '* bob joined', 'bob> @ 1 e.2', '@ 1 e.2')), ['joined', 'said', 'other']);
    session.end();
    assert.equal(session.begin(), '/track\n');
  }
});

test('what comes before the answer is forgotten if the server tracks, and told if it refuses', () => {
  const greeting = ['* you are client-7; /help lists what you can do', 'bob> early'];
  const tracked = new Session();
  tracked.begin();
  const answered = hear(tracked, ...greeting, '** session T heard 0 at e.5 as client-7');
  assert.deepEqual(kinds(answered), ['ready']);
  const refused = new Session();
  refused.begin();
  assert.deepEqual(hear(refused, '* the server is full (1 client)', 'FIN'), []);
  assert.deepEqual(kinds(refused.end()), ['other', 'farewell']);
  assert.deepEqual(refused.end(), []);
});

test('own lines wait for their records, and what the server says is theirs', () => {
  const page = new Page(new FakeServer()).open();
  const lines = ['one', 'tw\u0007o', '\u202ethree', ' a b ', 'one'].map(plainLine);
  page.connection.isPaused = true;
  lines.forEach((line) => page.say(line));
  assert.deepEqual(page.session.waiting(9), lines);
  assert.deepEqual(page.session.waiting(2), lines.slice(0, 2));
  page.connection.isPaused = false;
  page.connection.read();
  page.run();
  assert.deepEqual(page.session.waiting(9), []);
  const own = page.records.filter(({ kind }) => kind === 'said');
  assert.deepEqual(own.map(({ line }) => line), lines);
  assert.ok(own.every(({ isOwn, at }) => isOwn && at > 0));
});

test('a line of another client with the same text is not the own one', () => {
  const server = new FakeServer();
  const page = new Page(server).open();
  page.connection.isPaused = true;
  const line = plainLine('hello');
  page.say(line);
  server.room('lobby').records.splice(1, 0, { text: 'bob> hello', at: 1 });
  page.connection.isPaused = false;
  page.connection.read();
  page.run();
  assert.deepEqual(page.records.map((record) => record.line === line), [false, false, true]);
});

test('a line that the server refuses is told as refused, at the latest with the next answer', () => {
  const page = new Page(new FakeServer()).open();
  const [long, short, last] = ['this text is too long for it', 'short', 'this text is too long, too'].map(plainLine);
  for (const line of [long, commandOrLine('/who'), short, last]) page.say(line);
  assert.deepEqual(page.refused, [long]);
  assert.deepEqual(page.session.waiting(9), [last]);
  page.transmit('/track\n');
  assert.deepEqual(page.refused, [long, last]);
  assert.deepEqual(page.session.sent, []);
  page.say(long);
  page.session.refuse(long);
  page.transmit('/track\n');
  assert.equal(page.refused.length, 2);
});

test('a typed /track counts for nothing', () => {
  const page = new Page(new FakeServer()).open();
  for (const text of ['one', '/track', '/TRACK a b', 'two']) page.session.say(commandOrLine(text));
  assert.deepEqual(page.session.sent.map(({ n, line }) => [n, line.text]), [[1, 'one'], [2, 'two']]);
});

test('a missed notice without its stamp is not told, and told once when it comes again', () => {
  const server = new FakeServer({ kept: 3 });
  const room = server.room('lobby');
  for (let linesDown = 0; linesDown < 9; linesDown += 1) {
    const page = new Page(server).open();
    const start = room.records.length;
    page.cut();
    for (let n = 0; n < 10; n += 1) server.tell(room, `bob> ${n}`);
    page.open({ linesDown }).cut().open();
    assert.equal(page.missed, 7, `cut after ${linesDown} lines`);
    assert.deepEqual(page.texts, textsOn(room).slice(start + 7));
    page.cut();
  }
});

test('the own lines of a gap are not sent again, and are not refused', () => {
  const server = new FakeServer({ kept: 3 });
  const page = new Page(server).open();
  page.connection.isPaused = true;
  const lines = Array.from({ length: 8 }, (_, n) => plainLine(`${n}`));
  lines.forEach((line) => page.say(line));
  page.connection.isPaused = false;
  page.connection.read();
  page.run();
  assert.equal(page.missed, 6, 'the introduction and five lines');
  assert.deepEqual(page.session.waiting(9), []);
  assert.deepEqual(page.refused, []);
  const taken = page.shown.filter(({ kind }) => kind === 'taken').map(({ line }) => line);
  assert.deepEqual(taken, lines.slice(0, 5));
  assert.deepEqual(page.records.map(({ line }) => line), lines.slice(5));
});

test('a refused line behind a gap is refused', () => {
  const server = new FakeServer({ kept: 3 });
  const page = new Page(server).open();
  page.connection.isPaused = true;
  for (let n = 0; n < 9; n += 1) server.tell(server.room('lobby'), `bob> ${n}`);
  page.connection.isPaused = false;
  page.connection.read();
  page.run();
  assert.equal(page.missed, 6);
  const long = plainLine('this text is too long for it');
  page.say(long);
  page.transmit('/track\n');
  assert.deepEqual(page.refused, [long]);
});

test('an own renaming that is missing is told by the session line', () => {
  const session = new Session();
  session.begin();
  hear(session, '** session T heard 0 at e.5 as ana', '** you are ana, in rust', '@ 1000 e.5');
  session.say(commandOrLine('/nick eve'));
  session.say(plainLine('one'));
  session.say(plainLine('two'));
  hear(session, '** session T heard 3 at e.20 as eve', '** you missed 10 lines');
  const told = hear(session, '@ 1000 e.15', 'ana> from another ana', 'eve> two', 'eve> of an older load');
  assert.deepEqual(told.map(({ kind, line, isOwn }) => [kind, line?.text, isOwn]), [
    ['missed', undefined, undefined], ['said', undefined, true], ['taken', 'one', undefined], ['said', 'two', true],
    ['said', undefined, true],
  ]);
  // A renaming before the introduction is private. A page that was reloaded may not know that it asked for it.
  const loaded = Object.assign(new Session(), { token: 'T', name: 'client-7', place: { epoch: 'e', number: 5 } });
  loaded.begin();
  const [ready] = hear(loaded, '** session T heard 2 at e.8 as ana');
  assert.ok(ready.isResumed && ready.isRenamed);
  const own = hear(loaded, '** resumed', '** you are ana, in rust', '@ 1000 e.5', 'ana> of another', '* ana joined', 'ana> hi');
  assert.deepEqual(own.filter(({ isRecord }) => isRecord).map(({ isOwn }) => isOwn), [false, false, true]);
});

test('a record is told once, whatever session and history bring it again', () => {
  const server = new FakeServer({ history: 5 });
  const room = server.room('lobby');
  for (let n = 0; n < 9; n += 1) server.tell(room, `bob> ${n}`);
  const page = new Page(server).open();
  const earlier = () => page.shown.filter(({ kind }) => kind === 'earlier').map(({ lines }) => lines);
  assert.deepEqual([page.texts, earlier()], [textsOn(room).slice(4), [5]]);
  assert.equal(page.shown.at(-1).kind, 'caughtUp');
  // Neither in a new session, nor behind a way through another room.
  page.cut();
  server.sessions.clear();
  page.open();
  assert.deepEqual([page.texts, earlier()], [textsOn(room).slice(4), [5]]);
  page.cut();
  server.sessions.clear();
  for (let n = 9; n < 12; n += 1) server.tell(room, `bob> ${n}`);
  page.open();
  assert.deepEqual([page.texts, earlier()], [textsOn(room).slice(4), [5, 0]]);
  page.say(commandOrLine('/join rust'));
  server.tell(room, 'bob> 12');
  page.say(commandOrLine('/join lobby'));
  assert.deepEqual(page.texts.filter((text) => /> /.test(text)), textsOn(room).slice(4).filter((text) => /> /.test(text)));
});

test('the history of a room is earlier than what is said when the page is there', () => {
  const server = new FakeServer({ history: 5 });
  for (const text of ['bob> a', '* bob left']) server.tell(server.room('rust'), text);
  const page = new Page(server).open();
  page.say(commandOrLine('/join rust'));
  page.connection.isPaused = true;
  server.tell(server.room('rust'), 'cho> c');
  page.transmit('/track\n');
  page.connection.isPaused = false;
  page.connection.read();
  page.run();
  const marks = page.records.map(({ kind, isEarlier, isNews }) => [kind, isEarlier, isNews]);
  assert.deepEqual(marks.slice(-4), [['said', true, false], ['left', true, false], ['joined', false, true], ['said', false, true]]);
  // The answer to another question does not make news old.
  const session = new Session();
  session.begin();
  hear(session, '** session T heard 0 at e.5 as ana', '** you are ana, in rust', '** 1 earlier line:', '@ 1000 e.4');
  const [, old, news] = hear(session, '** session T heard 0 at e.9 as ana', 'bob> old', 'bob> new');
  assert.deepEqual([old, news].map(({ isEarlier, isNews }) => [isEarlier, isNews]), [[true, false], [false, true]]);
});

test('what was missed is told where the page is by then', () => {
  const session = Object.assign(new Session(), { token: 'T', name: 'ana', place: { epoch: 'e', number: 5 } });
  session.begin();
  const told = hear(session, '** session T heard 0 at f.9 as ana', '** you missed 3 lines', '** you are ana, in go', '@ 1000 f.8');
  assert.deepEqual(kinds(told), ['ready', 'placed', 'missed']);
});

test('what a server asks before it lets the page in is told at once, and begins nothing', () => {
  const session = new Session();
  session.begin();
  assert.deepEqual(kinds(hear(session, '* this server asks for a password: /pass WORD')), ['passwordWanted']);
  assert.deepEqual(kinds(hear(session, '* that is not the password')), ['passwordWrong']);
  assert.equal(session.mode, 'asking');
  session.begin();
  assert.deepEqual(kinds(hear(session, '** session T heard 0 at e.5 as client-7')), ['ready']);
});

test('a name that is taken over is lost by the client that the server gave the other name', () => {
  const session = new Session();
  session.begin();
  hear(session, '** session T heard 0 at e.5 as client-3', '** you are client-3, in rust', '@ 1000 e.5');
  // The answer comes before the records.
  const told = hear(session, '** client-3 is now ana', '* ana is now client-2', '* ana joined', 'ana> hi');
  assert.deepEqual(told.map(({ isOwn }) => isOwn), [undefined, false, false, true]);
  assert.equal(session.name, 'ana');
  assert.deepEqual(hear(session, '* ana is now client-3', 'ana> of the other').map(({ isOwn }) => isOwn), [true, false]);
});

test('the records of a break tell whether another client took the name', () => {
  const back = (name, ...records) => backAs('ana', name, ...records);
  const backAs = (before, name, ...records) => {
    const session = Object.assign(new Session(), { token: 'T', name: before, place: { epoch: 'e', number: 5 } });
    session.begin();
    const at = 5 + records.length;
    const head = [`** session T heard 0 at e.${at} as ${name}`, '** resumed', `** you are ${name}, in rust`, '@ 1000 e.5'];
    return hear(session, ...head, ...records).filter(({ kind }) => kind === 'nameSettled').map(({ isTaken }) => isTaken);
  };
  assert.deepEqual(back('client-7', 'bob> hi', '* ana is now client-7', '* client-9 is now ana', 'ana> of the other'), [true]);
  assert.deepEqual(back('client-12', 'bob> hi', '* ana left', '* client-9 is now ana'), [false]);
  assert.deepEqual(back('client-12', '* ana is now client-7', '* client-7 left'), [true]);
  assert.deepEqual(back('client-12'), [false]);
  // The page need not ask for what it has.
  assert.deepEqual(back('ana', 'bob> hi', '* bob is now client-3'), []);
  assert.deepEqual(back('eve', '* ana is now eve'), []);
  assert.deepEqual(backAs('client-7', 'client-7', 'bob> hi'), []);
});

test('commands that the server has taken are not kept', () => {
  const session = new Session();
  session.begin();
  hear(session, '** session T heard 0 at e.5 as ana', '** you are ana, in rust', '@ 1000 e.5');
  for (const text of ['/who', 'one', '/who', '/who']) session.say(commandOrLine(text));
  hear(session, '** session T heard 3 at e.9 as ana');
  assert.deepEqual(session.sent.map(({ n }) => n), [2, 4]);
});

test('private lines have the time of the server, as far as its records tell', () => {
  const session = new Session();
  session.begin();
  const head = ['** session T heard 0 at e.5 as ana', '** you are ana, in rust', '** 1 earlier line:', `@ ${NOW - 9000} e.4`];
  const at = () => session.hear('** bob tells you: hi', NOW)[0].at;
  hear(session, ...head, 'bob> old');
  assert.equal(at(), NOW);
  hear(session, `@ ${NOW + 500_000} e.5`, 'bob> new');
  assert.equal(at(), NOW + 500_000);
});

/** What a person types. The names and texts are such that each record is told from all others. */
const SCRIPT = ['/nick ana', 'one', '/who', 'two', '/nick eve', 'one', 'this text is too long for it', '/join rust', 'three',
  '/nick zoe', 'four'].map(commandOrLine);

/** Runs the script over connections that are cut, and then over one that is not. Others talk all the time. */
function runScript(cuts, isShared = false) {
  const server = new FakeServer({ isShared });
  const page = new Page(server);
  const todo = [...SCRIPT];
  let said = 0;
  const others = (isSameSecond) => {
    for (const room of ['lobby', 'rust']) server.tell(server.room(room), `bob> ${said += 1}`, { isSameSecond });
  };
  for (const cut of [...cuts, {}]) {
    others(false);
    page.open(cut);
    while (todo.length > 0 && page.isReady) {
      page.say(todo.shift());
      others(said % 3 > 0);
      page.run();
    }
    // The last connection is read and said to the end.
    if (cut.bytesUp !== undefined || cut.linesDown !== undefined) page.cut();
  }
  checkScript(page, server, JSON.stringify({ cuts, isShared }));
}

function checkScript(page, server, what) {
  const [lobby, rust] = ['lobby', 'rust'].map((room) => textsOn(server.room(room)));
  // What was said is on the tapes once, in its order.
  const own = (texts) => texts.filter((text) => /^(ana|eve|zoe)> /.test(text));
  assert.deepEqual([own(lobby), own(rust)], [['ana> one', 'ana> two', 'eve> one'], ['eve> three', 'zoe> four']], what);
  assert.deepEqual([page.lost, page.session.waiting(9)], [[], []], what);
  // Every record from the first one on was shown, once and in order, or was told as missed in the move.
  const [left, joined] = [lobby.indexOf('* eve left'), rust.indexOf('* eve joined')];
  const all = [...lobby.slice(0, left + 1), ...rust.slice(joined)];
  const start = (room) => server.room(room).recordAt(page.start.epoch, page.start.number);
  const due = all.slice(start('lobby') >= 0 ? start('lobby') : left + 1 + start('rust') - joined);
  const at = page.shown.findIndex(({ kind }) => kind === 'missed');
  const before = page.shown.slice(0, at).filter(({ isRecord }) => isRecord).length;
  if (at >= 0) due.splice(before, page.missed);
  assert.deepEqual(page.texts, due, what);
  const nameless = page.shown.findIndex(({ isRecord }) => isRecord);
  assert.ok(page.shown.slice(nameless).every(({ kind }) => kind !== 'cannotResume'), what);
  // Each has its own second.
  const seconds = new Map(['lobby', 'rust'].flatMap((room) => server.room(room).records.map(({ text, at }) => [text, at])));
  for (const [n, { at }] of page.records.entries()) {
    assert.equal(Math.floor(at / 1000), Math.floor(seconds.get(page.texts[n]) / 1000), `${what}: ${page.texts[n]}`);
  }
  // Every own record found its line, and the line that was too long is the only one without.
  const lines = page.records.filter(({ isOwn, kind }) => isOwn && kind === 'said').map(({ line }) => line);
  const isWhole = at < 0 && page.shown.every(({ kind }) => kind !== 'cannotResume');
  if (isWhole) assert.deepEqual(lines, SCRIPT.filter(({ text, isCommand }) => !isCommand && text.length < 20), what);
  assert.ok(page.refused.every(({ text }) => text.length > 20), what);
}

test('a session without a break sees everything', () => [false, true].forEach((isShared) => runScript([], isShared)));

test('a session that is cut after any number of bytes and lines, once, loses and doubles nothing', () => {
  const bytes = SCRIPT.map(({ wire }) => wire).join('').length + 10;
  for (const isShared of [false, true]) {
    for (let bytesUp = 0; bytesUp <= bytes; bytesUp += 1) runScript([{ bytesUp }], isShared);
    for (let linesDown = 0; linesDown <= 60; linesDown += 1) runScript([{ linesDown }], isShared);
    for (let bytesUp = 0; bytesUp <= bytes; bytesUp += isShared ? 9 : 3) {
      for (let linesDown = 0; linesDown <= 60; linesDown += 1) runScript([{ bytesUp, linesDown }], isShared);
    }
  }
});

test('a session that is cut many times loses and doubles nothing', () => {
  let seed = 7;
  const random = (max) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % max;
  };
  for (let run = 0; run < 3000; run += 1) {
    const cuts = Array.from({ length: 1 + random(9) }, () => (
      { bytesUp: random(2) ? random(90) : Infinity, linesDown: random(2) ? random(25) : Infinity }));
    runScript(cuts, run % 2 > 0);
  }
});
