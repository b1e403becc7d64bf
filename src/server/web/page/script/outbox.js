// What was sent on this connection, and what may not have arrived.

let handed = 0;            // bytes given to this socket
let outgoing = [];         // { line, bytes, end, at } of the lines sent lately; `end` counts as `handed` does
let unsent = [];           // lines of past connections that did not, or may not have, arrived

function resetOutbox() {
  handed = 0;
  outgoing = [];
}

/** Hands whole lines to the socket. */
function transmit(text) {
  socket.send(text);
  handed += bytesOf(text);
}

/** Says what was typed. Returns the problem if it cannot be sent, or an empty text. */
function say(text) {
  if (!isOn()) return 'Not connected: your text stays here.';
  const lines = linesOf(text);
  const sizes = lines.map(({ wire }) => bytesOf(wire));
  const size = sizes.reduce((sum, bytes) => sum + bytes, 0);
  if (size > BUFFERED_BYTES_MAX || sizes.some((bytes) => bytes > MESSAGE_BYTES_MAX)) return 'That is too long to send.';
  if (socket.bufferedAmount + size > BUFFERED_BYTES_MAX) {
    return 'The connection is slow: wait a little, and send again.';
  }
  const isDoubtful = isSilent();
  sendLines(lines);
  if (isDoubtful) probeConnection();
  else if (!roster.isCounted && roster.questions.length === 0) askWho();
  return '';
}

function sendLines(lines) {
  for (const message of messagesOf(lines)) {
    let end = handed;
    for (const { line, bytes } of message) {
      end += bytes;
      outgoing.push({ line, bytes, end, at: Date.now() });
      Object.assign(line, { from: me, at: Date.now(), failed: '' });
      if (line.isGoodbye) sayGoodbye();
      if (line.isWho) roster.asked(true);
      if (line.isCommand) continue;
      remember(line);
      show(line);
    }
    transmit(message.map(({ line }) => line.wire).join(''));
  }
  if (outgoing.length > 2 * LINES_MAX) outgoing.splice(0, LINES_MAX);
}

/**
 * Marks the lines that did not leave the browser, and those that may not have arrived: sent after `doubtfulSince`.
 * Without doubts it is `Infinity`.
 */
function failUnsent(doubtfulSince) {
  const gone = handed - socket.bufferedAmount;
  for (const { line, end, at } of outgoing) {
    if (line.failed || (end <= gone && at <= doubtfulSince)) continue;
    markFailed(line, end > gone ? 'not sent' : 'perhaps not sent');
    unsent.push(line);
  }
  showUnsent();
}

/** Takes the mark off a line that did arrive. */
function confirmArrival(text) {
  const found = unsent.find((line) => line.text === text);
  if (!found) return;
  unsent = unsent.filter((line) => line !== found);
  markFailed(found, '');
  showUnsent();
}

/** Marks the first line over the server's limit, and puts it back into an empty draft to be shortened. */
function takeBackLongest(bytesMax) {
  const refused = outgoing.find(({ bytes, line }) => bytes - 1 > bytesMax && !line.failed);
  if (!refused) return;
  markFailed(refused.line, 'too long: not sent');
  if ($('draft').value === '') $('draft').value = typedAgain(refused.line);
}

function showUnsent() {
  $('again').hidden = $('forget').hidden = unsent.length === 0;
  put('unsent-count', unsent.length ? `${count(unsent.length, 'line')} not sent` : '');
}

function sendAgain() {
  if (!isOn()) return showProblem('Not connected yet: try again once connected.');
  const lines = unsent;
  forgetUnsent();
  for (const { element } of lines) element?.remove();
  sendLines(lines.map(({ element, ...line }) => line));
  goToEnd();
}

function forgetUnsent() {
  unsent = [];
  showUnsent();
  $('draft').focus();
}
