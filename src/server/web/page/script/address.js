// The address of a server. Pure.

/** Parses `host:port`, or a ws or http URL; nothing typed is the page's own server. Throws a `TypeError`. */
function parseAddress(typed, page) {
  const scheme = page.protocol === 'https:' ? 'wss' : 'ws';
  const text = typed.trim() || page.host;
  if (/\s/.test(text)) throw new TypeError('white space in an address');
  const url = new URL(/^[a-z]+:\/\//i.test(text) ? text.replace(/^http/i, 'ws') : `${scheme}://${text}`);
  if (!/^wss?:$/.test(url.protocol) || !url.host) throw new TypeError('not a WebSocket address');
  if (url.pathname === '/') url.pathname = '/ws';
  url.hash = '';
  return url;
}
