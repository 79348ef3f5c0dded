// SPDX-License-Identifier: Apache-2.0
// A plain TCP connection as a link.
import { Endpoint } from '#lib/linux/address.ts';
import { errnoName } from '#lib/linux/errno.ts';
import { type DialOptions, localAddress, tcpDial } from '#lib/linux/socket.ts';
import { Dial, type DialOwner } from '../dial.ts';
import type { Socket } from '../socket.ts';
import type { HttpBench } from './bench.ts';
import { NOBODY } from './link.ts';
import { SocketLink } from './socket-link.ts';
import type { Dialling, DialOutcome } from './upstream.ts';

const NOT_BEGUN: Dialling = Object.freeze({ cancel() {} });
const scratch = new Endpoint();

export function dialTcp(
  bench: HttpBench,
  to: Endpoint,
  options: DialOptions,
  timeoutMs: number,
  outcome: DialOutcome,
): Dialling {
  const fd = tcpDial(to, options);
  if (fd >= 0) return new Dial(bench.loop, fd, new TcpAttempt(bench, outcome), timeoutMs);
  outcome.onNoLink(errnoName(fd));
  return NOT_BEGUN;
}

class TcpAttempt implements DialOwner {
  readonly #bench: HttpBench;
  readonly #outcome: DialOutcome;

  constructor(bench: HttpBench, outcome: DialOutcome) {
    this.#bench = bench;
    this.#outcome = outcome;
  }

  onConnected(socket: Socket): void {
    const local = localAddress(socket.fd, scratch) < 0 ? '' : scratch.toString();
    this.#outcome.onLink(new SocketLink(this.#bench, socket, NOBODY), local);
  }

  onDialFailed(errno: number): void {
    this.#outcome.onNoLink(errnoName(errno));
  }
}
