// Reads lines of the server on stdin, and prints what the page makes of each: its kind and its fields, as JSON.
//
//   echo '* ana is now eve' | node tests/browser/pure/read-lines.mjs     {"kind":"renamed","from":"ana","to":"eve"}

import { createInterface } from 'node:readline';

import { load } from './load.mjs';

const { readLine } = load(['notice.js'], ['readLine']);

for await (const line of createInterface({ input: process.stdin, crlfDelay: 0 })) {
  const { notice, ...read } = readLine(line);
  console.log(JSON.stringify(read));
}
