// SPDX-License-Identifier: Apache-2.0
//
// Host names as Istio's kinds write them: a name without dots is a service of the object's own namespace.

/** Lower case and whole: `cart` of namespace shop is `cart.shop.svc.cluster.local`. */
export function resolveHost(host: string, namespace: string, domain: string): string {
  const lower = host.toLowerCase();
  return lower.includes('.') || lower === '*' || lower === '' ? lower : `${lower}.${namespace}.svc.${domain}`;
}
