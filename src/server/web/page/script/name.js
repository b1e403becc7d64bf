// The name of this page's user, and the attempts to get it.

let me = '';               // the name in the room; empty until the server has given one
let given = '';            // the name that the server gave on this connection, as far as it told
let wanted = '';           // the name that the person wants
let naming = null;         // { until, pause } while an answer to `/nick` is due, or another attempt
const mine = new Set();    // names that the page had: their lines in a replay are own lines

/** The person wants the name in the form. */
function want() {
  wanted = $('name').value.trim();
  keepToken(wanted);
}

/** The same, at once if the page is in a room. */
function wish() {
  want();
  if (isOn()) requestName(0);
}

/** Forgets the name of the last connection. */
function forgetName() {
  me = given = '';
  naming = null;
}

function welcomeAs(name) {
  if (me) return;
  me = name;
  if (isGiven(name)) given = name;
  showState();
}

/** Asks for the wanted name. While another client holds it, the page asks again until `until`. */
function requestName(until) {
  naming = null;
  retryName(until, PAUSE_FIRST);
}

function retryName(until, pause) {
  if (!wanted || wanted === me) return;
  naming = { until, pause };
  ask(nickLine(wanted));
}

/** The server calls the page by another name: one that the person asked for, or one that it gives. */
function renamed(name) {
  if (!isGiven(name)) named(name);
  // Another client of this name lost it to this one, which was told so before.
  else if (name === given || !given) lostName(name);
}

/** The person's name went to another client. The page does not ask for it again: it may be the same person's. */
function lostName(name) {
  me = name;
  wanted = '';
  naming = null;
  showState();
  storeTab();
}

function onNameLost({ kind, notice, name }) {
  lostName(name);
  showNotice(notice);
  const isMine = kind !== 'nameLost' && tokenFor($('name').value.trim());
  showProblem(`${sentence(notice)}.${isMine ? ' Rename takes the name back.' : ''}`);
}

/** The session goes on under a name that the server gives: the server took the person's away, or the seat is new. */
function onNameSettled({ name, isTaken }) {
  // The person has asked for a name meanwhile.
  if (me !== name || naming) return;
  if (isTaken) onNameLost({ notice: `you have lost your name: you are ${name}`, name });
  else reclaimName();
}

/** Asks for the name that the page had before a break. */
function reclaimName() {
  requestName(Date.now() + RECLAIM_TIMEOUT);
}

function named(name) {
  me = wanted = $('name').value = name;
  naming = null;
  mine.add(name);
  store(name);
  tokenAnswered();
  openMenu(false);
  markName(true);
  showProblem('');
  sendHeld();
}

/** After a reconnect the server may still count the old connection, which holds the name: the page asks again. */
function refusedName(reason, isTaken) {
  if (!naming) return showNotice(reason);
  const { until, pause } = naming;
  if (isTaken && Date.now() + pause < until) {
    const ours = naming;
    setTimeout(() => { if (naming === ours) retryName(until, doubled(pause, RECLAIM_PAUSE_MAX)) }, pause);
    showState();
    return;
  }
  naming = null;
  if (until === 0) openMenu(true);
  showNotice(reason);
  markName(false);
  showProblem(`You are ${me}, for now: ${reason}.`);
  sendHeld();
}

function markName(isGood) {
  $('name').ariaInvalid = !isGood;
  showState();
}

/** Whether the page waits for a name that it had before. */
const isReclaiming = () => naming !== null && mine.has(wanted);
