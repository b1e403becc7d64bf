// The lines of the log. Lines wait for the next frame, which adds all of them to the document at once.

const DAY = { weekday: 'long', day: 'numeric', month: 'long' };
const calendar = new Intl.DateTimeFormat([], DAY);
const calendarOfYears = new Intl.DateTimeFormat([], { ...DAY, year: 'numeric' });
let pending = [];
let newest = [];           // lines that came last, to be kept for a reload
let skipped = 0;           // lines that came too fast to be shown, all before the first pending one
let isFlushDue = false;
let last = {};             // the line above the next one...
let lastDay = '';          // ...and its day
let cutLines = 0;          // lines that the log no longer holds
let unread = 0;            // lines said while the page was not visible

function show(line) {
  pending.push(line);
  newest.push(line);
  if (newest.length > 2 * LOG_KEPT_MAX) newest.splice(0, LOG_KEPT_MAX);
  countNew(line);
  // Lines come too fast, or the page is in a hidden tab, which has no frames.
  if (pending.length > 2 * LINES_MAX) skipped += pending.splice(0, LINES_MAX).length;
  refresh();
}

function refresh() {
  if (isFlushDue) return;
  isFlushDue = true;
  requestAnimationFrame(flush);
}

function flush() {
  const start = performance.now();
  const fragment = document.createDocumentFragment();
  if (skipped) {
    fragment.append(make('p', 'rule', `${count(skipped, 'line')} not shown`));
    cutLines += skipped;
    skipped = 0;
    last = {};
  }
  log.ariaLive = pending.length > ANNOUNCED_MAX ? 'off' : 'polite';
  for (const line of pending.splice(0, LINES_PER_FRAME)) {
    addDay(fragment, line);
    line.more = continues(last, line);
    line.element?.remove();
    fragment.append(render(line));
    last = line;
  }
  log.insertBefore(fragment, firstUnderWay());
  showUnderWay(last);
  trim();
  if (follows) stayAtEnd();
  showEnd();
  // A flood gets at most a quarter of the time, so that the page still reacts to typing, scrolling and clicks.
  setTimeout(() => {
    isFlushDue = pending.length > 0;
    if (isFlushDue) requestAnimationFrame(flush);
  }, 3 * (performance.now() - start));
}

/** Removes the oldest lines beyond the limit. */
function trim() {
  const note = $('cut');
  let excess = log.childElementCount - 1 - (follows ? LINES_MAX : 2 * LINES_MAX);
  for (; excess > 0; excess -= 1, cutLines += 1) note.nextElementSibling.remove();
  note.hidden = cutLines === 0;
  note.textContent = `${count(cutLines, 'older line')} no longer shown`;
}

function addDay(fragment, { at }) {
  if (!at) return;
  const day = dayOf(at);
  if ((lastDay || dayOf(Date.now())) !== day) {
    fragment.append(make('p', 'rule', day));
    last = {};
  }
  lastDay = day;
}

function dayOf(at) {
  const isThisYear = new Date(at).getFullYear() === new Date().getFullYear();
  return (isThisYear ? calendar : calendarOfYears).format(at);
}

/** Marks a line as failed, or, without a reason, as not failed. A command is shown only if it failed. */
function markFailed(line, reason) {
  const before = line.element;
  line.failed = reason;
  if (!before && !pending.includes(line)) show(line);
  if (before?.isConnected) before.replaceWith(render(line));
}

function countUnread() {
  if (document.hidden) unread += 1;
  showUnread();
}

function clearUnread() {
  unread = 0;
  showUnread();
}

function showUnread() {
  const title = roomName ? `${roomName} – pollchat` : 'pollchat';
  document.title = unread ? `(${unread}) ${title}` : title;
}
