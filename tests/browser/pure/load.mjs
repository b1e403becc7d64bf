// Loads files of the page's script into a scope of their own, as the page does, but without a document.

import { readFileSync, readdirSync } from 'node:fs';

const SCRIPT = new URL('../../../src/server/web/page/script/', import.meta.url);

/** The source of a file of the script. */
export function sourceOf(file) {
  return readFileSync(new URL(file, SCRIPT), 'utf8');
}

/** The names of all files of the script. */
export function scriptFiles() {
  return readdirSync(SCRIPT).filter((file) => file.endsWith('.js'));
}

/** Evaluates files in order, and returns the values of these names. `stubs` declares what the files use of others. */
export function load(files, names, stubs = '') {
  const source = [...files.map(sourceOf), stubs].join('');
  return new Function(`'use strict';\n${source}\n${idle(source)}\nreturn { ${names.join(', ')} };`)();
}

/** Declares the handlers of the server's lines that are in files which are not loaded: they do nothing. */
function idle(source) {
  const table = /^const HANDLERS = \{$.*?^\};$/ms.exec(source)?.[0] ?? '';
  const used = new Set(Array.from(table.matchAll(/^  \w+: (?:atGate\()?(\w+)\)?,$/gm), ([, name]) => name));
  return [...used].filter((name) => !source.includes(`function ${name}(`)).map((name) => `function ${name}() {}`).join('\n');
}
