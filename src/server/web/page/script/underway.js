// Own lines that are under way: sent, and without a record yet. They stand at the end of the log, as the server has not
// given them their place. A line that waits for long is marked, and the connection is probed.

let underWay = [];         // { line, element } of those that are shown
let lateTimer = 0;

const firstUnderWay = () => underWay.find(({ element }) => element.parentNode === log)?.element ?? null;

/** Shows the lines under way behind the line `before`. */
function showUnderWay(before) {
  const lines = session.waiting(UNDER_WAY_MAX);
  const gone = underWay.filter(({ line }) => !lines.includes(line));
  for (const { element } of gone) element.remove();
  underWay = lines.map((line) => underWay.find((shown) => shown.line === line) ?? placed(line));
  for (const shown of underWay) {
    const { line } = shown;
    const isLate = Date.now() - line.at >= UNDER_WAY_AFTER;
    line.more = continues(before, line);
    before = line;
    if (isLate && !line.late) {
      line.late = true;
      const old = shown.element;
      old.replaceWith(shown.element = quietly(line));
    }
  }
  clearTimeout(lateTimer);
  const due = lines.find(({ late }) => !late);
  if (due) lateTimer = setTimeout(showLate, Math.max(0, due.at + UNDER_WAY_AFTER - Date.now()));
}

function placed(line) {
  const element = quietly(line);
  log.append(element);
  return { line, element };
}

/** Renders a line that a screen reader is told later, once the server has it. */
function quietly(line) {
  const element = render(line);
  element.ariaLive = 'off';
  return element;
}

function showLate() {
  refresh();
  probeConnection();
}
