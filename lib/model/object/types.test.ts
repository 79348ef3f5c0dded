// SPDX-License-Identifier: Apache-2.0
//
// The shapes the model reads are parts of the packages' own types: an assignment that type-checks here is the proof.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IGateway } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import type { IAuthorizationPolicy, IPeerAuthentication } from '@kubernetes-models/istio/security.istio.io/v1';
import type { AuthorizationSpec } from '../policy/authorization-spec.ts';
import type { PeerAuthentication } from '../policy/peer-authentication.ts';
import type { Gateway } from '../waypoint/gateway.ts';

/** Optional fields of the packages may be absent; `undefined` written out is not theirs to say. */
type Plain<T> = T extends readonly (infer E)[]
  ? readonly Plain<E>[]
  : T extends object
    ? { readonly [K in keyof T]: Plain<T[K]> }
    : T;

function authorizationSpec(of: Plain<NonNullable<IAuthorizationPolicy['spec']>>): AuthorizationSpec {
  return of;
}

function peerMode(of: Plain<NonNullable<IPeerAuthentication['spec']>>): string | undefined {
  const spec: Pick<NonNullable<PeerAuthentication['spec']>, 'mtls' | 'portLevelMtls' | 'selector'> = of;
  return spec.mtls?.mode;
}

function listeners(of: Plain<IGateway['spec']>): readonly (string | undefined)[] {
  const spec: Pick<NonNullable<Gateway['spec']>, 'gatewayClassName'> = of;
  return [spec.gatewayClassName, ...of.listeners.map((listener) => listener.protocol)];
}

test('objects of the packages are objects of the model', () => {
  const spec: IAuthorizationPolicy['spec'] = {
    action: 'DENY',
    rules: [
      { from: [{ source: { principals: ['a'], ipBlocks: ['10.0.0.0/8'] } }], to: [{ operation: { ports: ['80'] } }] },
    ],
  };
  assert.equal(authorizationSpec(spec as Plain<typeof spec>).rules?.[0]?.from?.[0]?.source?.principals?.[0], 'a');
  assert.equal(peerMode({ mtls: { mode: 'STRICT' } }), 'STRICT');
  const gateway = { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] };
  assert.deepEqual(listeners(gateway), ['istio-waypoint', 'HBONE']);
});
