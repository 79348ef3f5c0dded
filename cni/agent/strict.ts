// SPDX-License-Identifier: Apache-2.0
// Whether a pod accepts nothing but mutual TLS, asked of the model that also computes what node proxies enforce. It decides
// only whether old plaintext connections into the pod may live on: what is new is the proxy's to judge.
import { own } from '#lib/kit/table.ts';
import type { GenericObject, Pod } from '#lib/kube/object.ts';
import {
  effectiveMode,
  inheritedMode,
  oldest,
  type PeerAuthentication,
  selectorOf,
} from '#lib/model/policy/peer-authentication.ts';

/**
 * Whether plaintext into `pod` is forbidden on all its ports. `rootNamespace` is where mesh-wide objects live. Where some port is
 * an exception, the answer is no: the lock knows no ports.
 */
export function isStrict(pod: Pod, policies: Iterable<GenericObject>, rootNamespace: string): boolean {
  const all = [...policies] as PeerAuthentication[];
  const wide = (namespace: string | undefined) =>
    oldest(all.filter((one) => one.metadata.namespace === namespace && selectorOf(one) === undefined));
  const { labels = {}, namespace } = pod.metadata;
  const selecting = all.filter((one) => {
    const wanted = one.metadata.namespace === namespace ? selectorOf(one) : undefined;
    return wanted !== undefined && Object.entries(wanted).every(([key, value]) => own(labels, key) === value);
  });
  const { exceptions, strict } = effectiveMode(oldest(selecting), inheritedMode(wide(namespace), wide(rootNamespace)));
  return strict && exceptions.length === 0;
}
