// What calls the person: the title, the icon, and, if the person asked for it, a notification with a sound.

const ICON = document.querySelector('link[rel=icon]');
const ICON_PLAIN = ICON.href;
const ICON_DOT = ICON_PLAIN.replace('%3C/svg', "%3Ccircle cx='12.5' cy='3.5' r='3.5' fill='%23e02d1b'/%3E%3C/svg");
let unread = 0;                // lines said while the page was not visible
let called = 0;                // those of them that mention the person, or are private
let isNotifying = false;
let sounds = null;

/** Takes a new line of another client, which is shown. */
function announce(line) {
  if (isHushed(line)) return;
  const calls = line.mention || line.private;
  if (document.hidden) {
    unread += 1;
    if (calls) called += 1;
    showUnread();
  }
  if (calls && isNotifying && !(document.hasFocus() && !document.hidden)) notify(line);
}

function clearUnread() {
  unread = called = 0;
  showUnread();
}

function showUnread() {
  const title = roomName ? `${roomName} – pollchat` : 'pollchat';
  const calls = called ? `· @${me} · ` : '';
  document.title = unread ? `(${unread}) ${calls}${title}` : title;
  const icon = called ? ICON_DOT : ICON_PLAIN;
  if (ICON.href !== icon) ICON.href = icon;
  roomsChanged();
}

function notify({ from, text, private: isPrivate }) {
  beep();
  try {
    const notice = new Notification(`${from} ${isPrivate ? 'to you alone' : 'mentions you'}`, {
      body: text, tag: `pollchat ${roomName}`
    });
    notice.onclick = () => { focus(); notice.close() };
  } catch { /* Not here: a phone shows none, and a page without TLS may not ask. The sound remains. */ }
}

function beep() {
  try {
    sounds ??= new AudioContext();
    const [tone, gain] = [sounds.createOscillator(), sounds.createGain()];
    tone.frequency.value = 880;
    gain.gain.setValueAtTime(0.1, sounds.currentTime);
    gain.gain.exponentialRampToValueAtTime(0.001, sounds.currentTime + 0.25);
    tone.connect(gain).connect(sounds.destination);
    tone.start();
    tone.stop(sounds.currentTime + 0.25);
  } catch { /* There is no sound here. */ }
}

/** The person wants to be called, or no longer. The browser asks for the permission only now. */
async function toggleNotify() {
  setNotifying(!isNotifying);
  if (!isNotifying) return tell('');
  beep();
  const answer = await globalThis.Notification?.requestPermission?.();
  tell(answer === 'granted' ? '' : 'This browser shows no notifications here: you will hear a sound.');
}

function setNotifying(isWanted) {
  isNotifying = isWanted;
  $('notify').ariaPressed = isWanted;
  prefer('notify', isWanted);
}
