// What was sent on this connection, and what may not have arrived.

const UNSURE = 'perhaps not sent';

let handed = 0;            // bytes given to this socket
let outgoing = [];         // { line, bytes, end, at } of the lines sent lately; `end` counts as `handed` does
let unsent = [];           // lines of past connections that did not, or may not have, arrived

// Each line has its `server`: the URL of the room in which it is to be said.

function resetOutbox() {
  handed = 0;
  outgoing = [];
}

/** Hands whole lines to the socket. */
function transmit(text) {
  socket.send(text);
  handed += bytesOf(text);
}

/** Sends a command of the page itself. After a break it is not sent again. */
function ask(text) {
  session.say({ text, isCommand: true, isQuiet: true });
  transmit(`${text}\n`);
}

/** Says what was typed. Returns the problem if it cannot be sent, or an empty text. */
const say = (text) => sayLines(linesOf(text));

function sayLines(lines) {
  if (!isOn()) return 'Not connected: your text stays here.';
  const sizes = lines.map(({ wire }) => bytesOf(wire));
  const size = sizes.reduce((sum, bytes) => sum + bytes, 0);
  if (size > BUFFERED_BYTES_MAX || sizes.some((bytes) => bytes > MESSAGE_BYTES_MAX)) return 'That is too long to send.';
  if (socket.bufferedAmount + size > BUFFERED_BYTES_MAX) {
    return 'The connection is slow: wait a little, and send again.';
  }
  const isDoubtful = isSilent();
  if (session.holdsLines) holdLines(lines);
  else sendLines(lines);
  if (isDoubtful) probeConnection();
  else if (!roster.isCounted && roster.questions.length === 0) askWho();
  return '';
}

function sendLines(lines) {
  let server = destination();
  for (const message of messagesOf(lines)) {
    let end = handed;
    for (const { line, bytes } of message) {
      end += bytes;
      outgoing.push({ line, bytes, end, at: Date.now() });
      assign(line, { from: me, at: line.at || Date.now(), failed: '', server });
      session.say(line);
      if (line.joins) server = destination();
      if (line.isGoodbye) sayGoodbye();
      if (line.isWho) roster.asked(true);
      // A session shows its lines when their records come, and until then behind all others.
      if (line.isCommand || session.mode === 'tracked') continue;
      remember(line);
      show(line);
    }
    transmit(message.map(({ line }) => line.wire).join(''));
  }
  if (outgoing.length > 2 * LINES_MAX) outgoing.splice(0, LINES_MAX);
  refresh();
}

/** Whether a line has left the browser. */
function hasGone(line) {
  const entry = outgoing.findLast((entry) => entry.line === line);
  return !entry || !socket || entry.end <= handed - socket.bufferedAmount;
}

/** The room in which a line that is sent now is said: that of the last `/join` without an answer, or else the page's. */
function destination() {
  const room = outgoing.findLast(({ line }) => line.joins)?.line.joins;
  return (room ? withRoom(address, room) : address).href;
}

/** Whether this is the name in the first `/join` without an answer. */
const isJoining = (name) => outgoing.find(({ line }) => line.joins)?.line.joins === name;

/** Takes note of an answer to the first `/join` without one: all that was sent before it has arrived. */
function joinAnswered() {
  outgoing.splice(0, outgoing.findIndex(({ line }) => line.joins) + 1);
}

/**
 * The lines that did not leave the browser, and those that may not have arrived: sent after `doubtfulSince`. Without
 * doubts it is `Infinity`.
 */
function linesInDoubt(doubtfulSince) {
  const gone = handed - socket.bufferedAmount;
  const inDoubt = outgoing.filter(({ line, end, at }) => !line.failed && (end > gone || at > doubtfulSince));
  return inDoubt.map(({ line, end }) => ({ line, hasLeft: end <= gone }));
}

/** Marks these lines, and offers them again. */
function failUnsent(inDoubt) {
  for (const { line, hasLeft } of inDoubt) {
    markFailed(line, hasLeft ? UNSURE : 'not sent');
    unsent.push(line);
  }
  showUnsent();
  storeTab();
}

/** Takes the mark off a line that did arrive. A line of an earlier load that never left the browser did not. */
function confirmArrival(text) {
  const found = unsentHere().find((line) => line.text === text && !(line.isRestored && line.failed !== UNSURE));
  if (!found) return;
  unsent = unsent.filter((line) => line !== found);
  markFailed(found, '');
  showUnsent();
}

/** Marks the first line over the server's limit, and puts it back into an empty draft to be shortened. */
function takeBackLongest(bytesMax) {
  const refused = outgoing.find(({ bytes, line }) => bytes - 1 > bytesMax && !line.failed);
  if (!refused) return;
  session.refuse(refused.line);
  markFailed(refused.line, 'too long: not sent');
  if (draft.value === '') draft.value = typedAgain(refused.line);
}

/** The lines that are for the room that the page is in. */
const unsentHere = () => unsent.filter(({ server }) => address && isSamePlace(server, address));

function showUnsent() {
  const here = unsentHere();
  for (const line of here.filter(({ isDue }) => isDue)) {
    line.isDue = false;
    if (line.failed === UNSURE) remember(line);
    show(line);
  }
  $('again').hidden = $('forget').hidden = here.length === 0;
  put('unsent-count', here.length ? `${count(here.length, 'line')} not sent` : '');
}

/** Shows the lines that an earlier load of the page kept as lines that were not sent. */
function restoreUnsent({ lines, lost }) {
  unsent = lines.map((line) => ({ ...line, isRestored: true, isDue: true }));
  if (lost) show({ missed: `${count(lost, 'older line')} not sent, and not kept: too much text` });
  showUnsent();
}

/** What the next load of the page is to show as not sent: also what this connection still holds. */
function unsentToKeep() {
  const held = isOn() && session.mode !== 'tracked' ? linesInDoubt(doubtfulNow()).map(({ line }) => ({ ...line, failed: UNSURE })) : [];
  return [...unsent, ...held];
}

function sendAgain() {
  if (!isOn()) return showProblem('Not connected yet: try again once connected.');
  const lines = unsentHere();
  forgetUnsent();
  for (const { element } of lines) element?.remove();
  sendLines(lines.map(({ element, at, isRestored, isDue, ...line }) => line));
  storeTab();
  goToEnd();
}

function forgetUnsent() {
  const here = unsentHere();
  unsent = unsent.filter((line) => !here.includes(line));
  showUnsent();
  storeTab();
  draft.focus();
}
