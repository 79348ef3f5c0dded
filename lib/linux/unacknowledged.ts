// SPDX-License-Identifier: Apache-2.0
// Gives Node's sockets the one option it does not offer and a client in a network that can be cut cannot do without:
// TCP_USER_TIMEOUT (tcp(7), RFC 5482). Keepalive probes are sent only while nothing waits to be acknowledged; otherwise
// TCP tries again after ever longer pauses, and what was sent during a cut arrives up to as long after it as it lasted.
import type { Socket } from 'node:net';
import { SILENCE_MS } from '#lib/kit/keepalive.ts';
import { SOL_TCP, TCP_USER_TIMEOUT } from './constants.ts';
import { setOption } from './socket.ts';

/** Has the kernel end a connection when what was sent on it has not been acknowledged for `ms`; false when it has no socket. */
export function endUnacknowledged(socket: Socket, ms = SILENCE_MS): boolean {
  const fd = descriptor(socket);
  return fd !== undefined && setOption(fd, SOL_TCP, TCP_USER_TIMEOUT, ms) === 0;
}

/** Of a socket with a connection, by TLS or not. Node has no documented way to it; one without is left as it is. */
export function descriptor(socket: Socket): number | undefined {
  const { _handle: handle } = socket as { readonly _handle?: { readonly fd?: number } | null };
  return handle?.fd !== undefined && handle.fd >= 0 ? handle.fd : undefined;
}
