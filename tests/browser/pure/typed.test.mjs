import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { linesOf, messagesOf, MESSAGE_BYTES_MAX } =
  load(['limits.js', 'text.js', 'typed.js'], ['linesOf', 'messagesOf', 'MESSAGE_BYTES_MAX']);

const theLineOf = (text) => {
  const lines = linesOf(text);
  assert.equal(lines.length, 1, text);
  return lines[0];
};

test('a single line goes out as it was typed', () => {
  for (const text of ['hello', ' /x', '/who', '//x', 'exit', 'é', 'FIN ']) {
    assert.equal(theLineOf(text).wire, `${text}\n`);
  }
});

test('a single line may be a command', () => {
  for (const text of ['/who', '/nick ana', '/', 'FIN', 'fin', 'exit']) assert.ok(theLineOf(text).isCommand, text);
  for (const text of ['hello', '//who', ' /who', 'FIN.', 'exit now']) assert.ok(!theLineOf(text).isCommand, text);
  assert.equal(theLineOf('//x').text, '/x');
  assert.equal(theLineOf('a//x').text, 'a//x');
});

test('a goodbye and a /who are recognized as the server does it', () => {
  for (const text of ['FIN', 'Exit', '/quit', '/QUIT now', '/quit\tnow']) assert.ok(theLineOf(text).isGoodbye, text);
  for (const text of ['/quitter', 'exit now', '//quit']) assert.ok(!theLineOf(text).isGoodbye, text);
  for (const text of ['/who', '/WHO', '/who x']) assert.ok(theLineOf(text).isWho, text);
  for (const text of ['/whoever', '//who', 'who']) assert.ok(!theLineOf(text).isWho, text);
});

test('of several lines none is a command, and empty ones are left out', () => {
  const lines = linesOf('/msg bob x\nexit\n\n//x\nFIN\nplain\n');
  assert.deepEqual(lines.map(({ wire }) => wire), ['//msg bob x\n', 'exit \n', '///x\n', 'FIN \n', 'plain\n']);
  assert.deepEqual(lines.map(({ text }) => text), ['/msg bob x', 'exit', '//x', 'FIN', 'plain']);
  assert.ok(lines.every(({ isCommand, isGoodbye, isWho, own }) => !isCommand && !isGoodbye && !isWho && own));
});

test('one line with an empty one behind it is still a single line', () => {
  assert.ok(theLineOf('/who\n').isCommand);
});

test('messages hold whole lines in order, as many as fit', () => {
  const wires = ['a', 'é'.repeat(10_000), 'b', 'c'.repeat(45_530), 'd', 'e'.repeat(MESSAGE_BYTES_MAX - 1), 'f'];
  const messages = messagesOf(wires.map((text) => ({ wire: `${text}\n` })));
  assert.deepEqual(messages.flat().map(({ line }) => line.wire), wires.map((text) => `${text}\n`));
  const sizes = messages.map((message) => message.reduce((sum, { bytes }) => sum + bytes, 0));
  assert.deepEqual(sizes, [MESSAGE_BYTES_MAX, 2, MESSAGE_BYTES_MAX, 2]);
  for (const { line, bytes } of messages.flat()) assert.equal(bytes, Buffer.byteLength(line.wire));
  const oneTooMany = [MESSAGE_BYTES_MAX - 2, 3].map((bytes) => ({ wire: 'x'.repeat(bytes) }));
  assert.equal(messagesOf(oneTooMany).length, 2);
  assert.deepEqual(messagesOf([]), []);
});
