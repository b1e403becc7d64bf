import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const LOBBY = 'ws://a/ws';

/** The parts of the page that its outbox uses, without a document and a network. */
const STUBS = `
  let address = new URL('${LOBBY}');
  const goTo = (url) => { address = new URL(url) };
  const sent = [];
  const me = 'ana';
  const socket = { bufferedAmount: 0, send: (text) => sent.push(text) };
  const $ = () => ({});
  const [put, remember, show, markFailed, storeTab] = Array(5).fill(() => {});
  const [session, refresh] = [{ mode: 'plain', say() {} }, () => {}];
`;

/** The outbox of a page that is in the lobby, over a socket that takes all and tells nothing. */
function outbox() {
  const names = ['sendLines', 'commandOrLine', 'joinAnswered', 'isJoining', 'failUnsent', 'linesInDoubt', 'unsentHere'];
  return load(['limits.js', 'text.js', 'typed.js', 'mention.js', 'address.js', 'outbox.js'], [...names, 'goTo', 'sent'], STUBS);
}

const textsOf = (lines) => lines.map(({ text }) => text);

test('what is said behind an unanswered join is kept with the room that it is for', () => {
  const page = outbox();
  for (const text of ['one', '/join rust', 'two', '/join дом', 'three']) page.sendLines([page.commandOrLine(text)]);
  page.failUnsent(page.linesInDoubt(0));
  assert.deepEqual(textsOf(page.unsentHere()), ['one', '/join rust']);
  page.goTo(`${LOBBY}?room=RUST`);
  assert.deepEqual(textsOf(page.unsentHere()), ['two', '/join дом']);
  page.goTo(`${LOBBY}?room=%D0%B4%D0%BE%D0%BC`);
  assert.deepEqual(textsOf(page.unsentHere()), ['three']);
});

test('the answer to a join says that all before it has arrived', () => {
  const page = outbox();
  for (const text of ['one', '/join rust', 'two']) page.sendLines([page.commandOrLine(text)]);
  assert.ok(page.isJoining('rust') && !page.isJoining('two'));
  page.joinAnswered();
  assert.ok(!page.isJoining('rust'));
  page.goTo(`${LOBBY}?room=rust`);
  page.sendLines([page.commandOrLine('three')]);
  page.failUnsent(page.linesInDoubt(0));
  assert.deepEqual(textsOf(page.unsentHere()), ['two', 'three']);
  page.goTo(LOBBY);
  assert.deepEqual(page.unsentHere(), []);
});

test('a join that is refused leaves what is said then where the page is', () => {
  const page = outbox();
  for (const text of ['/join a b', '/join  rust ']) page.sendLines([page.commandOrLine(text)]);
  assert.ok(page.isJoining('a b'));
  page.joinAnswered();
  assert.ok(page.isJoining('rust'));
  page.joinAnswered();
  page.joinAnswered();
  page.sendLines([page.commandOrLine('here')]);
  page.failUnsent(page.linesInDoubt(0));
  assert.deepEqual(textsOf(page.unsentHere()), ['here']);
  assert.deepEqual(page.sent, ['/join a b\n', '/join  rust \n', 'here\n']);
});
