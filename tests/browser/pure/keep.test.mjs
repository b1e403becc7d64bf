import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const NAMES = ['KEPT_BYTES_MAX', 'LOG_KEPT_BYTES_MAX', 'LOG_KEPT_MAX', 'Session', 'commandOrLine', 'keptLines', 'keptLog',
  'keptSession', 'linesKept', 'logKept', 'plainLine', 'restoreSession'];
const {
  KEPT_BYTES_MAX, LOG_KEPT_BYTES_MAX, LOG_KEPT_MAX, Session, commandOrLine, keptLines, keptLog, keptSession, linesKept, logKept,
  plainLine, restoreSession,
} = load(['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'keep.js', 'lost.js', 'chart.js', 'own.js', 'session.js'], NAMES);

const SENT = { server: 'ws://a/ws', from: 'ana', at: 1, failed: 'not sent' };
const throughStore = (lines) => linesKept(JSON.parse(JSON.stringify(keptLines(lines))));

test('a kept line goes out as it would have', () => {
  const typed = ['hello', '/msg bob x', '//x', '/say exit', 'exit', ' /who', 'é "\\'].map(commandOrLine);
  const lines = [...typed, plainLine('/quit'), plainLine('//x')].map((line) => ({ ...line, ...SENT }));
  const { lines: kept, lost } = throughStore(lines);
  assert.equal(lost, 0);
  assert.deepEqual(kept.map(({ text, isCommand, server, from, at, failed }) => (
    { text, isCommand, server, from, at, failed })), lines.map(({ text, isCommand }) => ({ text, isCommand, ...SENT })));
  assert.deepEqual(kept.filter(({ isCommand }) => isCommand).map(({ wire }) => wire), ['/msg bob x\n']);
  const said = kept.filter(({ isCommand }) => !isCommand).map(({ wire }) => wire);
  assert.deepEqual(said, ['hello\n', '/say /x\n', '/say exit\n', '/say exit\n', '/say  /who\n', 'é "\\\n',
    '/say /quit\n', '/say //x\n']);
});

test('the newest lines are kept, up to a size, and the others counted', () => {
  const lines = Array.from({ length: 300 }, (_, n) => ({ ...plainLine(`${n} ${'é'.repeat(2000)}`), ...SENT }));
  const { lines: kept, lost } = throughStore(lines);
  assert.ok(lost > 100 && kept.length > 100, `${kept.length}`);
  assert.equal(kept.length + lost, 300);
  assert.equal(kept.at(-1).text, lines.at(-1).text);
  assert.equal(kept[0].text, lines[lost].text);
  assert.ok(Buffer.byteLength(JSON.stringify(keptLines(lines))) < KEPT_BYTES_MAX + 10_000);
  assert.deepEqual(throughStore([]), { lines: [], lost: 0 });
});

test('whatever else the store holds is left out', () => {
  for (const kept of [undefined, null, 1, 'x', [], {}, { lines: 'x' }, { lines: [null, 1, {}, { text: 'x' }] }]) {
    assert.deepEqual(linesKept(kept), { lines: [], lost: 0 });
  }
  const odd = [{ text: 'a\nb' }, { text: '' }, { at: null }, { failed: '' }, { from: 7 },
    { server: 'x' }];
  assert.deepEqual(linesKept({ lines: odd.map((part) => ({ text: 'x', ...SENT, ...part })), lost: 'x' }).lines, []);
});

test('a session goes on after a reload', () => {
  const session = new Session();
  session.begin();
  for (const line of ['** session T heard 0 at e.x.3 as ana', '** you are ana, in rust', '@ 1000 e.x.3', 'bob> hi']) session.hear(line, 0);
  session.given = 'client-7';
  const typed = ['hello', '/msg bob x', '//x', '/nick eve'].map(commandOrLine).map((line) => ({ ...line, ...SENT }));
  for (const line of [...typed, { text: '/who', isCommand: true, isQuiet: true }, { ...plainLine('/quit'), ...SENT }]) session.say(line);
  const kept = JSON.parse(JSON.stringify(keptSession(session)));
  const again = new Session();
  assert.ok(restoreSession(again, kept));
  assert.deepEqual(again.waiting(9).map(({ text, from, at }) => [text, from, at]),
    ['hello', '/x', '/quit'].map((text) => [text, 'ana', 1]));
  assert.deepEqual([again.name, again.given], ['ana', 'client-7']);
  assert.equal(again.begin(), '/track e.x.4 T\n');
  const [ready] = again.hear('** session T heard 1 at e.x.5 as ana', 0);
  assert.deepEqual(ready.again.map(({ wire }) => wire), ['/msg bob x\n', '/say /x\n', '/nick eve\n', '/say /quit\n']);
  const [own] = ['** resumed', '** you are ana, in rust', '@ 1000 e.x.4', 'ana> hello'].flatMap((line) => again.hear(line, 0)).slice(-1);
  assert.equal(own.line.text, 'hello');
});

test('a session of another store is no session', () => {
  const kept = keptSession(Object.assign(new Session(), { token: 'T' }));
  assert.ok(restoreSession(new Session(), kept));
  const odd = [{ token: '' }, { token: 'a b' }, { token: 7 }, { name: null }, { place: {} }, { place: { epoch: 'e', number: 'x' } },
    { sent: 'x' }, { seen: {} }];
  for (const part of odd) assert.ok(!restoreSession(new Session(), { ...kept, ...part }), JSON.stringify(part));
  for (const other of [undefined, null, 1, 'x', [], {}]) assert.ok(!restoreSession(new Session(), other));
  const session = new Session();
  restoreSession(session, { ...kept, sent: [null, {}, { n: 1, text: 'a' }, { n: 'x', text: 'a', ...SENT }], seen: [1, ['e'], ['f', 2]] });
  assert.deepEqual([session.sent, [...session.seen]], [[], [['f', 2]]]);
});

test('lines of a session beyond a size are counted', () => {
  const session = Object.assign(new Session(), { token: 'T', mode: 'tracked' });
  for (let n = 0; n < 200; n += 1) session.say({ ...plainLine('x'.repeat(4000)), ...SENT });
  const kept = keptSession(session);
  assert.ok(kept.lost > 50 && kept.sent.length > 100);
  assert.deepEqual([kept.sent[0].n, kept.sent.length + kept.lost], [1, 200]);
});

test('the newest lines of the log are kept, and none that failed', () => {
  const log = [{ rule: 'now' }, { missed: 'You missed 2 lines' }, { parts: [{ name: 'ana' }, ' joined'], at: 5 },
    { from: 'ana', text: 'x', at: 6, own: true, element: 'no data', more: true }, { from: 'ana', text: 'y', at: 6, failed: 'no' }];
  const kept = logKept(JSON.parse(JSON.stringify(keptLog(log))));
  assert.deepEqual(kept, [...log.slice(0, 3), { from: 'ana', text: 'x', at: 6, own: true }]);
  const many = Array.from({ length: 2000 }, (_, n) => ({ from: 'ana', text: `${n} ${'x'.repeat(n % 5 ? 10 : 4000)}`, at: 1 }));
  const newest = keptLog(many);
  assert.ok(newest.length > 200 && newest.length <= LOG_KEPT_MAX && newest.at(-1).text.startsWith('1999 '));
  assert.ok(Buffer.byteLength(JSON.stringify(newest)) < LOG_KEPT_BYTES_MAX + 10_000);
  for (const other of [undefined, null, 'x', {}, [null, 1, {}, { text: 'x' }, { parts: 'x' }, { parts: [7] }, { rule: 3 }]]) {
    assert.deepEqual(logKept(other), []);
  }
});
