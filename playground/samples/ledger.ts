// SPDX-License-Identifier: Apache-2.0
// The ledger: plain TCP, a line for a line. A client that half-closes gets what it is owed, then the end.
import { createServer, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { plainAddress } from './catalog.ts';

export function serveLedger(port: number): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    const client = plainAddress(socket.remoteAddress ?? '');
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket })
      // What goes wrong with the socket is told here too, and would end the program unheard.
      .on('error', () => socket.destroy())
      .on('line', (line) => socket.write(`booked ${line} from ${client}\n`))
      .on('close', () => socket.end());
  }).listen(port);
}
