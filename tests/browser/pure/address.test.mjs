import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { parseAddress } = load(['address.js'], ['parseAddress']);
const PAGE = { protocol: 'http:', host: 'chat.example:8080' };

test('an address is a host and port, or a ws or http URL', () => {
  const addresses = {
    '': 'ws://chat.example:8080/ws',
    ' ': 'ws://chat.example:8080/ws',
    'other:7000': 'ws://other:7000/ws',
    ' other ': 'ws://other/ws',
    '[::1]:7000': 'ws://[::1]:7000/ws',
    'ws://other:7000': 'ws://other:7000/ws',
    'wss://other/chat?room=a': 'wss://other/chat?room=a',
    'HTTP://other/': 'ws://other/ws',
    'https://other': 'wss://other/ws',
    'other/chat#part': 'ws://other/chat',
  };
  for (const [typed, url] of Object.entries(addresses)) assert.equal(parseAddress(typed, PAGE).href, url, typed);
});

test('a page that came over TLS connects over TLS', () => {
  const page = { protocol: 'https:', host: 'chat.example' };
  assert.equal(parseAddress('', page).href, 'wss://chat.example/ws');
  assert.equal(parseAddress('other:7000', page).href, 'wss://other:7000/ws');
});

test('anything else is an error', () => {
  for (const typed of ['ftp://other', 'a b', 'a\tb', 'host:port', ':80', 'ws://', 'javascript://x', 'host:70000']) {
    assert.throws(() => parseAddress(typed, PAGE), TypeError, typed);
  }
});
