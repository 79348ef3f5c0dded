// SPDX-License-Identifier: Apache-2.0
// A connection to a place whose host name is all that is known of it: the name is resolved first, unless that was done a moment ago.
import type { Ip } from '#lib/mesh/ip.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import type { NameResolver, NameWait } from '#lib/proxy/dns/name-resolver.ts';

export type NamedDialler = (ip: Ip, outcome: DialOutcome) => Dialling;

/** `family`: is taken before the other where the name has both. */
export function dialNamed(
  names: Pick<NameResolver, 'lookup'>,
  hostname: string,
  family: 4 | 6,
  dial: NamedDialler,
  outcome: DialOutcome,
): Dialling {
  let dialling: Dialling | null = null;
  let wait: NameWait | null = null;
  wait = names.lookup(hostname, family, {
    onAddress: (ip) => {
      wait = null;
      dialling = dial(ip, outcome);
    },
    onNoAddress: (reason) => {
      wait = null;
      outcome.onNoLink(reason);
    },
  });
  return {
    cancel: () => {
      wait?.cancel();
      dialling?.cancel();
    },
  };
}
