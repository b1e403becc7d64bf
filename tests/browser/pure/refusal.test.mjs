import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { likelyReasons, parseAddress, readRefusal } =
  load(['text.js', 'address.js', 'refusal.js'], ['likelyReasons', 'parseAddress', 'readRefusal']);

const PAGE = { protocol: 'http:', host: 'a.example:1', hostname: 'a.example', origin: 'http://a.example:1' };
const read = (status, text) => readRefusal(status, text, PAGE);

test('a server says itself why it refuses', () => {
  for (const status of [403, 404, 429, 503]) {
    const { advice, refuses, isFull } = read(status, 'the server is full');
    assert.deepEqual([advice, refuses], ['The server is full.', true]);
    assert.equal(isFull, status === 429 || status === 503);
  }
});

test('the page names the flag, with its value, that the operator needs', () => {
  assert.match(read(421, '').advice, /name a\.example: ask its operator to start it with --web-host a\.example$/);
  assert.match(read(403, 'start it with --web-origin').advice, /operator to start it with --web-origin http:\/\/a\.example:1$/);
});

test('an answer of a proxy is read by its status', () => {
  for (const [status, says] of [[429, /too many/], [502, /may be down/], [503, /full/], [504, /may be down/],
    [404, /path/], [403, /status 403/], [500, /status 500/], [0, /status 0/]]) {
    const { advice, refuses } = read(status, '');
    assert.match(advice, says);
    assert.ok(refuses);
  }
});

test('a server that would take a WebSocket is not to blame', () => {
  for (const status of [405, 426]) {
    const { advice, refuses } = read(status, 'use GET');
    assert.deepEqual([advice, refuses], ['The server is there, but a proxy may block WebSockets.', false]);
  }
});

test('without an answer the likely reasons name the flags for another server', () => {
  const page = { protocol: 'http:', host: 'a.example', pathname: '/chat/', origin: 'http://a.example' };
  const reasons = (typed) => likelyReasons(parseAddress(typed, page), page);
  assert.match(reasons(''), /a proxy may block WebSockets\.$/);
  assert.match(reasons('a.example'), /--web-host a\.example --web-origin http:\/\/a\.example$/);
  assert.match(reasons('b.example:80'), /it may need --web-host b\.example --web-origin http:\/\/a\.example$/);
  for (const address of ['127.0.0.1:1', '[::1]:1', 'localhost']) {
    assert.match(reasons(address), /it may need --web-origin http:\/\/a\.example$/);
  }
});
