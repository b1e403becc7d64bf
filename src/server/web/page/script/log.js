// The lines of the log. Lines wait for the next frame, which adds all of them to the document at once.

let pending = [];
let newest = [];           // lines that came last, to be kept for a reload
let skipped = 0;           // lines that came too fast to be shown, all before the first pending one
let isFlushDue = false;
let last = {};             // the line above the next one
let cutLines = 0;          // lines that the log no longer holds

function show(line) {
  if (isHushed(line)) return;
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
    if (line.at && addDay(fragment, line.at)) last = {};
    line.more = continues(last, line);
    line.element?.remove();
    place(fragment, line, last);
    last = line;
  }
  log.insertBefore(fragment, firstUnderWay());
  showUnderWay(last);
  trim();
  if (follows) stayAtEnd();
  showEnd();
  // A flood gets at most half of the time, so that the page still reacts to typing, scrolling and clicks.
  setTimeout(() => {
    isFlushDue = pending.length > 0;
    if (isFlushDue) requestAnimationFrame(flush);
  }, performance.now() - start);
}

/** Removes the oldest lines beyond the limit. */
function trim() {
  const note = $('cut');
  let excess = log.childElementCount - 1 + innerLines - (follows ? LINES_MAX : 2 * LINES_MAX);
  // Each removal moves all lines below: some more are removed at once, and then none for a while.
  if (excess > 0) excess += LINES_MAX / 20;
  for (; excess > 0; excess -= 1, cutLines += 1) removeLineBelow(note);
  note.hidden = cutLines === 0;
  note.textContent = `${count(cutLines, 'older line')} no longer shown`;
}

/** Marks a line as failed, or, without a reason, as not failed. A command is shown only if it failed. */
function markFailed(line, reason) {
  const before = line.element;
  line.failed = reason;
  if (!before && !pending.includes(line)) show(line);
  if (before?.isConnected) before.replaceWith(render(line));
}
