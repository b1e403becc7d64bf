// The question why the WebSocket did not open: a browser does not tell a page the status of a refused upgrade.

let asking = null;         // the request that is under way

function stopAsking() {
  asking?.abort();
  asking = null;
}

/** Asks the page's own server for the reason. Another one would not answer to this page. */
async function askWhy() {
  stopAsking();
  showProblem(likelyReasons(address, location));
  if (!isOwnServer(address, location)) return;
  const ours = asking = new AbortController();
  const timeout = setTimeout(() => ours.abort(), ANSWER_TIMEOUT);
  try {
    const url = address.href.replace(/^ws/, 'http');
    const answer = await fetch(url, { method: 'POST', cache: 'no-store', redirect: 'manual', signal: ours.signal });
    const isPlain = answer.headers.get('Content-Type')?.startsWith('text/plain');
    const text = isPlain ? (await answer.text()).trim() : '';
    if (ours === asking) onRefusal(readRefusal(answer.status, text.length <= REFUSAL_MAX ? text : '', location));
  } catch { /* There is no answer: the likely reasons stay. */ }
  clearTimeout(timeout);
}
