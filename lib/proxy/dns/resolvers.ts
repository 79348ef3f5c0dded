// SPDX-License-Identifier: Apache-2.0
// The resolvers that a machine or a pod is told of.

/** Addresses of those that a resolv.conf names. */
export function resolversIn(resolvConf: string): readonly string[] {
  return [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]!);
}
