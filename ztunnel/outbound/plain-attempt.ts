// SPDX-License-Identifier: Apache-2.0
// Plain TCP: to what is not in the mesh, or to a workload that speaks no HBONE.
import { errnoName } from '#lib/linux/errno.ts';
import { tcpDial } from '#lib/linux/socket.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { PlainVerdict } from '#lib/mesh/verdict.ts';
import { Dial, type DialOwner } from '#lib/net/dial.ts';
import type { Socket } from '#lib/net/socket.ts';
import { SocketJoin } from '#lib/net/socket-join.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import type { Attempt, AttemptOwner, Captured } from './attempt.ts';
import { outboundRecord } from './record.ts';

export class PlainAttempt implements Attempt, DialOwner {
  readonly #captured: Captured;
  readonly #owner: AttemptOwner;
  readonly #verdict: PlainVerdict;
  readonly #ip: Ip;
  #dial: Dial | null = null;

  constructor(captured: Captured, owner: AttemptOwner, verdict: PlainVerdict, ip: Ip) {
    this.#captured = captured;
    this.#owner = owner;
    this.#verdict = verdict;
    this.#ip = ip;
  }

  begin(): void {
    const { pod, ledger } = this.#captured;
    const { runtime } = pod;
    const { target, workload, service } = this.#verdict;
    const to = endpointOf(this.#ip, target.port);
    const farEnd = workload === undefined ? undefined : runtime.memory.of(workload);
    ledger.open(outboundRecord(this.#captured, 'none', to.toString(), '', farEnd, service));
    const fd = tcpDial(to, pod.dialOptions);
    if (fd < 0) this.onDialFailed(-fd);
    else this.#dial = new Dial(runtime.loop, fd, this, runtime.settings.connectTimeoutMs);
  }

  onConnected(socket: Socket): void {
    this.#dial = null;
    const { pod, socket: client, ledger } = this.#captured;
    this.#owner.onJoined(new SocketJoin(pod.runtime.bench, client, socket, ledger));
  }

  onDialFailed(errno: number): void {
    this.#dial = null;
    this.#owner.onAttemptFailed('CONNECT', `connection failed: ${errnoName(errno)}`, this.#verdict.workload);
  }

  cancel(): void {
    this.#dial?.cancel();
    this.#dial = null;
  }
}
