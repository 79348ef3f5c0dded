// SPDX-License-Identifier: Apache-2.0
// A data-plane process for tests: answers messages, counts, logs, and misbehaves on request.
import { EPOLLIN } from '#lib/linux/constants.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { Arena } from '#lib/linux/arena.ts';
import { accept, read, send } from '#lib/linux/calls.ts';
import { EAGAIN } from '#lib/linux/errno.ts';
import { localAddress, tcpListen } from '#lib/linux/socket.ts';
import { decodeJson } from '../channel.ts';
import { LINE_KINDS } from '../shared/log-ring.ts';
import { StoreReader } from '../shared/store-reader.ts';
import { runWorker, type WorkerContext, type WorkerProgram, workerArgument } from '../worker.ts';
import type { Slot } from '../loop.ts';

type Order =
  | { readonly kind: 'echo'; readonly value: unknown }
  | { readonly kind: 'spin' }
  | { readonly kind: 'throw' }
  | { readonly kind: 'write-store' }
  | { readonly kind: 'listen'; readonly port: number }
  | { readonly kind: 'stop' };

const arena = Arena.allocate(65536);

function program(context: WorkerContext): WorkerProgram {
  const { channel, log, counters, recorder, loop, vitals } = context;
  const slot = counters.allocate();
  const store = context.memory['store'] === undefined ? undefined : StoreReader.open(context.memory['store']);
  let connections = 0;
  return {
    onMessage(bytes, fds) {
      const order = decodeJson(bytes) as Order;
      counters.add(slot, 1);
      recorder.note(loop.now, 16, connections, fds.length);
      if (order.kind === 'echo') {
        log.write(LINE_KINDS.access, `echo ${JSON.stringify(order.value)}`);
        channel.sendJson({ index: context.index, pid: process.pid, value: order.value, store: store?.read('a')?.toString() }, fds);
      }
      if (order.kind === 'spin') for (;;) if (performance.now() < 0) break;
      if (order.kind === 'throw') throw new Error('thrown on request');
      if (order.kind === 'write-store') store!.value = poke(context.memory['store']!);
      if (order.kind === 'stop') context.stop();
      if (order.kind === 'listen') {
        const fd = tcpListen(Endpoint.parse('127.0.0.1', order.port)!, { reusePort: true });
        loop.add(
          fd,
          {
            onReady() {
              for (let made = accept(fd); made >= 0; made = accept(fd)) {
                vitals.setConnections(++connections);
                const peer = made;
                let own: Slot | undefined;
                own = loop.add(made, {
                  onReady() {
                    for (;;) {
                      const n = read(peer, arena, 0, arena.size);
                      if (n === -EAGAIN) return;
                      if (n <= 0) {
                        vitals.setConnections(--connections);
                        return loop.remove(own!);
                      }
                      send(peer, arena, 0, n);
                    }
                  },
                });
              }
            },
          },
          EPOLLIN,
        );
        const at = new Endpoint();
        localAddress(fd, at);
        channel.sendJson({ listening: at.port, pid: process.pid });
      }
    },
    onMainGone() {
      recorder.note(loop.now, 17, 0);
    },
  };
}

/** Maps the store's memory, which a worker may only read, and writes to it: the process must die. */
function poke(fd: number): Buffer {
  const mapped = Arena.map(fd, 64, { writable: false });
  mapped.bytes[32] = 1;
  return mapped.bytes;
}

const argument = workerArgument(process.argv);
if (argument) process.exit(runWorker(argument, program));
