// The name of this page's user, and the attempts to get it.

let me = '';               // the name in the room; empty until the server has given one
let wanted = '';           // the name that the person wants
let naming = null;         // { until, pause } while an answer to `/nick` is due, or another attempt
const mine = new Set();    // names that the page had: their lines in a replay are own lines

function want(name) {
  wanted = name;
}

/** Forgets the name of the last connection. */
function forgetName() {
  me = '';
  naming = null;
}

function welcomeAs(name) {
  if (me) return;
  me = name;
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
  ask(`/nick ${wanted}`);
}

function named(name) {
  me = wanted = $('name').value = name;
  naming = null;
  mine.add(name);
  store(name);
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
function isReclaiming() {
  return naming !== null && mine.has(wanted);
}
