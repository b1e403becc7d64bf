import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { KEPT_BYTES_MAX, commandOrLine, keptLines, linesKept, plainLine } = load(
  ['limits.js', 'text.js', 'typed.js', 'keep.js'],
  ['KEPT_BYTES_MAX', 'commandOrLine', 'keptLines', 'linesKept', 'plainLine'],
);

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
