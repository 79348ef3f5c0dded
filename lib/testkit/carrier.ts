// SPDX-License-Identifier: Apache-2.0
// A program that carries bytes, as the one behind a network's gateway does: it sees ciphertext and nothing else.
import type { Endpoint } from '#lib/linux/address.ts';
import type { Netns } from '#lib/linux/netns.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import type { Loop } from '#lib/loop/loop.ts';
import { Dial } from '#lib/net/dial.ts';
import { Socket } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { acceptAll, listenOn } from './relay.ts';

/** Every connection that comes to `at` inside `netns` goes on from there to `to`. */
export function carryTo(loop: Loop, at: Endpoint, netns: Netns, to: Endpoint): { readonly seen: () => number } {
  const bench = new Workbench(loop);
  let seen = 0;
  const { fd } = listenOn(at, netns.fd);
  acceptAll(loop, fd, (accepted) => {
    const client = new Socket(loop, accepted, { onSocket: () => {} });
    new Dial(loop, tcpDial(to, { netns: netns.fd, noDelay: true }), {
      onConnected: (server) => {
        seen++;
        new SocketJoin(bench, client, server, { onBytesOut: () => {}, onBytesIn: () => {}, onJoinEnd: () => {} });
      },
      onDialFailed: () => client.abort(),
    });
  });
  return { seen: () => seen };
}
