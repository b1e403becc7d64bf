// The replay of what was said before this connection. Lines that the page shows already, from before the connection
// broke, are left out.

let replay = null;         // { left, lines, timer } while a replay arrives
let recentLines = [];      // lines said, to recognize them in a replay

function remember(line) {
  recentLines.push(line);
  if (recentLines.length > 2 * RECENT_MAX) recentLines.splice(0, RECENT_MAX);
}

/** Forgets the lines of a room that the page leaves: the same words said elsewhere are others. */
function forgetRecent() {
  recentLines = [];
}

/** Shows a line of the server, in its place: behind a replay if one is arriving. */
function showHeard(line) {
  if (replay) return replay.lines.push(line);
  if (line.text !== undefined) remember(line);
  show(line);
}

function beginReplay(lines) {
  // A replay arrives at once. The timeout keeps a server that announces too many lines from holding back the others.
  replay = { left: lines, lines: [], timer: setTimeout(endReplay, REPLAY_TIMEOUT) };
}

function missedInReplay(lines) {
  replay.left = Math.max(1, replay.left - lines);
}

function replayLine(line) {
  showHeard(line);
  replay.left -= 1;
  if (replay.left === 0) endReplay();
}

function endReplay() {
  if (!replay) return;
  const { lines } = replay;
  dropReplay();
  const unseen = unseenLines(recentLines, lines, isOwnShown);
  const said = unseen.filter(({ text }) => text !== undefined).length;
  if (said > 0) show({ rule: count(said, 'earlier line') });
  unseen.forEach(showHeard);
  if (said > 0) show({ rule: 'Now' });
}

function dropReplay() {
  clearTimeout(replay?.timer);
  replay = null;
}

/** Whether the page shows an own line. As the server replays it, it did arrive. */
function isOwnShown(text) {
  confirmArrival(text);
  return recentLines.some((line) => line.own && line.text === text);
}
