// SPDX-License-Identifier: Apache-2.0
//
// Hostnames of routes and listeners: names, `*.suffix` for one label or more before it, '' or `*` for all.

/** Whether the pattern covers the name or narrower pattern. */
function covers(pattern: string, name: string): boolean {
  if (pattern === name || pattern === '*' || pattern === '') return true;
  return pattern.startsWith('*.') && name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1;
}

/** What both have in common: the narrower of the two; undefined when nothing is. */
export function commonHost(a: string, b: string): string | undefined {
  if (covers(a, b)) return b;
  return covers(b, a) ? a : undefined;
}

/**
 * Hosts a route serves at a listener.
 * @param hostnames of the route; empty for all
 * @param listener '' for all
 */
export function commonHosts(hostnames: readonly string[], listener: string): string[] {
  const own = listener === '' ? '*' : listener.toLowerCase();
  if (hostnames.length === 0) return [own];
  const common = hostnames.map((one) => commonHost(own, one.toLowerCase())).filter((one) => one !== undefined);
  return [...new Set(common)];
}

/** Whether any host fits both lists. */
export function hostsIntersect(a: readonly string[], b: readonly string[]): boolean {
  return a.some((one) => b.some((other) => commonHost(one, other) !== undefined));
}
