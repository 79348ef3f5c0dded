// SPDX-License-Identifier: Apache-2.0
//
// Verdicts in one sentence, for logs and `explain`. The codes are stable and machines match on them; the sentences
// may improve.

import { describePolicy } from './authorize.ts';
import type { AccessVerdict, DryRunOf, InboundVerdict, OutboundReason, OutboundVerdict } from './verdict.ts';
import { describeWorkload } from './workload.ts';

const DROP_TEXT: Record<OutboundReason, (subject: string) => string> = {
  'service-waypoint': (s) => `passes the waypoint of its service ${s}`,
  'workload-waypoint': (s) => `passes the waypoint of its workload ${s}`,
  'service-endpoint': (s) => `goes to an endpoint of the service ${s}`,
  'service-passthrough': (s) => `goes where it was dialled ${s}`,
  workload: (s) => `goes to the workload ${s}`,
  'unknown-destination': (s) => `no workload or service has the address ${s}`,
  'unknown-cluster-address': (s) => `the cluster address ${s} is not known, and unknown ones are refused by setting`,
  'unknown-waypoint': (s) => `unknown waypoint: ${s}; its Gateway does not exist or is not programmed`,
  'waypoint-no-endpoint': (s) => `the waypoint ${s} has no ready endpoint`,
  'unknown-network-gateway': (s) => `unknown network gateway: ${s}`,
  'no-network-gateway': (s) => `no gateway leads to the network of ${s}`,
  'unknown-port': (s) => `no healthy upstream: ${s}; the service has no such port`,
  'no-endpoint': (s) => `no healthy upstream: ${s}; the service has no endpoint that serves this port`,
  'no-healthy-endpoint': (s) => `no healthy upstream: ${s}; no endpoint of the service is ready`,
  'no-local-endpoint': (s) => `no healthy upstream: ${s}; traffic must stay near and no endpoint is`,
  'no-endpoint-address': (s) => `no healthy upstream: ${s}; the endpoint has no address of the family asked for`,
};

export function outboundText(verdict: OutboundVerdict): string {
  switch (verdict.kind) {
    case 'drop':
      return `refused: ${DROP_TEXT[verdict.reason](verdict.subject)}`;
    case 'wait':
      return 'waits for news of an unknown address inside the cluster';
    case 'passthrough':
      return `plain TCP to ${verdict.target.ip?.withPort(verdict.target.port) ?? ''}, outside the mesh`;
    case 'tcp': {
      const { ip, hostname, port } = verdict.target;
      const to = verdict.workload === undefined ? '' : `, workload ${describeWorkload(verdict.workload)}`;
      return `plain TCP to ${ip === undefined ? `${hostname}:${port}` : ip.withPort(port)}${to}`;
    }
    case 'hbone': {
      const peer = describeWorkload(verdict.workload);
      if (verdict.waypoint) return `HBONE to waypoint ${peer} for ${verdict.authority}`;
      return verdict.sameNode ? `joined on this node to ${peer}` : `HBONE to ${peer} for ${verdict.authority}`;
    }
    case 'double-hbone':
      return `HBONE in HBONE through gateway ${describeWorkload(verdict.gateway)} for ${verdict.authority}`;
  }
}

export function accessText(verdict: AccessVerdict): string {
  switch (verdict.reason) {
    case 'no-policy':
      return 'allowed: no policy forbids it';
    case 'allowed':
      return `allowed by ${describePolicy(verdict.policy)}, rule ${verdict.rule + 1}`;
    case 'denied':
      return `explicitly denied by ${describePolicy(verdict.policy)}, rule ${verdict.rule + 1}: ${verdict.clause}`;
    case 'not-allowed':
      return 'denied: allow policies exist, but none allowed it';
    case 'unknown-policy':
      return `held: policy ${verdict.policy} is bound to the workload and has not been received`;
  }
}

/** `deny shop/x matched, allow shop/y not matched`, for the log. */
export function dryRunText(outcomes: readonly DryRunOf<string>[]): string {
  return outcomes
    .map(({ action, policy, matched }) => `${action} ${policy} ${matched ? 'matched' : 'not matched'}`)
    .join(', ');
}

export function inboundText(verdict: InboundVerdict): string {
  if (verdict.kind === 'deliver') return `delivered to ${verdict.ip.withPort(verdict.port)}`;
  switch (verdict.reason) {
    case 'not-our-destination':
      return `ip mismatch: ${verdict.subject}`;
    case 'unknown-hostname':
      return `no service has the host name ${verdict.subject}`;
    case 'unknown-port':
      return `${verdict.subject} leads to no port of this workload`;
    case 'illegal-port':
      return `attempted recursive call to ourselves: ${verdict.subject} is a port of the proxy itself`;
    case 'no-virtual-address':
      return `${verdict.subject} has no virtual address to put in a PROXY header`;
    case 'own-address':
    case 'application-tunnel':
    case 'attached-waypoint':
    case 'hostname':
      return `refused: ${verdict.subject}`;
  }
}
