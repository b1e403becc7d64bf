import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { ownAddress, parseAddress } = load(['text.js', 'address.js'], ['ownAddress', 'parseAddress']);
const PAGE = { protocol: 'http:', host: 'chat.example:8080', pathname: '/' };

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
    'other/ws': 'ws://other/ws',
    'ws://other/chat#part': 'ws://other/chat',
  };
  for (const [typed, url] of Object.entries(addresses)) assert.equal(parseAddress(typed, PAGE).href, url, typed);
});

test('a page that came over TLS connects over TLS', () => {
  const page = { protocol: 'https:', host: 'chat.example', pathname: '/' };
  assert.equal(parseAddress('', page).href, 'wss://chat.example/ws');
  assert.equal(parseAddress('other:7000', page).href, 'wss://other:7000/ws');
});

test('a page connects to the WebSocket in its own folder', () => {
  const sockets = {
    '/': 'wss://[::1]:8443/ws',
    '/chat/': 'wss://[::1]:8443/chat/ws',
    '/chat': 'wss://[::1]:8443/chat/ws',
    '/chat//': 'wss://[::1]:8443/chat/ws',
    '/a/b%20c/': 'wss://[::1]:8443/a/b%20c/ws',
    '/chat/index.html': 'wss://[::1]:8443/chat/ws',
    '/index.HTM': 'wss://[::1]:8443/ws',
    '/ws/': 'wss://[::1]:8443/ws/ws',
    '/ws': 'wss://[::1]:8443/ws/ws',
    '//other/': 'wss://[::1]:8443//other/ws',
  };
  for (const [pathname, url] of Object.entries(sockets)) {
    const page = { protocol: 'https:', host: '[::1]:8443', pathname };
    assert.equal(parseAddress('', page).href, url, pathname);
    assert.equal(parseAddress(ownAddress(page), page).href, url, `${pathname}, typed`);
  }
  assert.equal(ownAddress(PAGE), 'chat.example:8080');
});

test('the address of a page is that of the WebSocket in its folder', () => {
  const addresses = {
    'other/chat/': 'ws://other/chat/ws',
    'other/chat': 'ws://other/chat/ws',
    'other:7000/chat/?room=a#part': 'ws://other:7000/chat/ws',
    'https://other/chat/': 'wss://other/chat/ws',
    'https://other:8443/chat?a=/b/#c': 'wss://other:8443/chat/ws',
    'https://[::1]/chat/index.html': 'wss://[::1]/chat/ws',
    'http://other/chat/ws': 'ws://other/chat/ws',
    'wss://other/chat/': 'wss://other/chat/ws',
    'wss://other/chat/?room=a': 'wss://other/chat/ws?room=a',
    'wss://other/?room=a#part': 'wss://other/ws?room=a',
  };
  for (const [typed, url] of Object.entries(addresses)) assert.equal(parseAddress(typed, PAGE).href, url, typed);
});

test('anything else is an error', () => {
  for (const typed of ['ftp://other', 'a b', 'a\tb', 'host:port', ':80', 'ws://', 'javascript://x', 'host:70000']) {
    assert.throws(() => parseAddress(typed, PAGE), TypeError, typed);
  }
});
