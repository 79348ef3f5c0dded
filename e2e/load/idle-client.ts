// SPDX-License-Identifier: Apache-2.0
// Holds connections open and says nothing on them: idle-client.ts HOST PORT COUNT [PATH]. With a path each has asked for that
// once, and had its answer. Prints `open` when all are, `cut` when one ends.
import { connect } from 'node:net';

/** As many dials at once as fit the backlog of any listener on the way. */
const BATCH = 100;

const [host = '', port = '', count = '0', path = ''] = process.argv.slice(2);
for (let opened = 0; opened < Number(count); opened += BATCH) {
  await Promise.all(Array.from({ length: Math.min(BATCH, Number(count) - opened) }, openOne));
}
console.log('open');
setInterval(() => {}, 1 << 30);

function openOne(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => {
      if (path === '') resolve();
      else socket.once('data', () => resolve()).write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    });
    socket.once('error', reject).once('close', () => console.log('cut'));
  });
}
