// Typed text, as it goes over the wire. Pure.

const GOODBYE = /^(fin|exit|\/quit([ \t].*)?)$/i;
const LEAVING_WORD = /^(fin|exit)$/i;

/** The lines of a text. A single line may be a command; several lines are pasted text, and are said as they are. */
function linesOf(text) {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map(lines.length === 1 ? commandOrLine : plainLine);
}

function commandOrLine(text) {
  return {
    own: true,
    text: text.replace(/^\/\//, '/'),
    wire: `${text}\n`,
    isCommand: /^\/(?!\/)/.test(text) || LEAVING_WORD.test(text),
    isGoodbye: GOODBYE.test(text),
    isWho: /^\/who([ \t]|$)/i.test(text),
  };
}

/** A line that the server takes for no command, whatever it says. */
function plainLine(text) {
  const wire = text.startsWith('/') ? `/${text}` : LEAVING_WORD.test(text) ? `${text} ` : text;
  return { own: true, text, wire: `${wire}\n`, isCommand: false };
}

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
