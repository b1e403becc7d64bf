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
  return new Function(`'use strict';\n${source}\nreturn { ${names.join(', ')} };`)();
}
