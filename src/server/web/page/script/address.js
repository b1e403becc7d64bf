// The address of a server. Pure.

/**
 * The folder that a page is in, with a slash at its end. A server has its page at `/` alone, so all of the path is what
 * a proxy puts before it, whether a slash ends it or not.
 */
function folderOf(path) {
  return path.replace(/[^/]+\.html?$/i, '').replace(/\/*$/, '/');
}

/** The address of the page's own server, as a person would type it. */
function ownAddress({ host, pathname }) {
  const folder = folderOf(pathname);
  return folder === '/' ? host : host + folder;
}

/**
 * Returns the URL of the WebSocket behind a typed address: the URL itself, or that of the page, where the WebSocket is
 * `ws` in its folder. It may lack its scheme; nothing typed is the page's own server. Throws a `TypeError`.
 */
function parseAddress(typed, page) {
  const scheme = page.protocol === 'https:' ? 'wss' : 'ws';
  const text = typed.trim() || ownAddress(page);
  if (/\s/.test(text)) throw new TypeError('white space in an address');
  const url = new URL(/^[a-z]+:\/\//i.test(text) ? text.replace(/^http/i, 'ws') : `${scheme}://${text}`);
  if (!/^wss?:$/.test(url.protocol) || !url.host) throw new TypeError('not a WebSocket address');
  const isPage = !/^wss?:/i.test(text);
  if (isPage) url.search = '';
  if (url.pathname.endsWith('/')) url.pathname += 'ws';
  else if (isPage && !url.pathname.endsWith('/ws')) url.pathname = `${folderOf(url.pathname)}ws`;
  url.hash = '';
  return url;
}
