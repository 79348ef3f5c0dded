// SPDX-License-Identifier: Apache-2.0
// How a silent connection is found dead. HTTP/2 pings may not come more often than the other side allows (an Istio
// control plane: every 15 s), TCP's own probes may; and a watch has no pings at all.
import type { Socket } from 'node:net';

const PROBE = { enable: true, initialDelay: 5_000, interval: 1_000, count: 3 } as const;

/** Has the kernel end the connection 8 s after the last word of a peer that is gone without a trace. */
export function keepAlive(socket: Socket): void {
  socket.setKeepAlive(PROBE);
}
