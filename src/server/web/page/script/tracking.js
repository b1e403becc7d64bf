// The session of this tab, between the connections, the log and the store.

const session = new Session();
let home = '';                 // the server of the session, in whatever room
let restTimer = 0;             // of the next question whether more records of a lost session come
let isElsewhere = false;       // whether the session goes on in another tab

/** A session is one server's. */
function keepSessionFor(server) {
  if (server !== home) failDoubtful();
  home = server;
  isElsewhere = false;
}

function heardElsewhere() {
  isElsewhere = true;
}

/** Goes on with the session and the log that an earlier load of the page has kept. */
function restoreSessionOf({ home: server, room, session: kept, log, isHere }) {
  if (!address || server !== withRoom(address, '').href || !restoreSession(session, kept)) return;
  home = server;
  logKept(log).forEach(show);
  if (kept.lost > 0) show({ missed: `${count(kept.lost, 'line')} perhaps not sent, and not kept: too much text` });
  if (isHere) stayIn(room);
  refresh();
}

/** Marks what may not arrive when a session, or a connection without one, is given up. */
function failDoubtful() {
  if (session.token) failLost(session.forget());
  else if (isOn()) failUnsent(linesInDoubt(doubtfulNow()).map(({ line }) => ({ line, hasLeft: true })));
}

/** Marks lines of a session that is over. */
function failLost(lines) {
  const lost = lines.filter(({ isGoodbye }) => !isGoodbye).map((line) => ({ line, hasLeft: hasGone(line) }));
  if (lost.length > 0) failUnsent(lost);
}

/** Keeps typed lines behind earlier ones that wait. */
function holdLines(lines) {
  for (const line of lines) assign(line, { from: me, at: Date.now(), failed: '', server: destination() });
  session.hold(lines);
  refresh();
}

/** Says the lines that waited for the records of a lost session, once the name is right. */
function sendHeld() {
  if (!isOn() || session.isUndecided || naming) return;
  const lines = session.release();
  if (lines.length === 0) return;
  // They were typed under the name that another client has now.
  if (wanted !== me && mine.has(wanted)) failUnsent(lines.map((line) => ({ line, hasLeft: false })));
  else sendLines(lines);
  storeTab();
}

/** Asks the server until the records of a lost session are over: the last one of an old log has no mark behind it. */
function askForRest() {
  clearTimeout(restTimer);
  if (!isOn() || !session.isUndecided) return;
  if (Date.now() - heardAt >= SECOND) probeConnection();
  restTimer = setTimeout(askForRest, SECOND);
}
