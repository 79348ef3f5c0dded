// SPDX-License-Identifier: Apache-2.0
// What is said of a workload again and again, worked out once for as long as its record stands: identity, baggage, party for
// metrics and logs.
import { AgingMap } from '#lib/kit/aging-map.ts';
import { type Identity, parseIdentity } from '#lib/mesh/identity.ts';
import { identityOf, type Workload, type WorkloadUid } from '#lib/mesh/workload.ts';
import { EMPTY_BAGGAGE, formatBaggage, parseBaggage } from '#lib/wire/baggage.ts';
import { type Party, partyOf } from '../telemetry/party.ts';

export interface WorkloadFacts {
  readonly workload: Workload;
  readonly identity: Identity;
  /** `spiffe://…` */
  readonly uri: string;
  /** Value of the `baggage` header. */
  readonly baggage: string;
  readonly party: Party;
}

/** Of a generation. */
const MAX_REMEMBERED = 10_000;

export class WorkloadMemory {
  readonly #known = new AgingMap<WorkloadUid, WorkloadFacts>({ most: MAX_REMEMBERED });
  readonly #identities = new AgingMap<string, Identity>({ most: MAX_REMEMBERED });

  of(workload: Workload): WorkloadFacts {
    const known = this.#known.get(workload.uid);
    if (known !== undefined && known.workload === workload) return known;
    const identity = identityOf(workload);
    const facts: WorkloadFacts = {
      workload,
      identity,
      uri: identity.uri,
      baggage: baggageOf(workload),
      party: partyOf(workload),
    };
    this.#known.set(workload.uid, facts);
    return facts;
  }

  /** The identity a certificate proved, as a value of the mesh. */
  identity(uri: string): Identity | undefined {
    const known = this.#identities.get(uri);
    if (known !== undefined) return known;
    const identity = parseIdentity(uri);
    if (identity === undefined) return undefined;
    this.#identities.set(uri, identity);
    return identity;
  }
}

function baggageOf(workload: Workload): string {
  return formatBaggage({
    ...EMPTY_BAGGAGE,
    cluster: workload.clusterId,
    namespace: workload.namespace,
    workloadType: workload.workloadType,
    workloadName: workload.workloadName,
    service: workload.canonicalName,
    version: workload.canonicalRevision,
    region: workload.locality.region,
    zone: workload.locality.zone,
  });
}

/** A party that WDS does not know, as its baggage describes it; undefined when that says nothing. */
export function partyOfBaggage(values: readonly string[]): Party | undefined {
  const found = parseBaggage(values);
  if (found.namespace === '' && found.workloadName === '' && found.service === '') return undefined;
  return {
    uid: '',
    name: found.service,
    namespace: found.namespace,
    cluster: found.cluster,
    workloadName: found.workloadName,
    workloadType: found.workloadType,
    canonicalName: found.service,
    canonicalRevision: found.version,
    app: found.workloadName,
    region: found.region,
    zone: found.zone,
    httpMetrics: false,
  };
}
