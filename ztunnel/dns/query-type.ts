// SPDX-License-Identifier: Apache-2.0
// Names of the record types that clients ask for (IANA's registry of DNS parameters), as metrics and the log tell them. A pod may
// ask for any of 65,536: what has no name here is one `unknown`, so that nobody can make a metric of each.

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'a'],
  [2, 'ns'],
  [5, 'cname'],
  [6, 'soa'],
  [10, 'null'],
  [12, 'ptr'],
  [13, 'hinfo'],
  [15, 'mx'],
  [16, 'txt'],
  [25, 'key'],
  [28, 'aaaa'],
  [33, 'srv'],
  [35, 'naptr'],
  [37, 'cert'],
  [41, 'opt'],
  [43, 'ds'],
  [44, 'sshfp'],
  [46, 'rrsig'],
  [47, 'nsec'],
  [48, 'dnskey'],
  [50, 'nsec3'],
  [51, 'nsec3param'],
  [52, 'tlsa'],
  [59, 'cds'],
  [60, 'cdnskey'],
  [61, 'openpgpkey'],
  [62, 'csync'],
  [64, 'svcb'],
  [65, 'https'],
  [250, 'tsig'],
  [251, 'ixfr'],
  [252, 'axfr'],
  [255, 'any'],
  [257, 'caa'],
]);

/** Lower case; `unknown` for a type without a name. */
export function queryTypeName(type: number): string {
  return NAMES.get(type) ?? 'unknown';
}
