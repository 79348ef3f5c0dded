// SPDX-License-Identifier: Apache-2.0
// A connection to a place whose host name is all that is known of it: the name is resolved first, unless that was done a moment ago.
import type { Ip } from '#lib/mesh/ip.ts';
import type { Dialling, DialOutcome } from '#lib/net/http/upstream.ts';
import type { NameWait } from '#lib/proxy/dns/name-resolver.ts';
import type { UpstreamRuntime } from './runtime.ts';

export function dialNamed(
  runtime: UpstreamRuntime,
  hostname: string,
  dial: (ip: Ip, outcome: DialOutcome) => Dialling,
  outcome: DialOutcome,
): Dialling {
  let dialling: Dialling | null = null;
  let wait: NameWait | null = null;
  wait = runtime.names.lookup(hostname, ownFamily(runtime), {
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

/** Of this proxy: servers that have addresses of both families are reached by it. */
export function ownFamily({ settings }: Pick<UpstreamRuntime, 'settings'>): 4 | 6 {
  return settings.ip.includes(':') ? 6 : 4;
}
