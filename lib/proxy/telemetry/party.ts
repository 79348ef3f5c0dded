// SPDX-License-Identifier: Apache-2.0
// Who stands at one end of a connection, as metrics and logs tell it.
import type { Workload, WorkloadUid } from '#lib/mesh/workload.ts';

/** What is known of one end, from WDS or, for a source of another network, from baggage. Empty means unknown. */
export interface Party {
  /** Of the record it was made from; '' for what no record tells of. */
  readonly uid: WorkloadUid;
  /** Pod name, or what stands for it. */
  readonly name: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly workloadName: string;
  /** `deployment`, `cronjob`, `pod` or `job`. */
  readonly workloadType: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  /** The `app` label: canonical name from WDS, workload name from baggage. */
  readonly app: string;
  readonly region: string;
  readonly zone: string;
  /** Its requests are to be counted; see Workload. */
  readonly httpMetrics: boolean;
}

export function partyOf(workload: Workload): Party {
  return {
    uid: workload.uid,
    name: workload.name === '' ? workload.canonicalName : workload.name,
    namespace: workload.namespace,
    cluster: workload.clusterId,
    workloadName: workload.workloadName,
    workloadType: workload.workloadType,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    app: workload.canonicalName,
    region: workload.locality.region,
    zone: workload.locality.zone,
    httpMetrics: workload.httpMetrics,
  };
}
