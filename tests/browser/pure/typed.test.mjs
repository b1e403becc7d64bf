import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { load } from './load.mjs';

const { disguisedCommand, linesOf, messagesOf, typedAgain, BLANK, MESSAGE_BYTES_MAX } = load(
  ['limits.js', 'text.js', 'typed.js', 'mention.js'],
  ['disguisedCommand', 'linesOf', 'messagesOf', 'typedAgain', 'BLANK', 'MESSAGE_BYTES_MAX'],
);

/** Ranges of blanks. A test of the server (src/relay/command.rs) holds its table to the same file. */
const BLANKS = JSON.parse(readFileSync(new URL('blanks.json', import.meta.url)));

const theLineOf = (text) => {
  const lines = linesOf(text);
  assert.equal(lines.length, 1, text);
  return lines[0];
};

test('a single line goes out as it was typed', () => {
  for (const text of ['hello', '/who', '//x', 'é', 'FIN.', 'exit now', 'a /x', '/say exit', ' x']) {
    assert.equal(theLineOf(text).wire, `${text}\n`);
  }
});

test('only a slash at the start makes a command', () => {
  for (const text of ['/who', '/nick ana', '/', '/say', '/saying x']) assert.ok(theLineOf(text).isCommand, text);
  for (const text of ['hello', '//who', ' /who', 'FIN', 'fin', 'exit', 'EXIT ', '/say x', '/SAY\tx']) {
    assert.ok(!theLineOf(text).isCommand, text);
  }
  for (const [text, said] of [['//x', '/x'], ['a//x', 'a//x'], ['/say  exit', ' exit'], ['/Say /who', '/who']]) {
    assert.equal(theLineOf(text).text, said);
  }
});

test('words and slashes that the server would obey are said', () => {
  for (const text of ['exit', 'FIN', 'Fin', ' exit', 'fin ', '\u{200B}exit', ' /x', '\u00A0/msg ana x', '\u{200B}//x']) {
    const { text: said, wire, isGoodbye } = theLineOf(text);
    assert.deepEqual([said, wire, isGoodbye], [text, `/say ${text}\n`, undefined]);
  }
});

test('the blanks are those of the server', () => {
  const isBlank = new RegExp(`^${BLANK}$`, 'u');
  const ranges = [];
  for (let code = 0; code <= 0x10FFFF; code += 1) {
    const isSurrogate = code >= 0xD800 && code <= 0xDFFF;
    if (isSurrogate || !isBlank.test(String.fromCodePoint(code))) continue;
    if (ranges.at(-1)?.[1] === code - 1) ranges.at(-1)[1] = code;
    else ranges.push([code, code]);
  }
  assert.deepEqual(ranges, BLANKS);
  for (const blank of ['\u2800', '\u3164', '\u115F', '\u1160', '\uFFA0', '\u034F', '\uFFFD']) {
    assert.equal(disguisedCommand(`${blank}/msg ana x`), '/msg ana x', JSON.stringify(blank));
    assert.equal(linesOf(`${blank}exit`)[0].wire, `/say ${blank}exit\n`);
  }
});

test('a goodbye and a /who are recognized as the server does it', () => {
  for (const text of ['/quit', '/QUIT now', '/quit\tnow']) assert.ok(theLineOf(text).isGoodbye, text);
  for (const text of ['/quitter', 'exit', 'FIN', '//quit', ' /quit']) assert.ok(!theLineOf(text).isGoodbye, text);
  for (const text of ['/who', '/WHO', '/who x']) assert.ok(theLineOf(text).isWho, text);
  for (const text of ['/whoever', '//who', 'who']) assert.ok(!theLineOf(text).isWho, text);
});

test('of several lines none is a command, and blank ones are left out', () => {
  const lines = linesOf('/msg bob x\nexit\n\n//x\n  \nFIN\nplain\n/say x\n');
  const wires = ['/say /msg bob x\n', '/say exit\n', '/say //x\n', '/say FIN\n', 'plain\n', '/say /say x\n'];
  assert.deepEqual(lines.map(({ wire }) => wire), wires);
  assert.deepEqual(lines.map(({ text }) => text), ['/msg bob x', 'exit', '//x', 'FIN', 'plain', '/say x']);
  assert.ok(lines.every(({ isCommand, isGoodbye, isWho, own }) => !isCommand && !isGoodbye && !isWho && own));
});

test('blank lines within code are sent as a blank, and those of prose are not', () => {
  const wires = (text) => linesOf(text).map(({ wire }) => wire);
  assert.deepEqual(wires('\n\nif x:\n\n\t\n    y\n\n'), ['if x:\n', ' \n', ' \n', '    y\n']);
  assert.deepEqual(wires('```\na\n\nb\n```\n'), ['```\n', 'a\n', ' \n', 'b\n', '```\n']);
  assert.deepEqual(wires('one\n\ntwo'), ['one\n', 'two\n']);
  assert.deepEqual(wires('\n    x\n\n'), ['    x\n'], 'a single line has no lines within it');
});

test('NUL and a byte order mark at the start are dropped before a line is read', () => {
  assert.ok(theLineOf('\uFEFF/who').isWho);
  assert.ok(theLineOf('\0\uFEFF\0/quit').isGoodbye);
  assert.equal(theLineOf('a\0b\uFEFFc').wire, 'ab\uFEFFc\n');
  assert.deepEqual(linesOf('x\n\uFEFF/quit\nF\0IN\n\0').map(({ wire }) => wire), ['x\n', '/say /quit\n', '/say FIN\n']);
});

test('a line that looks like a command and is none is noticed', () => {
  for (const text of [' /msg ana x', '\t/msg ana x', '\u00A0 /msg ana x', '\u3000/msg ana x', '\u200B/msg ana x',
    '\u200E/msg ana x', '\uFF0Fmsg ana x', ' \uFF0Fmsg ana x', '  \n /msg ana x\n', '\u2060/msg ana x']) {
    assert.equal(disguisedCommand(text), '/msg ana x', JSON.stringify(text));
  }
  assert.equal(disguisedCommand(' /who'), '/who');
  for (const text of ['', ' ', '/msg ana x', '\uFEFF/who', ' //x', ' /usr/bin', ' / x', ' /1', 'a /msg', ' exit',
    ' /msg ana x\nmore']) {
    assert.equal(disguisedCommand(text), '', JSON.stringify(text));
  }
});

test('a line that is typed again is what it was', () => {
  for (const text of ['/who', '//x', 'x', '/say /who', 'exit', '/quit']) {
    const line = theLineOf(text);
    const again = theLineOf(typedAgain(line));
    assert.deepEqual([again.text, again.isCommand], [line.text, line.isCommand], text);
  }
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
