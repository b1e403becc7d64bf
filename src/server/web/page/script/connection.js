// The connection: one WebSocket at a time, opened again after a pause when it breaks.

let state = 'off';             // 'off', 'connecting', 'asked' for the password, 'on', or 'waiting' to connect again
let why = '';                  // the reason why it is not 'on'
let loss = '';                 // the reason of the last break or failed attempt
let socket = null;
let full = '';                 // what the server says that there is no place for, on this connection
let timer = 0;                 // of the state: the timeout of an attempt, or the next attempt
let retryAt = 0;
let openedAt = 0;
let lostAt = -Infinity;        // when the last connection with a session broke
let heardAt = 0;               // when the server last sent something
let probe = 0;                 // the timeout of an answer that is due
let hasLeft = false;           // whether the person said goodbye
let wasOn = false;             // whether it was 'on' since the person chose to connect
const backoff = new Backoff();

/** Reasons of the server for a loss, by close code. */
const LOSSES = { 1001: 'The server stopped', 1012: 'The server restarts' };

const isOn = () => state === 'on' && socket?.readyState === WebSocket.OPEN;
const isSilent = () => Date.now() - heardAt > PROBE_AFTER;

function become(next, reason = '') {
  state = next;
  why = reason;
  showState();
}

/** Connects to where the form says, as the person asked for it. */
function connect() {
  if (!aim()) {
    $('server').ariaInvalid = true;
    $('server').focus();
    return become('off', `Not an address: ${$('server').value}`);
  }
  $('server').ariaInvalid = false;
  keepSessionFor(withRoom(address, '').href);
  want();
  store(wanted);
  loss = `No answer from ${address.host}`;
  openedAt = 0;
  wasOn = false;
  backoff.reset();
  openSocket();
}

/** Connects again after the page was reloaded. As after a break, its name may still be held. */
function resume(isHere) {
  connect();
  // At the same address as before the session is where the page was, or where it went while it was away.
  if (isHere) followSession();
  wasOn = true;
  mine.add(wanted);
}

function openSocket() {
  abandon();
  dropReplay();
  resetOutbox();
  hasLeft = false;
  full = '';
  approachGate();
  try {
    socket = new WebSocket(trackedAt(address));
  } catch (error) {
    return become('off', `Cannot connect to ${address.host}: ${error.message}`);
  }
  const ours = socket;
  const ifOurs = (act) => (event) => { if (ours === socket) act(event) };
  socket.onopen = ifOurs(onOpen);
  socket.onmessage = ifOurs(onMessage);
  socket.onclose = ifOurs(({ code }) => onClose(code));
  timer = setTimeout(() => onClose(1006), CONNECT_TIMEOUT);
  become('connecting');
}

function onOpen() {
  clearTimeout(timer);
  openedAt = heardAt = Date.now();
  transmit(session.begin());
  awaitAnswer();
}

/** The server has answered `/track`: the page is in the room. */
function onReady({ name, isRenamed, again, lost }) {
  if (wasOn) keepFormOpen();
  become('on');
  passGate();
  failLost(lost);
  if (name) welcomeAs(name);
  // A name that the server gives is explained by the records that follow.
  const isUnsettled = isRenamed && isGiven(name);
  if (isRenamed && !isUnsettled) named(name);
  sendLines(again);
  if (!wasOn) requestName(0);
  else if (!isUnsettled) reclaimName();
  sendHeld();
  askForRest();
  if (!$('people').hidden && wasOn && !isWide.matches) askWho();
  if (!wasOn) draft.focus();
  showProblem('');
  wasOn = true;
  storeTab();
}

function onMessage({ data }) {
  heardAt = Date.now();
  clearTimeout(probe);
  probe = 0;
  const lines = data.split('\n');
  if (lines.at(-1) === '') lines.pop();
  lines.forEach(hear);
  if (session.mode === 'asking' && state !== 'asked') awaitAnswer();
}

/** Ends the connection. The code of the Close frame decides whether the page connects again; 1006 means none came. */
function onClose(code) {
  const isRefused = state === 'connecting' && session.mode === 'off';
  const isTracked = session.mode === 'tracked';
  session.end().forEach(act);
  endReplay();
  // A refused upgrade says nothing (1006); askWhy has told whether the server is full.
  if (state === 'on' || code !== 1006) backoff.setFull(code === 1013);
  if (!isRefused) loss = LOSSES[code] ?? 'Connection lost';
  if (state === 'on') {
    if (isTracked) lostAt = Date.now();
    else failUnsent(linesInDoubt(doubtfulSince(code)));
    if (Date.now() - openedAt > STABLE_AFTER) backoff.reset();
  }
  abandon();
  // A copy of this tab has taken the session over, and would lose it if this page came back by itself.
  if (isElsewhere || code === CLOSED_ELSEWHERE) {
    leave('Not connected: this chat goes on in another tab');
    return showProblem('Connect joins from this tab, too, as another client.');
  }
  if (verdict) return stayAway(`Not connected: ${verdict}`);
  if (code === 1000) session.forget();
  if (hasLeft || code === 1000) return leave('Not connected: you left');
  // The session may go on if the person connects again: a client that reads too slowly is disconnected, too.
  if (code === 1008) return stayAway('Not connected: the server disconnected you');
  wait(backoff.isFull ? full || 'The server is full' : loss);
  if (isRefused) askWhy();
}

/** The server has no place for the page, as this notice says, and closes the connection. */
function noPlace(notice) {
  full = sentence(notice);
}

/** Tells the reason why the last attempt failed, while the page waits for the next. */
function onRefusal({ advice, refuses, isFull }) {
  showProblem(advice);
  backoff.setFull(isFull);
  if (refuses && state === 'waiting') become('waiting', isFull ? 'No place' : `Refused by ${address.host}`);
}

/**
 * The time after which lines may not have arrived. A server without a place takes none. A probe that timed out leaves
 * the socket open.
 */
function doubtfulSince(code) {
  if (code === 1013) return 0;
  if (code !== 1006) return Infinity;
  if (socket.readyState === WebSocket.OPEN) return heardAt;
  return Math.max(heardAt, Date.now() - UNSURE_WITHIN);
}

/** The same for a connection that is given up while it is on. */
const doubtfulNow = () => probe ? heardAt : Infinity;

/** Drops the socket, its timers, and what is known of the room. With the code 1000 this is a goodbye. */
function abandon(code) {
  stopAsking();
  clearTimeout(timer);
  clearTimeout(probe);
  probe = 0;
  const old = socket;
  socket = null;
  old?.close(code);
  session.end();
  forgetName();
  roster.clear();
  roomsAnswered();
}

/** Closes the socket of a page that is left, or reloaded. This is no goodbye: the session goes on if it is reloaded. */
function putAway() {
  // A session outlives the connection: its lines are decided by the next one, also if there is none now.
  if (!session.token) failDoubtful();
  storeTab();
  const old = socket;
  socket = null;
  old?.close();
}

function sayGoodbye() {
  hasLeft = true;
}

/** Leaves for good: nobody resumes the session. */
function leave(reason) {
  failDoubtful();
  stayAway(reason);
}

function stayAway(reason) {
  abandon(1000);
  wasOn = false;
  become('off', reason);
  showProblem('');
  leaveGate();
  storeTab();
}

function wait(reason) {
  retryAt = Date.now() + backoff.next(Math.random(), Date.now() - lostAt);
  become('waiting', reason);
  tick();
}

function tick() {
  const left = Math.ceil((retryAt - Date.now()) / SECOND);
  if (left <= 0) return openSocket();
  $('countdown').textContent = `in ${left} s`;
  timer = setTimeout(tick, Math.min(SECOND, retryAt - Date.now()));
}

/** Retries or probes early: the network is back, or the page is visible again. */
function lookAgain() {
  if (state === 'waiting' && !backoff.isFull) openSocket();
  if (isOn() && isSilent()) probeConnection();
}

/** Asks the server for an answer. A browser reports a dead connection only late, and only if something was sent. */
function probeConnection() {
  if (probe || !isOn()) return;
  if (session.mode === 'tracked') transmit('/track\n');
  else askWho();
  awaitAnswer();
}

function awaitAnswer() {
  clearTimeout(probe);
  probe = setTimeout(() => onClose(1006), PROBE_TIMEOUT);
}
