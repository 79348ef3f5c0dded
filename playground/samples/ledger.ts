// SPDX-License-Identifier: Apache-2.0
// The ledger: plain TCP, a line for a line. A client that half-closes gets what it is owed, then the end.
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { plainAddress } from './catalog.ts';

export function serveLedger(port: number): void {
  createServer({ allowHalfOpen: true }, (socket) => {
    const client = plainAddress(socket.remoteAddress ?? '');
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket })
      .on('line', (line) => socket.write(`booked ${line} from ${client}\n`))
      .on('close', () => socket.end());
  }).listen(port);
}
