// Typed text, as it goes over the wire. Pure.

/** The characters that nobody sees before a command, as the server has them (`is_blank` in relay/command.rs). */
const BLANK = '[\\p{White_Space}\\p{DI}\\p{Cc}\\u0300-\\u036F\\u2800\\uFFFD]';

/** Text that the server would take for a command, or for one behind blanks. */
const OBEYED = new RegExp(`^${BLANK}*(?:/|(?:fin|exit)${BLANK}*$)`, 'iu');

/** A command behind blanks or invisible characters, or behind the slash of an input method. */
const DISGUISED = new RegExp(`^${BLANK}*[/\uFF0F\u2044\u2215](?=\\p{L}+(?:${BLANK}|$))`, 'u');

/** The lines of a text. A single line may be a command; several lines are pasted text, and are said as they are. */
function linesOf(text) {
  const lines = cleanLinesOf(text);
  return lines.map(lines.length === 1 ? commandOrLine : plainLine);
}

/**
 * The lines that are not blank, without what the server drops: NUL, and byte order marks at the start. Within code, blank
 * lines stay: no server relays an empty line, so they are sent as a blank.
 */
function cleanLinesOf(text) {
  const lines = text.replaceAll('\0', '').split('\n').map((line) => (line.trim() ? line.replace(/^\uFEFF+/, '') : ' '));
  const written = lines.filter(isWritten);
  if (written.length < 2 || !written.some((line) => isIndented(line) || isFence(line))) return written;
  return lines.slice(lines.findIndex(isWritten), lines.findLastIndex(isWritten) + 1);
}

const isWritten = (line) => line.trim() !== '';

/** The command that a text of one line looks like, but is not; else an empty text. */
function disguisedCommand(text) {
  const lines = cleanLinesOf(text);
  const mark = lines.length === 1 ? DISGUISED.exec(lines[0])?.[0] ?? '/' : '/';
  return mark === '/' ? '' : `/${lines[0].slice(mark.length)}`;
}

/** A line of a person. Only a slash makes a command: `exit` and `FIN` are words. */
function commandOrLine(text) {
  const isDoubled = text.startsWith('//');
  const act = /^\/me[ \t]+(.*\S)/i.exec(text)?.[1];
  if (act) return plainLine(`*${act}*`);
  const said = isDoubled ? text.slice(1) : /^\/say[ \t]([^]+)$/i.exec(text)?.[1];
  if (said !== undefined) return { own: true, text: said, wire: `${text}\n`, isCommand: false };
  if (!text.startsWith('/')) return plainLine(text);
  return {
    own: true,
    text,
    wire: `${text}\n`,
    isCommand: true,
    isGoodbye: /^\/quit([ \t]|$)/i.test(text),
    isWho: /^\/who([ \t]|$)/i.test(text),
    joins: /^\/join[ \t]+(.*\S)/i.exec(text)?.[1],
  };
}

/** A line that the server says as it is, whatever it says. */
const plainLine = (text) =>
  ({ own: true, text, wire: `${OBEYED.test(text) ? '/say ' : ''}${text}\n`, isCommand: false });

/** A line as a person would type it again. */
const typedAgain = ({ text, isCommand }) => text.startsWith('/') && !isCommand ? `/${text}` : text;

/** Distributes lines over as few WebSocket messages as the server's limit allows, in order. */
function messagesOf(lines) {
  const messages = [];
  let room = 0;
  for (const line of lines) {
    const bytes = bytesOf(line.wire);
    if (bytes > room) {
      messages.push([]);
      room = MESSAGE_BYTES_MAX;
    }
    messages.at(-1).push({ line, bytes });
    room -= bytes;
  }
  return messages;
}
