// SPDX-License-Identifier: Apache-2.0
// To endpoints of another network: a pooled tunnel to that network's gateway, which only carries bytes, and in a stream of it a tunnel
// of the connection's own to the far end. Both ask for the service by its host name. The gateway is told that a waypoint has been
// passed, so that it asks no other. Which gateway, and where it is, is looked up for each connection.
import { acrossNetworks } from '#lib/mesh/hop.ts';
import { type Ip, parseIp } from '#lib/mesh/ip.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { outboundText } from '#lib/mesh/reason.ts';
import type { Service } from '#lib/mesh/service.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import { endpointOf } from '#lib/proxy/worker/address.ts';
import { dialNamed } from './dial-named.ts';
import type { Place, Reach } from './reach.ts';
import type { UpstreamRuntime } from './runtime.ts';

const NOT_BEGUN: Dialling = Object.freeze({ cancel() {} });
/** Nobody's address: of a gateway that has several, any will do. */
const ANY: Ip = parseIp('0.0.0.0') as Ip;

interface Far {
  readonly workload: Workload;
  readonly service: Service;
  /** Of the service. */
  readonly port: number;
}

/** undefined where no service is meant: other networks know workloads by nothing that is known here. */
export function reachAcross(runtime: UpstreamRuntime, { service, servicePort, workload }: Place): Reach | undefined {
  if (service === null) return undefined;
  const address = `${service.hostname}:${servicePort}`;
  return {
    key: `network ${workload.network} ${address} ${service.subjectAltNames.join(' ')}`,
    address,
    tunnelled: true,
    principal: '',
    connect: ({ connectTimeoutMs }, outcome) =>
      connect(runtime, { workload, service, port: servicePort }, connectTimeoutMs, outcome),
  };
}

function connect(runtime: UpstreamRuntime, far: Far, timeoutMs: number, outcome: DialOutcome): Dialling {
  const { mesh, random, self, settings, tunnels } = runtime;
  const { port, service, workload } = far;
  const flow = { source: self(), ip: parseIp(settings.ip) ?? ANY, port, tried: [], waited: true };
  const names = service.subjectAltNames;
  const verdict = acrossNetworks(mesh, { workload, waypoint: false }, flow, service, names, random, NO_PROOF);
  if (verdict.kind !== 'double-hbone') {
    outcome.onNoLink(outboundText(verdict));
    return NOT_BEGUN;
  }
  const { authority, innerIdentities, outerIdentities: expected, target } = verdict;
  const dial = (ip: Ip, inner: DialOutcome): Dialling => {
    const endpoint = endpointOf(ip, target.port);
    const gateway = { key: `${expected.join(' ')} ${endpoint}`, endpoint, expected };
    return tunnels.connectAcross(gateway, { authority, expected: innerIdentities }, timeoutMs, inner);
  };
  return target.ip === undefined ? dialNamed(runtime, target.hostname, dial, outcome) : dial(target.ip, outcome);
}
