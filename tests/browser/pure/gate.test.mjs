import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

/** The parts of the page that its gate uses, without a document and a network. */
const STUBS = `
  const elements = {};
  const $ = (id) => elements[id] ??= { value: '', textContent: '', hidden: true, focus() { focused = id }, addEventListener() {} };
  const draft = $('draft');
  const put = (id, text) => { $(id).textContent = text };
  let [focused, state, server, full] = ['', 'connecting', 'ws://a/ws', ''];
  const sent = [], stored = [], opened = [];
  const become = (next) => { state = next };
  const transmit = (text) => sent.push(text);
  const session = { mode: 'asking', begin: () => '/track\\n' };
  const serverNow = () => server;
  const storeTab = () => stored.push(password);
  const noPlace = (notice) => { full = notice };
  const awaitAnswer = () => {};
  const connect = () => { opened.push('connect'); approachGate() };
  const openSocket = () => { opened.push('socket'); approachGate() };
  const showHeard = () => {};
  const tell = (line) => { const heard = readLine(line); HANDLERS[heard.kind](heard) };
  const go = (to, at = server) => { state = to; server = at };
  const look = () => ({ gate, state, password, sent, opened, stored, focused, full, verdict, isShown: !$('gate').hidden, problem: $('refusal').textContent });
`;

const FILES = ['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'keep.js', 'address.js', 'incoming.js', 'secret.js', 'password.js'];

const fresh = (stubs) => load(
  FILES,
  ['approachGate', 'passGate', 'leaveGate', 'restorePassword', 'takeWord', 'tell', 'go', 'look', '$'],
  stubs,
);

const WANTED = '* this server asks for a password: /pass WORD';
const WRONG = '* that is not the password';

/** A page on a new connection. */
function page() {
  const made = fresh(STUBS);
  made.approachGate();
  return made;
}

test('the person is asked, and the answer begins the connection anew', () => {
  const { tell, takeWord, passGate, look, $ } = page();
  assert.ok(!look().isShown);
  tell(WANTED);
  assert.deepEqual([look().state, look().isShown, look().focused, $('composer').hidden], ['asked', true, 'password', true]);
  takeWord('  ');
  assert.deepEqual(look().sent, []);
  takeWord('open sesame');
  assert.deepEqual([look().sent, look().state, look().isShown], [['/pass open sesame\n/track\n'], 'connecting', true]);
  passGate();
  assert.deepEqual([look().isShown, look().focused, $('composer').hidden, $('password').value], [false, 'draft', false, '']);
});

test('a wrong word is said, forgotten, and never sent again', () => {
  const { tell, takeWord, look, $ } = page();
  tell(WANTED);
  takeWord('wrong');
  // The `/track` behind it is answered, too.
  tell(WRONG);
  tell(WANTED);
  assert.deepEqual([look().problem, look().state, look().password, $('password').ariaInvalid], ['That is not the password.', 'asked', null, true]);
  assert.deepEqual([look().sent.length, look().stored.at(-1)], [1, null]);
  takeWord('right');
  // This answers the line behind the first word, late.
  tell(WANTED);
  assert.deepEqual(look().sent, ['/pass wrong\n/track\n', '/pass right\n/track\n']);
  assert.equal(look().problem, '');
});

test('the word that the tab keeps is tried once, on the server that it is for', () => {
  const { approachGate, restorePassword, tell, passGate, look } = page();
  restorePassword({ server: 'ws://a/ws', word: 'kept' });
  tell(WANTED);
  tell(WANTED);
  assert.deepEqual([look().sent, look().isShown, look().focused], [['/pass kept\n/track\n'], false, '']);
  passGate();
  assert.equal(look().focused, '', 'the person may be elsewhere in the page');
  approachGate();
  tell(WANTED);
  assert.equal(look().sent.length, 2, 'each connection is told');
  tell(WRONG);
  assert.deepEqual([look().isShown, look().password], [true, null]);

  const other = page();
  other.restorePassword({ server: 'ws://a/ws', word: 'kept' });
  other.go('connecting', 'ws://b/ws');
  other.tell(WANTED);
  assert.deepEqual([other.look().sent, other.look().isShown], [[], true]);
});

test('a connection that is lost while the person types leaves the field, and the word is for the next one', () => {
  const { approachGate, tell, takeWord, go, look } = page();
  tell(WANTED);
  go('waiting');
  approachGate();
  assert.ok(look().isShown);
  takeWord('right');
  assert.deepEqual([look().sent, look().opened, look().isShown], [[], ['socket'], false]);
  tell(WANTED);
  assert.deepEqual(look().sent, ['/pass right\n/track\n']);
});

test('the third wrong word, or none in time, disconnects for good, and the field is the way back', () => {
  for (const [line, problem, verdict] of [
    ['* that is not the password either: goodbye', 'That is not the password either.', 'that is not the password either'],
    ['* you have not given the password: goodbye', '', 'you have not given the password'],
  ]) {
    const { tell, leaveGate, takeWord, go, look } = page();
    tell(WANTED);
    tell(line);
    go('off');
    leaveGate();
    assert.deepEqual([look().verdict, look().problem, look().isShown, look().password], [verdict, problem, true, null]);
    takeWord('right');
    assert.deepEqual([look().opened, look().verdict], [['connect'], '']);
    tell(WANTED);
    assert.deepEqual(look().sent, ['/pass right\n/track\n']);
  }
});

test('an address that has to wait keeps its word, and a person who leaves is asked no more', () => {
  const { approachGate, tell, takeWord, look } = page();
  tell(WANTED);
  takeWord('right');
  tell('* too many wrong passwords from your address: wait a minute');
  assert.deepEqual([look().isShown, look().password.word, look().verdict], [false, 'right', '']);
  assert.match(look().full, /^too many/);
  approachGate();
  tell(WANTED);
  assert.equal(look().sent.length, 2);

  const left = page();
  left.tell(WANTED);
  left.leaveGate();
  assert.ok(!left.look().isShown);
});

test('a notice about passwords shuts nobody out who is in', () => {
  const made = fresh(STUBS.replace("mode: 'asking'", "mode: 'tracked'"));
  for (const line of [WANTED, WRONG, '* you have not given the password: goodbye']) made.tell(line);
  assert.deepEqual([made.look().state, made.look().gate, made.look().verdict], ['connecting', 'open', '']);
});
