// Private mode: until the person ends it, what is typed goes to one client alone.

let aside = '';                // the name of that client; empty while the person talks to all
let isAsideGone = false;       // whether that client has left

function talkAside(name) {
  aside = name;
  isAsideGone = false;
  $('chip').hidden = name === '';
  put('chip-name', name);
  $('composer').classList.toggle('aside', name !== '');
  draft.placeholder = name ? `Message to ${name} alone` : 'Message';
  draft.focus();
}

/** Goes on as an earlier load of the page: nothing that was typed for one client goes to all. */
function restoreAside(kept) {
  if (!isArray(kept) || !isText(kept[0]) || !kept[0]) return;
  talkAside(kept[0]);
  if (kept[1]) endAside(kept[0]);
}

/** A client of the room has another name. */
function followAside(from, to) {
  if (from === aside) talkAside(to);
}

/** That client has left: the next of its name is perhaps another person, and nothing goes to all unasked. */
function endAside(name) {
  if (aside === '' || (name !== undefined && name !== aside)) return;
  isAsideGone = name !== undefined;
  if (isAsideGone) put('chip-name', `${aside} (gone)`);
  else talkAside('');
}

/** Says each line to that client. */
function sayAside(text) {
  // The server takes no private line without a text.
  const lines = cleanLinesOf(text).filter(isWritten);
  if (lines.length === 1 && text.startsWith('/') && !text.startsWith('//')) return say(text);
  if (isAsideGone) return `${aside} is gone: end the private talk to send to all.`;
  return sayLines(lines.map((line) => commandOrLine(`/msg ${aside} ${line.replace(/^\/\//, '/')}`)));
}

on('public', 'click', () => { showProblem(''); talkAside('') });
