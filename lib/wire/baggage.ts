// SPDX-License-Identifier: Apache-2.0
// The `baggage` header as HBONE uses it (W3C Baggage, without percent-encoding): who a workload is, for the other
// side's telemetry. It proves nothing; decisions use the certificate.

/** What the header can say of a workload; the empty string where it says nothing. */
export interface Baggage {
  readonly cluster: string;
  readonly namespace: string;
  /** `deployment`, `cronjob`, `pod` or `job`. */
  readonly workloadType: string;
  readonly workloadName: string;
  /** Canonical name and revision. */
  readonly service: string;
  readonly version: string;
  readonly region: string;
  readonly zone: string;
}

export const EMPTY_BAGGAGE: Baggage = Object.freeze({
  cluster: '',
  namespace: '',
  workloadType: '',
  workloadName: '',
  service: '',
  version: '',
  region: '',
  zone: '',
});

type Field = keyof Baggage;
const FIXED: readonly (readonly [key: string, field: Field])[] = [
  ['k8s.cluster.name', 'cluster'],
  ['k8s.namespace.name', 'namespace'],
  ['service.name', 'service'],
  ['service.version', 'version'],
  ['cloud.region', 'region'],
  ['cloud.availability_zone', 'zone'],
];
const FIELD_OF: ReadonlyMap<string, Field> = new Map(FIXED);
const WORKLOAD_TYPES: readonly string[] = ['deployment', 'cronjob', 'pod', 'job'];
const WORKLOAD_KEY = /^k8s\.(deployment|cronjob|pod|job)\.name$/;
// What cannot stand in a value without ending it: such an item is left out rather than read as something else.
const UNSAFE = /[^\x21-\x7e]|[",;\\=]/;

/** The header's value; items that are empty, or could be mistaken for others, are left out. */
export function formatBaggage(baggage: Baggage): string {
  const items: string[] = [];
  const add = (key: string, value: string): void => {
    if (value !== '' && !UNSAFE.test(value)) items.push(`${key}=${value}`);
  };
  for (const [key, field] of FIXED) {
    add(key, baggage[field]);
    if (field === 'namespace' && WORKLOAD_TYPES.includes(baggage.workloadType))
      add(`k8s.${baggage.workloadType}.name`, baggage.workloadName);
  }
  return items.join(',');
}

/** Reads all `baggage` headers of a message; unknown items are skipped, of equal ones the last counts. */
export function parseBaggage(values: readonly string[]): Baggage {
  const found: { -readonly [F in Field]: string } = { ...EMPTY_BAGGAGE };
  for (const item of values.flatMap((value) => value.split(','))) {
    const equals = item.indexOf('=');
    if (equals < 0) continue;
    const key = item.slice(0, equals).trim();
    const value = item.slice(equals + 1).trim();
    const field = FIELD_OF.get(key);
    const workload = field === undefined ? WORKLOAD_KEY.exec(key) : null;
    if (field !== undefined) found[field] = value;
    else if (workload !== null) {
      found.workloadType = workload[1]!;
      found.workloadName = value;
    }
  }
  return found;
}
