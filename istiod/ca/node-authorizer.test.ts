// SPDX-License-Identifier: Apache-2.0
import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kube/object.ts';
import { Identity } from '#lib/mesh/identity.ts';
import type { Caller } from '../serve/caller.ts';
import { judgeImpersonation } from './node-authorizer.ts';
import { PodIndex } from './pod-index.ts';

const TRUSTED = new Set(['istio-system/ztunnel']);
const WANTED = 'spiffe://cluster.local/ns/shop/sa/cart';

function pod(namespace: string, name: string, serviceAccountName: string, nodeName: string, phase = 'Running'): Pod {
  return {
    metadata: { namespace, name, uid: `uid-${name}` },
    spec: { serviceAccountName, nodeName },
    status: { phase },
  };
}

function index(...pods: Pod[]): PodIndex {
  const made = new PodIndex();
  const key = ({ metadata }: Pod) => `${metadata.namespace}/${metadata.name}`;
  made.apply(pods.map((object) => ({ op: 'set', key: key(object), object })));
  return made;
}

const ZTUNNEL = pod('istio-system', 'zt-1', 'ztunnel', 'n1');
const caller = (uid = 'uid-zt-1', account = 'ztunnel'): Caller => ({
  identity: new Identity('cluster.local', 'istio-system', account),
  pod: { name: 'zt-1', uid },
});

function reason(who: Caller, wanted: string, pods: PodIndex): string {
  const verdict = judgeImpersonation(who, wanted, TRUSTED, pods);
  return verdict.ok ? 'ok' : `${verdict.check}: ${verdict.reason}`;
}

test('a node proxy gets an identity that runs on its node, also of a pending or finished pod', () => {
  for (const phase of ['Running', 'Pending', 'Succeeded']) {
    equal(reason(caller(), WANTED, index(ZTUNNEL, pod('shop', 'cart-1', 'cart', 'n1', phase))), 'ok');
  }
});

test('it does not get one that runs on another node only, or whose pods have failed', () => {
  match(reason(caller(), WANTED, index(ZTUNNEL, pod('shop', 'cart-1', 'cart', 'n2'))), /^same node: .*shop\/cart.*n1/);
  match(reason(caller(), WANTED, index(ZTUNNEL, pod('shop', 'cart-1', 'cart', 'n1', 'Failed'))), /^same node/);
});

test('an identity that moved away is refused from then on', () => {
  const pods = index(ZTUNNEL, pod('shop', 'cart-1', 'cart', 'n1'));
  const old = pods.get('shop', 'cart-1')!;
  pods.apply([{ op: 'delete', key: 'shop/cart-1', old }]);
  match(reason(caller(), WANTED, pods), /^same node/);
});

test('every other check has its own answer', () => {
  const pods = index(ZTUNNEL, pod('shop', 'cart-1', 'cart', 'n1'));
  match(reason({ ...caller(), pod: undefined }, WANTED, pods), /^pod-bound token/);
  match(reason(caller('uid-zt-1', 'intruder'), WANTED, pods), /^trusted account: istio-system\/intruder/);
  match(reason(caller(), 'spiffe://cluster.local/shop/cart', pods), /^identity/);
  match(reason(caller('other'), WANTED, pods), /^caller pod: .*another UID/);
  match(reason(caller(), WANTED, index()), /^caller pod: .*does not exist/);
  match(reason(caller(), WANTED, index(pod('istio-system', 'zt-1', 'other', 'n1'))), /^caller pod: .*runs as other/);
  match(reason(caller(), WANTED, index(pod('istio-system', 'zt-1', 'ztunnel', ''))), /^caller node/);
});
