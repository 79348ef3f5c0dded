// SPDX-License-Identifier: Apache-2.0
// The resolvers that a machine or a pod is told of.

/** Until the next resolver is asked. All tries together end before a client's own patience, which is 5 s unless told otherwise. */
export const TRY_MS = 1_500;

/** Addresses of those that a resolv.conf names. */
export function resolversIn(resolvConf: string): readonly string[] {
  return [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1]!);
}

/** Resolvers asked for one question, silent ones among them. */
export const MAX_TRIES = 3;

/** The resolver asked at the `n`-th try, from 0: each in turn, and again from the first. */
export function resolverOfTry<T>(servers: readonly T[], n: number): T | undefined {
  return servers[n % servers.length];
}
