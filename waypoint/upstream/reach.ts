// SPDX-License-Identifier: Apache-2.0
// The ways to an endpoint: a plain connection, a tunnel to its node, or either to whatever address its host name has when a
// connection is wanted. What is spoken on the connection, TLS to the server among it, is the member's business.
import { HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { identityOf, type Workload } from '#lib/mesh/workload.ts';
import { dialTcp } from '#lib/net/http/dial-tcp.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import type { Runtime } from '../worker/runtime.ts';
import { dialNamed, type NamedDialler } from './dial-named.ts';

export interface Reach {
  /** Ways of equal keys are one way: connections made by the one serve the other. */
  readonly key: string;
  /** `ip:port`, or `name:port` while only the name is known. */
  readonly address: string;
  /** By a tunnel, so that the other end proves who it is. */
  readonly tunnelled: boolean;
  connect(timeoutMs: number, outcome: DialOutcome): Dialling;
}

/** What is to be reached. */
export interface Place {
  readonly workload: Workload;
  readonly port: number;
  /** Identities accepted beside the workload's own. */
  readonly names: readonly string[];
}

/** undefined for a workload that has neither address nor name. */
export function reachOf(runtime: Runtime, place: Place): Reach | undefined {
  const { hostname, addresses } = place.workload;
  const ip = addresses[0];
  if (ip !== undefined) return reachAt(runtime, place, ip);
  return hostname === '' ? undefined : reachByName(runtime, place, hostname);
}

export function reachAt(runtime: Runtime, { names, port, workload }: Place, ip: Ip): Reach {
  const address = ip.withPort(port);
  if (workload.protocol !== 'hbone') {
    const { bench, dialOptions } = runtime;
    const endpoint = endpointOf(ip, port);
    const connect = (timeoutMs: number, outcome: DialOutcome): Dialling =>
      dialTcp(bench, endpoint, dialOptions, timeoutMs, outcome);
    return { key: address, address, tunnelled: false, connect };
  }
  const endpoint = endpointOf(ip, HBONE_PORT);
  const expected = [identityOf(workload).uri, ...names];
  const far = { key: `${expected.join(' ')} ${endpoint}`, endpoint, expected };
  const connect = (timeoutMs: number, outcome: DialOutcome): Dialling =>
    runtime.tunnels.connect(far, address, timeoutMs, outcome);
  return { key: `${far.key} ${address}`, address, tunnelled: true, connect };
}

/** Any of the addresses that the name has by then. */
function reachByName(runtime: Runtime, place: Place, hostname: string): Reach {
  const { port, workload } = place;
  const address = `${hostname}:${port}`;
  return {
    key: `name ${address}`,
    address,
    tunnelled: workload.protocol === 'hbone',
    connect: (timeoutMs, outcome) => {
      const dial: NamedDialler = (ip, inner) => reachAt(runtime, place, ip).connect(timeoutMs, inner);
      return dialNamed(runtime.names, hostname, ownFamily(runtime), dial, outcome);
    },
  };
}

/** Of this proxy: servers that have addresses of both are reached by it. */
export function ownFamily({ settings }: Runtime): 4 | 6 {
  return settings.ip.includes(':') ? 6 : 4;
}
