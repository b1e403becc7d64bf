// What the person types, presses and clicks; and the start of the page.

let sent = '';                 // the text that was sent last, without secrets; the up arrow brings it back

function submitDraft() {
  const text = $('draft').value;
  if (text.trim() === '' || askAbout(text)) return;
  sendDraft(text);
}

/** Sends the draft, read as `text`. Keeps it if it cannot be sent. */
function sendDraft(text) {
  const secret = secretOf(text) ?? ownNameIn(text);
  const problem = secret ? sayInSecret(secret) : say(text);
  showProblem(problem);
  if (problem) return;
  dropQuestion();
  sent = hasSecret($('draft').value) ? '' : $('draft').value;
  $('draft').value = '';
  goToEnd();
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
  $('draft').focus();
}

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  submitDraft();
  $('draft').focus();
});

$('draft').addEventListener('keydown', (event) => {
  // While an input method composes a word (Chinese, Japanese, Korean), Enter accepts the word.
  if (event.isComposing || event.keyCode === 229) return;
  if (event.key === 'Enter' && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
    submitDraft();
  } else if (event.key === 'ArrowUp' && $('draft').value === '') {
    $('draft').value = sent;
  } else if (event.key === 'PageUp' || event.key === 'PageDown') {
    log.scrollBy(0, (event.key === 'PageUp' ? -0.9 : 0.9) * log.clientHeight);
  } else {
    return;
  }
  event.preventDefault();
});

$('draft').addEventListener('input', dropQuestion);
$('as-text').addEventListener('click', () => answerQuestion($('draft').value));
$('as-command').addEventListener('click', () => answerQuestion(disguisedCommand($('draft').value) || $('draft').value));

$('door').addEventListener('submit', (event) => {
  event.preventDefault();
  if (state === 'off') return connect();
  wish();
  if (state === 'waiting') openSocket();
  $('draft').focus();
});

$('gate').addEventListener('submit', (event) => {
  event.preventDefault();
  takeWord($('password').value);
});

$('disconnect').addEventListener('click', () => {
  leave('Not connected: you left');
  $('connect').focus();
});

$('name').addEventListener('input', () => { offerToken(); markName(true) });
$('server').addEventListener('input', () => { offerToken(); $('server').ariaInvalid = false });
$('who').addEventListener('click', () => openPeople($('people').hidden));
$('end').addEventListener('click', () => { goToEnd(); $('draft').focus() });
$('again').addEventListener('click', sendAgain);
$('forget').addEventListener('click', forgetUnsent);

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing) return;
  if (!$('people').hidden) {
    openPeople(false);
    $('who').focus();
  } else {
    goToEnd();
    $('draft').focus();
  }
});

document.addEventListener('visibilitychange', () => {
  // No later event is sure to reach a page that is reloaded, put away or closed.
  if (document.hidden) return storeTab();
  clearUnread();
  lookAgain();
});
addEventListener('pagehide', putAway);
// The browser kept the page for a way back, without its connection. The tab may have been in another room since.
addEventListener('pageshow', ({ persisted }) => { if (persisted && state !== 'off') location.reload() });
addEventListener('online', lookAgain);
addEventListener('hashchange', followLink);
visualViewport.addEventListener('resize', () => {
  // Safari lays a phone's keyboard over the page. A zoomed page keeps its height.
  document.body.style.height = visualViewport.scale === 1 ? `${visualViewport.height}px` : '';
});

const tab = storedTab();
$('server').value = tab.server ?? ownAddress(location);
$('name').value = tab.name ?? '';
$('draft').value = tab.draft ?? '';
restorePassword(tab.password);
restoreToken(tab.owned);
const isLinked = openLink();
offerToken();
$(tab.isIn ? 'draft' : isLinked ? 'connect' : 'name').focus();
showState();
aim();
restoreSessionOf(tab);
restoreUnsent(linesKept(tab.unsent));
if (tab.isIn) resume(tab.isHere);
if (isLinked) storeTab();
