import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeServer } from './fake-server.mjs';
import { load } from './load.mjs';

const { Session, commandOrLine, plainLine, keptSession, restoreSession } = load(
  ['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'keep.js', 'lost.js', 'chart.js', 'own.js', 'session.js'],
  ['Session', 'commandOrLine', 'plainLine', 'keptSession', 'restoreSession'],
);

const hear = (session, ...lines) => lines.flatMap((line) => session.hear(line, 0));
const kinds = (events) => events.map(({ kind }) => kind);
const texts = (lines) => lines.map(({ text }) => text);
const SENT = { from: 'ana', at: 1, server: 'ws://host/ws' };
const READ_ON = ['** session T2 heard 0 at g.52 as client-9', '** resumed', '** you are client-9, in rust', '@ 1000 e.5'];

/** A session of `ana` that has sent these lines, on a connection behind a crash of the server. */
function crashed(...lines) {
  const session = new Session();
  session.begin();
  hear(session, '** session T1 heard 0 at e.5 as ana', '** you are ana, in rust', '@ 1000 e.5');
  for (const text of lines) session.say({ ...commandOrLine(text), ...SENT });
  session.end();
  assert.equal(session.begin(), '/track e.5 T1\n');
  return session;
}

test('lines in the log of the lost session were heard, and the others are said again', () => {
  const session = crashed('one', 'two', 'two');
  const [ready, placed] = hear(session, ...READ_ON);
  assert.deepEqual([ready.again, ready.lost, ready.isResumed, placed.kind], [[], [], false, 'placed']);
  assert.ok(session.isUndecided && session.holdsLines);
  session.hold([{ ...plainLine('three'), ...SENT }]);
  assert.deepEqual(texts(session.waiting(9)), ['one', 'two', 'two', 'three']);
  const heard = hear(session, 'eve> one', 'ana> one', 'ana> two');
  assert.deepEqual(heard.map(({ isOwn, line }) => [isOwn, line?.text]), [[false, undefined], [true, 'one'], [true, 'two']]);
  // Another client took the name.
  const [decided, other] = hear(session, '@ 9000 g.50', 'ana> two');
  assert.deepEqual([decided.kind, decided.lost, other.isOwn, other.line], ['decided', [], false, undefined]);
  assert.deepEqual([texts(session.release()), session.holdsLines], [['two', 'three'], false]);
});

test('names are those of the lost session until they leave, and are no news', () => {
  const session = crashed('/nick bob', 'one', 'two');
  hear(session, ...READ_ON, '** client-9 is now zoe');
  const [, , one, , two] = hear(session, '* ana is now bob', 'ana> one', 'bob> one', '* bob left', 'bob> two');
  assert.deepEqual([one.line?.text, two.line, session.name], ['one', undefined, 'zoe']);
  const [decided] = hear(session, '@ 9000 g.50');
  assert.deepEqual([decided.lost, texts(session.release())], [[], ['two']]);
  hear(session, 'eve> a', 'eve> b');
  assert.equal(session.name, 'zoe', 'a change before the mark is reached is not forgotten');
});

test('a log without more records ends with the second answer in a row', () => {
  const session = crashed('one');
  hear(session, '** session T2 heard 0 at g.50 as client-9', ...READ_ON.slice(1));
  const answer = '** session T2 heard 0 at g.50 as client-9';
  assert.deepEqual(hear(session, answer), []);
  assert.deepEqual(kinds(hear(session, 'eve> late', answer)), ['said']);
  assert.deepEqual(kinds(hear(session, answer)), ['decided']);
  assert.deepEqual(texts(session.release()), ['one']);
});

test('a line that may be among the missed ones is in doubt', () => {
  const missed = [READ_ON[0], '** you missed 2 lines', READ_ON[2], '@ 1000 e.7'];
  const session = crashed('one', 'two', 'three', '/who');
  const told = hear(session, ...missed, 'ana> two', '@ 9000 g.50');
  assert.deepEqual(kinds(told), ['ready', 'placed', 'missed', 'taken', 'said', 'decided']);
  assert.deepEqual([told.at(-1).lost, texts(session.release())], [[], ['three', '/who']]);
  const other = crashed('one', '/who');
  const decided = hear(other, ...missed.slice(0, 3), '@ 9000 g.51').at(-1);
  assert.deepEqual([texts(decided.lost), texts(other.release())], [['one'], ['/who']]);
  const gapped = crashed('one');
  const [, gap, last] = hear(gapped, ...READ_ON, 'eve> a', '@ 1000 e.9', '@ 9000 g.50').slice(-3);
  assert.deepEqual([gap.lines, texts(last.lost)], [3, ['one']]);
});

test('a record behind the place up to which a line was taken is that of a later line', () => {
  const session = new Session();
  session.begin();
  hear(session, '** session T1 heard 0 at e.5 as ana', '** you are ana, in rust', '@ 1000 e.5');
  const say = (text) => session.say({ ...plainLine(text), ...SENT });
  ['a', 'a'].forEach(say);
  session.end();
  session.begin();
  hear(session, '** session T1 heard 2 at e.7 as ana', '** you missed 1 line', '** you are ana, in rust', '@ 1000 e.6');
  say('a');
  session.end();
  const reloaded = new Session();
  assert.ok(restoreSession(reloaded, JSON.parse(JSON.stringify(keptSession(session)))));
  for (const again of [session, reloaded]) {
    assert.equal(again.begin(), '/track e.6 T1\n');
    const decided = hear(again, ...READ_ON.slice(0, 3), '@ 1000 e.6', 'ana> a', 'ana> a', '@ 9000 g.50').at(-1);
    assert.deepEqual([decided.kind, decided.lost, texts(again.release())], ['decided', [], []]);
  }
});

test('what no record of this room can tell is in doubt', () => {
  const session = crashed('one', '/msg eve psst', '/join tea', 'two');
  const [ready, , decided] = hear(session, ...READ_ON, '@ 9000 g.50');
  assert.deepEqual([texts(ready.lost), texts(decided.lost)], [['two'], ['/msg eve psst']]);
  assert.deepEqual(texts(session.release()), ['one', '/join tea']);
});

test('a log that is gone leaves all lines in doubt', () => {
  const session = crashed('one', '/who');
  hear(session, READ_ON[0], '** resumed');
  session.end();
  assert.equal(session.begin(), '/track e.5 T2\n');
  const told = hear(session, READ_ON[0], '** cannot resume: earlier lines follow', READ_ON[2], '@ 1000 g.52');
  assert.deepEqual(texts(told.find(({ kind }) => kind === 'decided').lost), ['one', '/who']);
});

test('the lines of a lost session outlive a reload', () => {
  const session = crashed('one', 'two');
  hear(session, ...READ_ON, 'ana> one');
  session.hold([{ ...plainLine('three'), ...SENT }]);
  session.say({ text: '/nick ana', isCommand: true, isQuiet: true });
  const again = new Session();
  assert.ok(restoreSession(again, JSON.parse(JSON.stringify(keptSession(session)))));
  assert.equal(again.begin(), '/track e.6 T2\n');
  hear(again, READ_ON[0], '** resumed', '** you are ana, in rust', '@ 1000 e.6');
  assert.deepEqual(texts(again.waiting(9)), ['two', 'three']);
  const [own] = hear(again, 'ana> two');
  assert.equal(own.line.text, 'two');
  assert.deepEqual(texts(again.release()), ['three']);
});

/** Plays a page over a server that crashes after any number of lines of either direction. */
function runCrashes(crashes) {
  const server = new FakeServer();
  const session = new Session();
  const shown = [];
  const typed = ['one', '/who', 'two', 'two', 'three'].map(commandOrLine);
  const doubtful = [];
  const todo = [...typed];
  server.tell(server.room('lobby'), 'bob> before');
  for (const [n, { up, down }] of [...crashes, { up: Infinity, down: Infinity }].entries()) {
    // Without a first place there is nothing to go on with.
    const link = n > 0 ? { up, down, out: [], in: [] } : { up: up + 1, down: down + 3, out: [], in: [] };
    const connection = server.connect((line) => link.in.push(line));
    const send = (wire) => link.out.push(wire.trimEnd());
    const say = (line) => { session.say(line); send(line.wire) };
    send(session.begin().trimEnd());
    const take = (event) => {
      shown.push(event);
      if (event.kind === 'ready') {
        doubtful.push(...event.lost);
        event.again.forEach(say);
      }
      if (event.kind === 'decided') {
        doubtful.push(...event.lost);
        session.release().forEach(say);
      }
    };
    for (let turn = 0; turn < 60; turn += 1) {
      if (session.mode === 'tracked' && session.isUndecided && turn > 40) send('/track');
      else if (session.mode === 'tracked' && !session.holdsLines && todo.length > 0) say(todo.shift());
      for (; link.out.length > 0 && link.up > 0; link.up -= 1) connection.hear(link.out.shift());
      for (; link.in.length > 0 && link.down > 0; link.down -= 1) session.hear(link.in.shift(), 0).forEach(take);
    }
    if (up === Infinity) break;
    session.end();
    server.tell(server.room('lobby'), 'bob> last words');
    server.restart();
  }
  const what = JSON.stringify(crashes);
  const { records } = server.room('lobby');
  const own = records.map(({ text }) => text).filter((text) => text.startsWith('client-')).map((text) => text.split('> ')[1]);
  assert.deepEqual([own, doubtful], [['one', 'two', 'two', 'three'], []], what);
  const seen = shown.filter(({ isRecord, kind }) => isRecord && kind === 'said').map(({ from, text }) => `${from}> ${text}`);
  const said = records.map(({ text }) => text).filter((text) => / /.test(text) && text.includes('> '));
  assert.deepEqual(seen, said.slice(said.length - seen.length), what);
  assert.deepEqual(session.waiting(9), [], what);
}

test('a server that crashes after any number of lines, twice, loses and doubles nothing', () => {
  for (let up = 0; up < 9; up += 1) {
    for (let down = 0; down < 18; down += 1) {
      runCrashes([{ up, down }]);
      runCrashes([{ up: 9, down }, { up, down: 18 }]);
      runCrashes([{ up, down: 18 }, { up: 9, down }]);
      runCrashes([{ up, down }, { up, down }]);
    }
  }
});
