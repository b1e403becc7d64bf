import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { load } from './load.mjs';

const { NOTICES, readLine } = load(['notice.js'], ['NOTICES', 'readLine']);
const { HANDLERS } = load(['incoming.js', 'name.js'], ['HANDLERS']);
const LINES = JSON.parse(readFileSync(new URL('lines.json', import.meta.url)));

test('each line of the server is read with its kind and its fields', () => {
  for (const [line, expected] of LINES) {
    const { notice, ...read } = readLine(line);
    assert.deepEqual(read, expected, line);
  }
});

test('a notice keeps its whole text', () => {
  assert.equal(readLine('* ana is now eve').notice, 'ana is now eve');
  assert.equal(readLine('* nothing known').notice, 'nothing known');
  assert.equal(readLine('neither').notice, 'neither');
});

test('each kind of notice has an example and a handler', () => {
  const examples = new Set(LINES.map(([, { kind }]) => kind));
  for (const kind of [...Object.keys(NOTICES), 'said', 'farewell', 'other']) {
    assert.ok(examples.has(kind), `no example of ${kind}`);
    assert.equal(typeof HANDLERS[kind], 'function', `no handler of ${kind}`);
  }
});

test('the program for other tests prints the same', () => {
  const program = fileURLToPath(new URL('read-lines.mjs', import.meta.url));
  const printed = execFileSync(process.execPath, [program], { input: LINES.map(([line]) => `${line}\n`).join('') });
  const read = printed.toString().trimEnd().split('\n').map(JSON.parse);
  assert.deepEqual(read, LINES.map(([, expected]) => expected));
});
