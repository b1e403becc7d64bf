// Where the log is scrolled to. It follows its end until the person scrolls up.

const log = $('log');
let follows = true;
let logTop = 0;        // where the log was scrolled to
let logSize = '';      // the size of the log when its end was last brought into view
let newLines = 0;      // below what is in view

function countNew({ text, own }) {
  if (!follows && text !== undefined && !own) newLines += 1;
}

function stayAtEnd() {
  log.scrollTop = log.scrollHeight;
  logTop = log.scrollTop;
}

function goToEnd() {
  follows = true;
  trim();
  stayAtEnd();
  showEnd();
}

function showEnd() {
  if (follows) newLines = 0;
  $('end').hidden = follows;
  roomsChanged();
  $('end').textContent = newLines ? `↓ ${count(newLines, 'new line')}` : '↓ To the end';
}

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 32;

const sizeOfLog = () => `${log.offsetWidth} ${log.offsetHeight}`;

on(log, 'scroll', () => {
  // The browser itself scrolls when the size changes, as when a phone is turned. The end comes back into view below.
  if (follows && sizeOfLog() !== logSize) return;
  // New lines move the end away from the view; only scrolling up moves the view away from the end.
  follows = isAtEnd() || (follows && log.scrollTop >= logTop);
  logTop = log.scrollTop;
  showEnd();
}, { passive: true });

new ResizeObserver(() => {
  logSize = sizeOfLog();
  if (follows) goToEnd();
}).observe(log, { box: 'border-box' });
