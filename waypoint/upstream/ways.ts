// SPDX-License-Identifier: Apache-2.0
// The ways to an endpoint: a plain connection, a tunnel to its node, either to whatever address its host name has when a connection
// is wanted; to another network through its gateway.
import type { KeepAlive } from '#lib/linux/socket.ts';
import { HBONE_PORT } from '#lib/mesh/gateway-address.ts';
import type { ConnectionPool, Keepalive } from '#lib/mesh/http/traffic-policy.ts';
import type { Ip } from '#lib/mesh/ip.ts';
import { identityOf } from '#lib/mesh/workload.ts';
import { dialTcp } from '#lib/net/http/dial-tcp.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import { reachAcross } from './across.ts';
import { dialNamed } from './dial-named.ts';
import type { Place, Reach } from './reach.ts';
import type { UpstreamRuntime } from './runtime.ts';

/** undefined for a workload to which there is no way. */
export function reachOf(runtime: UpstreamRuntime, place: Place): Reach | undefined {
  const { addresses, hostname, network } = place.workload;
  const ip = addresses[0];
  if (network !== runtime.self().network) return reachAcross(runtime, place);
  if (ip !== undefined) return reachAt(runtime, place, ip);
  return hostname === '' ? undefined : reachByName(runtime, place, hostname);
}

export function reachAt(runtime: UpstreamRuntime, { port, service, workload }: Place, ip: Ip): Reach {
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
function reachByName(runtime: UpstreamRuntime, place: Place, hostname: string): Reach {
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
