// SPDX-License-Identifier: Apache-2.0
// May a node proxy have a certificate in another's name? Only for identities that really run on its own node: whoever
// breaks into one node gains the identities of that node, not of the mesh. Named checks, in order; first no wins.

import { type Identity, parseIdentity } from '#lib/mesh/identity.ts';
import type { Caller } from '../serve/caller.ts';
import { type PodIndex, serviceAccountOf } from './pod-index.ts';

export type Impersonation =
  | { readonly ok: true; readonly identity: Identity; readonly node: string }
  | { readonly ok: false; readonly check: string; readonly reason: string };

/** Judges a request of `caller` for `wanted`, a SPIFFE URI. Pure. */
export function judgeImpersonation(
  caller: Caller,
  wanted: string,
  trusted: ReadonlySet<string>,
  pods: PodIndex,
): Impersonation {
  const no = (check: string, reason: string): Impersonation => ({ ok: false, check, reason });
  const { namespace, serviceAccount } = caller.identity;
  const account = `${namespace}/${serviceAccount}`;
  if (caller.pod === undefined) return no('pod-bound token', 'the caller’s token is not bound to a pod');
  if (!trusted.has(account)) {
    return no('trusted account', `${account} is not a trusted node proxy (CA_TRUSTED_NODE_ACCOUNTS)`);
  }
  const identity = parseIdentity(wanted);
  if (identity === undefined)
    return no('identity', `${JSON.stringify(wanted)} is no spiffe://<domain>/ns/<ns>/sa/<sa>`);
  const pod = pods.get(namespace, caller.pod.name);
  if (pod === undefined) return no('caller pod', `the caller’s pod ${namespace}/${caller.pod.name} does not exist`);
  if (pod.metadata.uid !== caller.pod.uid) {
    return no('caller pod', `the token is of an earlier pod ${namespace}/${caller.pod.name} (another UID)`);
  }
  if (serviceAccountOf(pod) !== serviceAccount) {
    return no(
      'caller pod',
      `pod ${namespace}/${caller.pod.name} runs as ${serviceAccountOf(pod)}, not ${serviceAccount}`,
    );
  }
  const node = pod.spec?.nodeName ?? '';
  if (node === '') return no('caller node', `the caller’s pod ${namespace}/${caller.pod.name} is on no node`);
  if (!pods.runsOnNode(identity.namespace, identity.serviceAccount, node)) {
    return no(
      'same node',
      `no pod of ${identity.namespace}/${identity.serviceAccount} is on the caller’s node ${node}`,
    );
  }
  return { ok: true, identity, node };
}
