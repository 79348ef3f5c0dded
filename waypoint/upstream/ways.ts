// SPDX-License-Identifier: Apache-2.0
// The ways to an endpoint: a plain connection, a tunnel to its node, either to whatever address its host name has when a connection
// is wanted; to another network through its gateway. What is spoken on the connection, TLS to the server among it, is the
// member's business.
import type { KeepAlive } from '#lib/linux/socket.ts';
import { HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import type { ConnectionPool, Keepalive } from '#lib/mesh/http/traffic-policy.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import type { Service } from '#lib/mesh/service.ts';
import { identityOf, type Workload } from '#lib/mesh/workload.ts';
import { dialTcp } from '#lib/net/http/dial-tcp.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import type { Runtime } from '../worker/runtime.ts';
import { reachAcross } from './across.ts';
import { dialNamed } from './dial-named.ts';

export interface Reach {
  /** Ways of equal keys are one way: connections made by the one serve the other. */
  readonly key: string;
  /** `ip:port`, or `name:port` while only the name is known. */
  readonly address: string;
  /** By a tunnel, so that the other end proves who it is. */
  readonly tunnelled: boolean;
  /** Who is expected there; '' where nobody proves anything, or any of several may. */
  readonly principal: string;
  connect(pool: ConnectionPool, outcome: DialOutcome): Dialling;
}

/** What is to be reached. */
export interface Place {
  readonly workload: Workload;
  readonly port: number;
  /** The service that it is an endpoint of, and the service's port; null for a workload that was addressed itself. */
  readonly service: Service | null;
  readonly servicePort: number;
}

/** undefined for a workload to which there is no way. */
export function reachOf(runtime: Runtime, place: Place): Reach | undefined {
  const { addresses, hostname, network } = place.workload;
  const ip = addresses[0];
  if (network !== runtime.self().network) return reachAcross(runtime, place);
  if (ip !== undefined) return reachAt(runtime, place, ip);
  return hostname === '' ? undefined : reachByName(runtime, place, hostname);
}

export function reachAt(runtime: Runtime, { port, service, workload }: Place, ip: Ip): Reach {
  const address = ip.withPort(port);
  if (workload.protocol !== 'hbone') {
    const { bench, dialOptions } = runtime;
    const endpoint = endpointOf(ip, port);
    const connect = ({ connectTimeoutMs, keepalive }: ConnectionPool, outcome: DialOutcome): Dialling => {
      const options = keepalive === undefined ? dialOptions : { ...dialOptions, keepAlive: secondsOf(keepalive) };
      return dialTcp(bench, endpoint, options, connectTimeoutMs, outcome);
    };
    return { key: address, address, tunnelled: false, principal: '', connect };
  }
  const endpoint = endpointOf(ip, HBONE_PORT);
  const principal = identityOf(workload).uri;
  const expected = [principal, ...(service?.subjectAltNames ?? [])];
  const far = { key: `${expected.join(' ')} ${endpoint}`, endpoint, expected };
  const connect = ({ connectTimeoutMs }: ConnectionPool, outcome: DialOutcome): Dialling =>
    runtime.tunnels.connect(far, address, connectTimeoutMs, outcome);
  return { key: `${far.key} ${address}`, address, tunnelled: true, principal, connect };
}

/** Any of the addresses that the name has by then. */
function reachByName(runtime: Runtime, place: Place, hostname: string): Reach {
  const { port, workload } = place;
  const tunnelled = workload.protocol === 'hbone';
  const address = `${hostname}:${port}`;
  const connect = (pool: ConnectionPool, outcome: DialOutcome): Dialling =>
    dialNamed(runtime, hostname, (ip, inner) => reachAt(runtime, place, ip).connect(pool, inner), outcome);
  const principal = tunnelled ? identityOf(workload).uri : '';
  return { key: `name ${address} ${principal}`, address, tunnelled, principal, connect };
}

/** As the kernel wants it: whole seconds, at least one. */
function secondsOf({ intervalMs, probes, timeMs }: Keepalive): KeepAlive {
  const seconds = (ms: number): number => Math.max(1, Math.round(ms / 1000));
  return { idleS: seconds(timeMs), intervalS: seconds(intervalMs), probes: Math.max(1, probes) };
}
