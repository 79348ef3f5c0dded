// SPDX-License-Identifier: Apache-2.0
// How a silent connection is found dead. HTTP/2 pings may not come more often than the other side allows (an Istio
// control plane: every 15 s), TCP's own probes may; and a watch has no pings at all. They are sent only while nothing
// waits to be acknowledged: what is sent on a dead link needs a limit of its own (lib/linux/unacknowledged.ts).
import type { Socket } from 'node:net';

const PROBE = { enable: true, initialDelay: 5_000, interval: 1_000, count: 3 } as const;

/** How long after the last word of a peer that is gone without a trace its connection ends. */
export const SILENCE_MS = PROBE.initialDelay + PROBE.count * PROBE.interval;

/** Has the kernel end the connection SILENCE_MS after the last word of a peer that is gone without a trace. */
export function keepAlive(socket: Socket): void {
  socket.setKeepAlive(PROBE);
}
