// SPDX-License-Identifier: Apache-2.0
// The resolvers that a machine or a pod is told of.

/** Until the next resolver is asked. All tries together end before a client's own patience, which is 5 s unless told otherwise. */
export const TRY_MS = 1_500;

/** Addresses of those that a resolv.conf names. */
export function resolversIn(resolvConf: string): readonly string[] {
  return [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]!);
}
