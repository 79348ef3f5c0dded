// SPDX-License-Identifier: Apache-2.0
// The listeners of one pod, inside its network namespace: 15008 for tunnels, 15006 and 15001 for what the pod's rules redirect,
// DNS in ztunnel/dns. Options are set on the listener: the kernel hands them down to what it accepts.

import { AmbitError, describeError } from '#lib/kit/error.ts';
import { Endpoint } from '#lib/linux/address.ts';
import { close as closeFd } from '#lib/linux/calls.ts';
import { type ListenOptions, localAddress, originalDestination, resetOnClose, tcpListen } from '#lib/linux/socket.ts';
import { migrateListeners } from '#lib/linux/sysctl.ts';
import { type AcceptHandler, Acceptor } from '#lib/loop/acceptor.ts';
import type { RateLimit } from '#lib/loop/rate-limit.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { Socket } from '#lib/net/socket.ts';
import { dnsOptionsOf } from '../dns/options.ts';
import { DnsServer } from '../dns/server.ts';
import { HboneServer } from '../inbound/hbone.ts';
import { InboundPlain } from '../inbound/plain.ts';
import { OutboundConnection } from '../outbound/connection.ts';
import { ExplicitConnection } from './explicit.ts';
import type { Pod } from './pod.ts';

const BACKLOG = 4096;

type OnConnection = AcceptHandler['onConnection'];

export class PodListeners {
  readonly #open: { close(): void }[] = [];
  readonly #hbone: HboneServer;

  /** Opens all of them, or none. Throws SYSCALL_* with the endpoint. */
  constructor(pod: Pod) {
    const { settings } = pod.runtime;
    const { explicitPort, ports } = settings;
    migrate(pod);
    this.#hbone = new HboneServer(pod);
    try {
      if (settings.dns.enabled && pod.info.self !== true) this.#open.push(new DnsServer(pod));
      this.#listen(pod, ports.hbone, false, (fd, peer) => this.#hbone.onConnection(fd, peer, false));
      if (pod.info.self === true) return;
      this.#listen(pod, ports.inbound, true, acceptor(pod, InboundPlain));
      this.#listen(pod, ports.outbound, true, acceptor(pod, OutboundConnection));
      if (explicitPort !== 0) this.#listen(pod, explicitPort, false, explicitAcceptor(pod), '127.0.0.1');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  onTunnel(fd: number, peer: Endpoint): void {
    this.#hbone.onConnection(fd, peer, true);
  }

  close(): void {
    for (const one of this.#open.splice(0)) one.close();
  }

  #listen(pod: Pod, port: number, keepAlive: boolean, onConnection: OnConnection, ip?: string): void {
    const { runtime } = pod;
    const at = Endpoint.parse(ip ?? (runtime.settings.ipv6 ? '::' : '0.0.0.0'), port)!;
    const options: ListenOptions = {
      netns: pod.netns?.fd,
      mark: runtime.settings.mark,
      reusePort: runtime.settings.reusePort,
      noDelay: true,
      backlog: BACKLOG,
      ...(keepAlive && runtime.dialOptions.keepAlive !== undefined ? { keepAlive: runtime.dialOptions.keepAlive } : {}),
    };
    const fd = listenTransparently(pod, at, options);
    const onRefused = (reason: string) => runtime.telemetry.count('ambit_connections_refused_total', { reason });
    const limit = port === runtime.settings.ports.hbone ? pod.handshakes : pod.newConnections;
    const limited = limit === null ? onConnection : within(limit, pod, onConnection, onRefused);
    this.#open.push(new Acceptor(runtime.loop, fd, { onConnection: limited, onRefused }, runtime.admission));
  }
}

/** A pod that is flooded, or floods, is cut short at the door, before anything is spent on it. */
function within(
  limit: RateLimit,
  { runtime }: Pod,
  onConnection: OnConnection,
  onRefused: (reason: string) => void,
): OnConnection {
  return (fd, peer) => {
    if (limit.take(runtime.loop.now)) {
      onConnection(fd, peer);
      return;
    }
    resetOnClose(fd);
    closeFd(fd);
    runtime.admission.leave();
    onRefused('rate');
  };
}

/** So that a proxy that goes hands its waiting connections to the one that comes (trap 23); an old kernel cannot. */
function migrate(pod: Pod): void {
  if (pod.netns === null) return;
  try {
    migrateListeners(pod.netns);
  } catch (error) {
    pod.runtime.telemetry.message('debug', 'connections that wait at a listener are lost when it closes', {
      error: describeError(error),
    });
  }
}

/** With IP_TRANSPARENT where the kernel lets us: without it clients' addresses cannot be kept. */
function listenTransparently(pod: Pod, at: Endpoint, options: ListenOptions): number {
  const { originalSource } = pod.runtime.settings;
  if (originalSource === 'off' || !pod.keepsSource) return tcpListen(at, options);
  try {
    return tcpListen(at, { ...options, transparent: true });
  } catch (error) {
    const denied = error instanceof AmbitError && error.code === 'SYSCALL_EPERM';
    if (!denied || originalSource === 'required') throw error;
    pod.keepsSource = false;
    return tcpListen(at, options);
  }
}

type Captured = new (
  pod: Pod,
  socket: Socket,
  source: { readonly ip: Ip; readonly port: number },
  ip: Ip,
  port: number,
) => { begin(): void; onSocket(socket: Socket): void };

/** Takes what was redirected: where it came from, where it was going, and a connection object that sees to the rest. */
function acceptor(pod: Pod, connection: Captured): OnConnection {
  const destination = new Endpoint();
  return (fd, peer) => {
    if (originalDestination(fd, destination) < 0 && localAddress(fd, destination) < 0) {
      closeFd(fd);
      pod.runtime.admission.leave();
      return;
    }
    const socket = new Socket(pod.runtime.loop, fd, NOBODY);
    const { ips } = pod.runtime;
    const source = { ip: ips.of(peer), port: peer.port };
    const made = new connection(pod, socket, source, ips.of(destination), destination.port);
    socket.owner = made;
    made.begin();
  };
}

/** Takes what an application of the pod dialled knowingly. */
function explicitAcceptor(pod: Pod): OnConnection {
  const dns = dnsOptionsOf(pod.runtime.settings);
  return (fd, peer) => {
    const socket = new Socket(pod.runtime.loop, fd, NOBODY);
    const made = new ExplicitConnection(pod, socket, { ip: pod.runtime.ips.of(peer), port: peer.port }, dns);
    socket.owner = made;
    made.begin();
  };
}

const NOBODY = { onSocket: () => {} };
