// SPDX-License-Identifier: Apache-2.0
// What a checked call costs over a bare one, and what the system calls themselves cost: node lib/linux/calls.bench.ts
import { bench, do_not_optimize, run } from 'mitata';
import { Endpoint, readSockaddr, writeSockaddr } from './address.ts';
import { Arena } from './arena.ts';
import { read, send } from './calls.ts';
import { Epoll } from './epoll.ts';
import { errnoCell, libc } from './ffi.ts';
import { streamPair } from './message.ts';
import { getOption } from './socket.ts';

const arena = Arena.allocate(256 * 1024);
const [a, b] = streamPair();
const epoll = new Epoll(16);
epoll.add(b, 1, 0, 0);
const endpoint = Endpoint.parse('10.0.0.1', 80)!;
let offset = 0;

bench('errno', () => do_not_optimize(errnoCell[0]));
bench('bare read, would block', () => do_not_optimize(libc.read(b, arena.pointer, 4096)));
bench('checked read, would block', () => do_not_optimize(read(b, arena, 0, 4096)));
bench('checked read at changing aligned offsets', () => {
  offset = (offset + 64) & 0x1ffff;
  do_not_optimize(read(b, arena, offset, 4096));
});
bench('checked read at changing odd offsets', () => {
  offset = (offset + 9) & 0x1ffff;
  do_not_optimize(read(b, arena, offset, 4096));
});
bench('send and read 64 bytes', () => {
  send(a, arena, 0, 64);
  do_not_optimize(read(b, arena, 4096, 4096));
});
bench('epoll_wait, nothing there', () => do_not_optimize(epoll.wait(0)));
bench('getsockopt', () => do_not_optimize(getOption(a, 1, 3)));
bench('sockaddr there and back', () => {
  writeSockaddr(arena, 0, endpoint);
  do_not_optimize(readSockaddr(arena, 0, endpoint));
});

await run();
