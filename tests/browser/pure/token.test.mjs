import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const TOKEN = 'pcn_abcdefghijklmnopqrstuvwxyz';

/** The parts of the page that names use, without a document and a network. */
const STUBS = `
  const elements = {};
  const $ = (id) => elements[id] ??= { value: '', hidden: true, focus() { focused = id }, addEventListener() {} };
  const draft = $('draft');
  let [focused, state, problem, shown] = ['', 'off', '', []];
  const location = { protocol: 'https:', host: 'a', pathname: '/', search: '', hash: '' };
  const history = { replaceState: (kept, title, url) => { location.hash = ''; location.url = url } };
  let address = new URL('wss://a/ws');
  const asked = [];
  const ask = (text) => asked.push(text);
  const isOn = () => state === 'on';
  const showProblem = (text) => { problem = text };
  const [storeTab, showState, store, sendHeld, followIgnored, followAside, openMenu] = Array(7).fill(() => {});
  const showHeard = ({ parts }) => shown.push(parts.join(''));
  const [session, replay, roster] = [{ mode: 'tracked' }, null, { rename() {} }];
  const tell = (line) => { const heard = readLine(line); HANDLERS[heard.kind](heard) };
  const go = (to, url = address) => { state = to; address = new URL(url) };
  const type = (id, text) => { $(id).value = text; if (id !== 'token') offerToken() };
  const enterAs = (name) => { go('on'); want(); welcomeAs(name); requestName(0) };
  const open = (hash) => { location.hash = hash; return openLink() };
  const look = () => ({ me, wanted, owned, asked, focused, problem, shown, isDue: isTokenDue, token: $('token').value, url: location.url });
`;

const FILES = ['limits.js', 'text.js', 'notice.js', 'typed.js', 'mention.js', 'keep.js', 'address.js', 'backoff.js', 'secret.js', 'incoming.js', 'name.js', 'token.js'];
const NAMES = ['enterAs', 'forgetName', 'go', 'look', 'onNameSettled', 'open', 'ownNameIn', 'reclaimName', 'restoreToken', 'tell', 'type', 'wish', '$'];
const page = () => {
  const made = load(FILES, NAMES, STUBS);
  made.type('server', 'a');
  return made;
};

test('a link gives the name and the token, and leaves the address', () => {
  const { open, look, enterAs, $ } = page();
  assert.ok(open(`#${encodeURIComponent('дом')}:${TOKEN}`));
  assert.deepEqual([$('name').value, look().token, look().url], ['дом', TOKEN, '/']);
  enterAs('client-7');
  assert.deepEqual(look().asked, [`/nick дом ${TOKEN}`]);
});

test('a link of a bad form gives nothing, and leaves the address if it has a token', () => {
  const { open, look } = page();
  assert.ok(!open(`#a b:${TOKEN}`));
  assert.equal(look().url, '/');
  const other = page();
  assert.ok(!other.open('#part'));
  assert.deepEqual([other.look().url, other.look().owned], [undefined, null]);
});

test('a token is sent with its name alone', () => {
  const { type, enterAs, wish, look } = page();
  type('name', 'Ana');
  type('token', ` ${TOKEN} `);
  enterAs('client-7');
  type('name', 'bob');
  assert.equal(look().token, '');
  wish();
  type('name', 'ANA');
  assert.equal(look().token, TOKEN);
  wish();
  assert.deepEqual(look().asked, [`/nick Ana ${TOKEN}`, '/nick bob', `/nick ANA ${TOKEN}`]);
});

test('a command asks for the own name with its token, and for no other', () => {
  const { open, enterAs, ownNameIn } = page();
  open(`#ana:${TOKEN}`);
  enterAs('client-7');
  assert.deepEqual(ownNameIn('/nick ANA '), { name: 'ANA', token: TOKEN });
  for (const text of ['/nick bob', '/nick', 'ana', '/nick ana x', '//nick ana']) assert.equal(ownNameIn(text), null, text);
});

test('a token is sent to its server alone', () => {
  const { type, restoreToken, enterAs, go, look } = page();
  restoreToken({ server: 'wss://a/ws', name: 'ana', token: TOKEN });
  type('name', 'ana');
  assert.equal(look().token, TOKEN);
  type('server', 'b');
  assert.equal(look().token, '');
  go('off', 'wss://b/ws');
  enterAs('client-7');
  assert.deepEqual(look().asked, ['/nick ana']);
  // A room of the same server is no other server.
  type('server', 'a/r/rust');
  assert.equal(look().token, TOKEN);
});

test('a name that belongs to somebody asks for its token, and a wrong one is forgotten', () => {
  const { type, enterAs, tell, wish, look, $ } = page();
  type('name', 'ana');
  enterAs('client-7');
  tell('** the name ana belongs to somebody: /nick ana TOKEN');
  assert.deepEqual([look().isDue, look().focused, $('name').ariaInvalid], [true, 'token', true]);
  assert.match(look().problem, /^You are client-7, for now\. ana belongs to somebody/);
  type('token', 'pcn_wrong');
  wish();
  tell('** that is not the token of ana');
  assert.deepEqual([look().owned, look().token, look().problem], [null, '', 'You are client-7, for now. That is not the token of ana.']);
  type('token', TOKEN);
  wish();
  tell('** client-7 is now ana');
  assert.deepEqual(look().asked, ['/nick ana', '/nick ana pcn_wrong', `/nick ana ${TOKEN}`]);
  assert.deepEqual([look().me, look().isDue, look().owned.token], ['ana', false, TOKEN]);
});

test('a token of a name that belongs to nobody is left out', () => {
  const { open, enterAs, tell, look } = page();
  open(`#ana:${TOKEN}`);
  enterAs('client-7');
  tell('** ana belongs to nobody: /nick ana');
  assert.deepEqual([look().asked.at(-1), look().owned], ['/nick ana', null]);
});

test('while the person types a message, a refused name moves no focus', () => {
  const { type, enterAs, tell, look, reclaimName } = page();
  type('name', 'ana');
  enterAs('client-7');
  type('draft', 'half a');
  tell('** the name ana belongs to somebody: /nick ana TOKEN');
  type('draft', '');
  reclaimName();
  tell('** the name ana belongs to somebody: /nick ana TOKEN');
  assert.equal(look().focused, '');
  // The answer to a typed command is a notice like others.
  const other = page();
  other.go('on');
  other.tell('** the name eve belongs to somebody: /nick eve TOKEN');
  assert.deepEqual([other.look().isDue, other.look().problem, other.look().shown.length], [false, '', 1]);
});

test('a name that was taken over is not asked for again, until the person asks', () => {
  for (const lines of [
    ['* ana is now client-7', '** you are here a second time: this one is client-7 now', '* client-9 is now ana'],
    ['** you are here a second time: this one is client-7 now', '* ana is now client-7', '* client-9 is now ana'],
    ['** the name ana belongs to somebody now: you are client-7', '* ana is now client-7'],
    ['* ana is now client-7'],
  ]) {
    const { open, enterAs, tell, forgetName, reclaimName, wish, look, $ } = page();
    open(`#ana:${TOKEN}`);
    enterAs('client-7');
    tell('** client-7 is now ana');
    tell('* ana is now client-2');
    lines.forEach(tell);
    assert.deepEqual([look().me, look().wanted, $('name').value], ['client-7', '', 'ana'], lines[0]);
    forgetName();
    reclaimName();
    assert.equal(look().asked.length, 1, lines[0]);
    wish();
    assert.equal(look().asked.at(-1), `/nick ana ${TOKEN}`);
  }
});

test('behind a break the records tell whether the name was taken, or the seat is new', () => {
  const { open, enterAs, onNameSettled, look } = page();
  open(`#ana:${TOKEN}`);
  enterAs('client-7');
  onNameSettled({ name: 'client-7', isTaken: true });
  assert.equal(look().wanted, 'ana', 'the person has asked meanwhile');
  for (const [isTaken, count] of [[true, 1], [false, 2]]) {
    const again = page();
    again.open(`#ana:${TOKEN}`);
    again.enterAs('client-7');
    again.forgetName();
    again.tell('* you are client-12; /help lists what you can do');
    again.onNameSettled({ name: 'client-12', isTaken });
    assert.equal(again.look().asked.length, count, isTaken);
  }
});
