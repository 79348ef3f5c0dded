// SPDX-License-Identifier: Apache-2.0
// The cost of the decisions a connection needs: node lib/mesh/decisions.bench.ts. The data plane opens 20,000
// connections a second on a core, 50 µs each; deciding may take a twentieth of it.
import { bench, run } from 'mitata';
import { ip, mesh, workload } from '#lib/testkit/mesh.ts';
import { authorize } from './authorize.ts';
import { Identity } from './identity.ts';
import { resolveInbound } from './inbound.ts';
import { ip4 } from './ip.ts';
import { resolveOutbound } from './outbound.ts';
import { NO_PROOF, recordProof } from './proof.ts';

const CART = 'shop/cart.shop.svc.cluster.local';
const view = mesh({
  services: [{ name: 'cart', namespace: 'shop', vips: ['10.96.0.1'], ports: { 80: 8080 } }],
  workloads: [
    { name: 'front', namespace: 'shop', ips: ['10.1.0.1'] },
    ...Array.from({ length: 10 }, (_, i) => ({
      name: `cart-${i}`,
      namespace: 'shop',
      ips: [`10.2.0.${i + 1}`],
      serves: { [CART]: { 80: 8080 } },
    })),
  ],
  policies: [
    {
      name: 'strict',
      namespace: 'istio-system',
      scope: 'selector',
      action: 'deny',
      rules: [[[{ notPrincipals: ['*'] }]]],
    },
    { name: 'allow', namespace: 'shop', rules: [[[{ principals: ['cluster.local/ns/shop/sa/front'] }]]] },
  ],
});
const source = view.workloadByUid('Kubernetes//Pod/shop/front')!;
const options = { network: '', clusterRanges: [], unknownCluster: 'pass' } as const;
const local = workload({ name: 'cart-0', namespace: 'shop', authorizationPolicies: ['istio-system/strict'] });
const inbound = {
  sourceIp: ip('10.1.0.1'),
  identity: new Identity('cluster.local', 'shop', 'front'),
  destinationIp: ip('10.2.0.1'),
  destinationPort: 8080,
};
const connect = {
  local,
  connectedIp: inbound.destinationIp,
  authority: { ip: inbound.destinationIp, hostname: '', port: 8080 },
  network: '',
};

// The address comes as bytes from the kernel, hence a new value each time.
const dial = () => ({ source, ip: ip4(0x0a600001), port: 80, tried: [], waited: false });

bench('outbound: a service of ten endpoints', () => resolveOutbound(view, dial(), options, Math.random, NO_PROOF));
bench('outbound, with its proof', () => resolveOutbound(view, dial(), options, Math.random, recordProof()));
bench('inbound: the own address', () => resolveInbound(view, connect, NO_PROOF));
bench('access: one denial, one permission', () => authorize(view, local, inbound, NO_PROOF));
bench('access, with its proof', () => authorize(view, local, inbound, recordProof()));

await run();
