// What the person types, presses and clicks; and the start of the page.

const recall = new Recall();
let completion = null;         // { text, caret, from, options, at } of the completion that stands in the draft

function submitDraft() {
  const text = draft.value;
  if (text.trim() === '' || (!aside && askAbout(text))) return;
  sendDraft(text);
}

/** Sends the draft, read as `text`. Keeps it if it cannot be sent. */
function sendDraft(text) {
  const problem = problemOfSending(text);
  showProblem(problem);
  if (problem) return;
  dropQuestion();
  if (!hasSecret(draft.value)) recall.add(recalled(draft.value));
  draft.value = '';
  goToEnd();
}

/** A text as the arrow up brings it back: one that was told to a client alone is never said to all. */
function recalled(text) {
  if (!aside || text.startsWith('/')) return text;
  return text.includes('\n') ? '' : `/msg ${aside} ${text}`;
}

function problemOfSending(text) {
  if (/^\/help[ \t]*$/i.test(text)) return openHelp() ?? '';
  if (obeyIgnore(text)) return '';
  const secret = secretOf(text) ?? ownNameIn(text);
  if (secret) return sayInSecret(secret);
  return aside ? sayAside(text) : say(text);
}

/** Puts the completion of the word before the caret into the draft, and the next one if the key is pressed again. */
function complete() {
  const isAgain = completion?.text === draft.value && completion.caret === draft.selectionStart;
  const { from, options, at, caret } = isAgain ? completion : {
    at: -1, caret: draft.selectionStart, ...completionsOf(draft.value, draft.selectionStart, namesToComplete()),
  };
  if (options.length === 0) return false;
  const next = (at + 1) % options.length;
  draft.setRangeText(options[next], from, isAgain ? caret : draft.selectionStart, 'end');
  completion = { from, options, at: next, text: draft.value, caret: draft.selectionStart };
  return true;
}

/** The names in the room, those that spoke last first. */
function namesToComplete() {
  const speakers = newest.filter(({ from, own }) => from && !own).map(({ from }) => from).reverse();
  return [...new Set([...speakers.filter((name) => roster.names.has(name)), ...roster.names])].filter((name) => name !== me);
}

/** Obeys a command with a secret as the form would: the line is neither shown nor kept. */
function sayInSecret({ word, name, token }) {
  if (!isOn()) return 'Not connected: your text stays here.';
  if (word) {
    ask(`/pass ${word}`);
    return '';
  }
  $('name').value = name;
  $('token').value = token;
  wish();
  return '';
}

function answerQuestion(text) {
  sendDraft(text);
  draft.focus();
}

onSubmit('composer', () => {
  submitDraft();
  draft.focus();
});

on('draft', 'keydown', (event) => {
  // While an input method composes a word (Chinese, Japanese, Korean), Enter accepts the word.
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
    submitDraft();
  } else if (event.key === 'Tab' && !event.shiftKey) {
    if (!complete()) return;
  } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
    const text = recall.go(event.key === 'ArrowUp' ? -1 : 1, draft.value);
    if (text === null) return;
    draft.value = text;
  } else if (event.key === 'PageUp' || event.key === 'PageDown') {
    log.scrollBy(0, (event.key === 'PageUp' ? -0.9 : 0.9) * log.clientHeight);
  } else {
    return;
  }
  event.preventDefault();
});

on('draft', 'input', dropQuestion);
on('as-text', 'click', () => answerQuestion(draft.value));
on('as-command', 'click', () => answerQuestion(disguisedCommand(draft.value) || draft.value));

onSubmit('door', () => {
  if (state === 'off') return connect();
  wish();
  if (state === 'waiting') openSocket();
  draft.focus();
});

onSubmit('gate', () => {
  takeWord($('password').value);
});

on('disconnect', 'click', () => {
  leave('Not connected: you left');
  $('connect').focus();
});

on('name', 'input', () => { offerToken(); markName(true) });
on('server', 'input', () => { offerToken(); $('server').ariaInvalid = false });
on('who', 'click', () => openPeople($('people').hidden));
on('close-people', 'click', () => { openPeople(false); $('who').focus() });
on('seek', 'input', seek);
on(isWide, 'change', fitPeople);
for (const use of ['keydown', 'pointerdown', 'pointermove', 'wheel']) on(document, use, noticeUse, {
  passive: true
});
on('end', 'click', () => { goToEnd(); draft.focus() });
on('again', 'click', sendAgain);
on('forget', 'click', forgetUnsent);

on(document, 'keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing || $('help').open) return;
  if (isMenuOpen() || $('rooms').classList.contains('open')) {
    openMenu(false);
    openRooms(false);
    $('more').focus();
  } else if (!$('people').hidden && !isWide.matches) {
    openPeople(false);
    $('who').focus();
  } else {
    goToEnd();
    draft.focus();
  }
});

on(document, 'visibilitychange', () => {
  // No later event is sure to reach a page that is reloaded, put away or closed.
  if (document.hidden) return storeTab();
  clearUnread();
  lookAgain();
});
on(window, 'pagehide', putAway);
// The browser kept the page for a way back, without its connection. The tab may have been in another room since.
on(window, 'pageshow', ({ persisted }) => { if (persisted && state !== 'off') location.reload() });
on(window, 'online', lookAgain);
on(window, 'hashchange', followLink);
on(visualViewport, 'resize', () => {
  // Safari lays a phone's keyboard over the page. A zoomed page keeps its height.
  document.body.style.height = visualViewport.scale === 1 ? `${visualViewport.height}px` : '';
});

const tab = storedTab();
$('server').value = tab.server ?? ownAddress(location);
const guest = tab.isIn && tab.isHere ? '' : nameInQuery(location.search);
$('name').value = guest || (tab.name ?? '');
draft.value = tab.draft ?? '';
restoreAside(tab.aside);
restoreIgnored(tab.ignored);
restoreRooms(tab.rooms);
restorePassword(tab.password);
restoreToken(tab.owned);
const isLinked = openLink();
offerToken();
setQuiet(isPreferred('quiet'));
setNotifying(isPreferred('notify'));
fitPeople();
$(tab.isIn ? 'draft' : isLinked || guest ? 'connect' : 'name').focus();
showState();
aim();
restoreSessionOf(tab);
restoreUnsent(linesKept(tab.unsent));
if (tab.isIn) resume(tab.isHere);
if (isLinked) storeTab();
