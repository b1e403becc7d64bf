// The rules between days: `Today`, `Yesterday`, `Tuesday`, or the date.

const DAY = { weekday: 'long', day: 'numeric', month: 'long' };
const weekday = new Intl.DateTimeFormat([], { weekday: 'long' });
const calendar = new Intl.DateTimeFormat([], DAY);
const calendarOfYears = new Intl.DateTimeFormat([], { ...DAY, year: 'numeric' });
let lastDay = 0;               // of the line above the next one: days since some day
let today = dayOf(Date.now()); // as the rules in the log have it

/** Adds a rule if the line is the first of its day. Returns whether it did. */
function addDay(fragment, at) {
  const day = dayOf(at);
  if (dayOf(Date.now()) !== today) renameDays();
  const isOther = (lastDay || today) !== day;
  lastDay = day;
  if (isOther) {
    const rule = make('p', 'rule day', nameOfDay(at));
    rule.dataset.at = at;
    fragment.append(rule);
  }
  return isOther;
}

/** At midnight, `Today` becomes `Yesterday`. */
function renameDays() {
  today = dayOf(Date.now());
  for (const rule of log.querySelectorAll('.day')) rule.textContent = nameOfDay(Number(rule.dataset.at));
}

function dayOf(at) {
  const date = new Date(at);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / (24 * 3600 * SECOND));
}

function nameOfDay(at) {
  const ago = today - dayOf(at);
  if (ago >= 0 && ago < 7) return ['Today', 'Yesterday'][ago] ?? weekday.format(at);
  return (new Date(at).getFullYear() === new Date().getFullYear() ? calendar : calendarOfYears).format(at);
}
