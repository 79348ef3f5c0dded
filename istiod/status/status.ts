// SPDX-License-Identifier: Apache-2.0
// Status as a part of the app: the writer, the events, and the lease that decides which replica writes.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { EventRecorder } from '#lib/kube/events.ts';
import {
  AUTHORIZATION_POLICY,
  CONFIG_MAP,
  NAMESPACE,
  PEER_AUTHENTICATION,
  POD,
  PROXY_CONFIG,
  SERVICE,
  SERVICE_ACCOUNT,
  SERVICE_ENTRY,
  TELEMETRY,
  WORKLOAD_ENTRY,
  WORKLOAD_GROUP,
} from '#lib/kube/kind.ts';
import { Leader } from '#lib/kube/leader.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { REVISION } from '#lib/model/object/names.ts';
import {
  ENTRY_MANAGER,
  SERVICE_MANAGER,
  TELEMETRY_MANAGER,
  WAYPOINT_POLICY_MANAGER,
  ZTUNNEL_POLICY_MANAGER,
} from '#lib/model/report/report.ts';
import { isOwn, type Ownership } from '#lib/model/revision.ts';
import type { IstiodConfig } from '../config.ts';
import type { Informers } from '../watch/informers.ts';
import { ObjectStatusWriter, type StatusTarget } from './object-status.ts';
import { conditionTarget, StatusWriter } from './writer.ts';

const LEASE = 'ambit-status-leader';
const PEER_MANAGER = 'ambit-istiod-peer-authentication';

export interface StatusOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: IstiodConfig;
  readonly informers: Informers;
  readonly ownership: () => Ownership;
  /** Kinds whose status is more than conditions. */
  readonly targets: Readonly<Record<string, StatusTarget>>;
}

export function createStatus(options: StatusOptions) {
  const { client, clock, config, informers, log, ownership, targets } = options;
  const owns = ({ metadata }: KubeObject): boolean => {
    const space = informers.namespaces.get(metadata.namespace ?? '');
    return isOwn(ownership(), metadata.labels?.[REVISION], space?.metadata.labels?.[REVISION]);
  };
  const events = new EventRecorder({ client, clock, log, component: 'istiod', instance: config.podName });
  const writer = new StatusWriter({
    client,
    clock,
    log,
    events,
    owns,
    targets: {
      AuthorizationPolicy: conditionTarget(informers.authorizationPolicies, {
        ZtunnelAccepted: ZTUNNEL_POLICY_MANAGER,
        WaypointAccepted: WAYPOINT_POLICY_MANAGER,
      }),
      PeerAuthentication: conditionTarget(informers.peerAuthentications, { Accepted: PEER_MANAGER }, 'Accepted'),
      Service: conditionTarget(informers.services, { 'istio.io/WaypointBound': SERVICE_MANAGER }),
      ServiceEntry: conditionTarget(informers.serviceEntries, {
        'istio.io/WaypointBound': SERVICE_MANAGER,
        'istio.io/WaypointMissing': SERVICE_MANAGER,
        'istio.io/VisibilityApplied': SERVICE_MANAGER,
      }),
      Telemetry: conditionTarget(informers.telemetries, { WaypointAccepted: TELEMETRY_MANAGER }),
      WorkloadEntry: conditionTarget(informers.workloadEntries, { 'istio.io/WaypointBound': ENTRY_MANAGER }),
    },
    kinds: {
      AuthorizationPolicy: AUTHORIZATION_POLICY,
      ConfigMap: CONFIG_MAP,
      Namespace: NAMESPACE,
      PeerAuthentication: PEER_AUTHENTICATION,
      Pod: POD,
      Service: SERVICE,
      ServiceAccount: SERVICE_ACCOUNT,
      ServiceEntry: SERVICE_ENTRY,
      ProxyConfig: PROXY_CONFIG,
      Telemetry: TELEMETRY,
      WorkloadEntry: WORKLOAD_ENTRY,
      WorkloadGroup: WORKLOAD_GROUP,
    },
  });
  const objects = new ObjectStatusWriter({ client, clock, log, targets, owns });
  const leader = new Leader({
    client,
    clock,
    log,
    namespace: config.namespace,
    name: leaseOf(LEASE, config.revision),
    identity: config.podName,
    leaseSeconds: config.leaseSeconds,
    lead: (term) => {
      writer.lead(term);
      objects.lead(term);
    },
  });
  return { writer, objects, leader };
}

/** The lease of a task that each revision does for the objects it owns. */
export function leaseOf(task: string, revision: string): string {
  return revision === '' || revision === 'default' ? task : `${task}-${revision}`;
}
