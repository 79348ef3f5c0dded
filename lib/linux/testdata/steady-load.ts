// SPDX-License-Identifier: Apache-2.0
// Keeps a few socket pairs busy through checked calls and epoll for a number of rounds, so that a slow machine does as much as a
// fast one; says WARM after a third and DONE with what it saw.
import { Arena } from '../arena.ts';
import { read, send } from '../calls.ts';
import { EPOLLET, EPOLLIN } from '../constants.ts';
import { Epoll } from '../epoll.ts';
import { EAGAIN, EINTR } from '../errno.ts';
import { streamPair } from '../message.ts';

const rounds = Number(process.argv[2]);
const interruptible = process.argv[3] === 'errno';
const arena = Arena.allocate(256 * 1024);
const epoll = new Epoll(64);
const pairs = Array.from({ length: 8 }, () => streamPair());
for (const [index, [, there]] of pairs.entries()) epoll.add(there, EPOLLIN | EPOLLET, index, 1);
const empty = streamPair();

let interrupted = 0;
let wrong = 0;
let calls = 0;

function round(n: number): void {
  for (const [index, [here]] of pairs.entries()) send(here, arena, ((n + index) & 1023) * 64, 64 + ((n * 7) & 1023));
  const events = epoll.wait(0);
  for (let at = 0; at < events; at++) {
    const [, there] = pairs[epoll.low(at)]!;
    for (let got = read(there, arena, (n & 511) * 64, 4096); got !== -EAGAIN; got = read(there, arena, (n & 511) * 64 + 9, 4096)) {
      if (got <= 0) wrong++;
    }
  }
  calls++;
  if (read(empty[0], arena, 0, 16) !== -EAGAIN) wrong++;
  if (interruptible && n % 50 === 0 && epoll.wait(2) === -EINTR) interrupted++;
}

let n = 0;
while (n < rounds / 3) round(n++);
console.log('WARM');
while (n < rounds) round(n++);
console.log(`DONE ${JSON.stringify({ interrupted, wrong, calls })}`);
