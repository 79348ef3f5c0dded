// SPDX-License-Identifier: Apache-2.0
//
// Which endpoint a request or a stream would be sent to at a waypoint, and why, or why there is none: by the balancer that requests are
// balanced by, with a recorder that keeps every step. What a process knows of its own past (ejections, load) is not in it.

import type { BalanceFailure } from '../balance.ts';
import { formatProof, recordProof, type Step } from '../proof.ts';
import { describeService, type Endpoint, type Service } from '../service.ts';
import { ANY_HOST, Balancer } from '../upstream/balancer.ts';
import { describeWorkload, type ServiceKey, type Workload, type WorkloadUid } from '../workload.ts';
import type { Target } from './route-table.ts';
import { type TrafficPolicy, upstreamOf } from './traffic-policy.ts';

/** What a waypoint knows of the services that it sends to. */
export interface EndpointWorld {
  readonly service: (key: ServiceKey) => Service | undefined;
  readonly endpoints: (service: Service) => readonly Endpoint[];
  readonly labels: (uid: WorkloadUid) => Readonly<Record<string, string>>;
  /** The waypoint itself. */
  readonly self: Workload;
}

export interface EndpointPart {
  readonly verdict:
    | { readonly kind: 'none'; readonly reason: 'unknown-service' | 'unknown-subset' | BalanceFailure }
    /** Whatever host a request names. */
    | { readonly kind: 'named' }
    | {
        readonly kind: 'endpoint';
        /** `ip:port` or `name:port`. */
        readonly address: string;
        /** By a tunnel, whose other end knows the waypoint by its identity. */
        readonly tunnelled: boolean;
        readonly workload: { readonly uid: string; readonly name: string; readonly namespace: string; node: string };
      };
  /** One sentence. */
  readonly text: string;
  readonly proof: readonly Step[];
  readonly lines: readonly string[];
}

export function explainEndpoint(
  { endpoints: endpointsOf, labels, self, service: serviceOf }: EndpointWorld,
  policy: TrafficPolicy | undefined,
  { port, service: key, subset }: Target,
): EndpointPart {
  const rec = recordProof();
  const part = (verdict: EndpointPart['verdict'], text: string): EndpointPart => ({
    ...{ verdict, text, proof: rec.steps },
    lines: formatProof(rec.steps),
  });
  const service = serviceOf(key);
  if (service === undefined) {
    rec.step(`Service ${key}`, '', '', 'is not known to this waypoint', 'it exists, and is exported to the waypoint');
    return part({ kind: 'none', reason: 'unknown-service' }, `nowhere: there is no service ${key}`);
  }
  const settings = upstreamOf(policy, subset, port);
  if (settings === undefined) {
    rec.step(
      policy?.origin ?? `Service ${key}`,
      '',
      `subset ${subset}`,
      'is none of its subsets',
      'it has that subset',
    );
    return part({ kind: 'none', reason: 'unknown-subset' }, `nowhere: ${key} has no subset ${subset}`);
  }
  const endpoints = endpointsOf(service);
  if (endpoints.length === 0 && service.hostname.startsWith('*.'))
    return part({ kind: 'named' }, 'to the host it names');
  const subsetLabels = policy?.subsets.find(({ name }) => name === subset)?.labels ?? {};
  const sources = { service, endpoints, settings, subsetLabels, labelsOf: labels, source: self };
  const found = new Balancer(port, sources, 0).pick(ANY_HOST, 0, () => 0, rec);
  if (typeof found === 'string') {
    const { change, why } = failure(found, service, port);
    const name = describeService(service);
    rec.step(`Service ${name}`, `port ${port}${subset === '' ? '' : `, subset ${subset}`}`, '', why, change);
    return part({ kind: 'none', reason: found }, `nowhere: Service ${name} ${why}`);
  }
  const { workload } = found.endpoint;
  const [ip] = workload.addresses;
  const address = ip?.withPort(found.port) ?? `${workload.hostname}:${found.port}`;
  const tunnelled = workload.protocol === 'hbone';
  const { name, namespace, node, uid } = workload;
  return part(
    { kind: 'endpoint', address, tunnelled, workload: { uid, name, namespace, node } },
    `to ${describeWorkload(workload)} at ${address}, ${tunnelled ? 'by HBONE' : 'past any tunnel: it is not in the mesh'}`,
  );
}

function failure(reason: BalanceFailure, { ports }: Service, port: number): { why: string; change: string } {
  switch (reason) {
    case 'unknown-port': {
      const own = ports.map(({ servicePort }) => servicePort).join(', ');
      return { why: `has no port ${port}`, change: `the port is one of its own: ${own}` };
    }
    case 'no-endpoint':
    case 'no-local-endpoint':
      return { why: 'has no endpoint', change: 'a pod that its selector names runs' };
    case 'no-healthy-endpoint':
      return { why: 'has no endpoint that is ready', change: 'one of its pods becomes ready' };
  }
}
