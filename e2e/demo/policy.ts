// SPDX-License-Identifier: Apache-2.0
// Who may call whom: statements (f) and (g).
import type { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { type Check, expect, type Stage } from './check.ts';
import { accessLog, NO_EXPLAIN } from './enrol.ts';

const DENY_CATALOG = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: no-catalog
  namespace: shop
spec:
  selector:
    matchLabels:
      app: web
  action: DENY
  rules:
    - from:
        - source:
            principals: [cluster.local/ns/shop/sa/catalog]
`;

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
  namespace: shop
spec:
  mtls:
    mode: STRICT
`;

/** Whether a pod gets an answer from the shop's front. */
async function reaches(cluster: Cluster, namespace: string, target: string): Promise<boolean> {
  const { status } = await cluster.exec(
    namespace,
    target,
    'curl',
    '-s',
    '-f',
    '-m',
    '10',
    '-o',
    '/dev/null',
    'http://web.shop:8080/echo',
  );
  return status === 0;
}

export const oneDenied: Check = {
  id: 'f',
  sentence: 'an AuthorizationPolicy denies one caller and not the others, and explain names policy and rule',
  run: async (stage) => {
    const { cluster, shop } = stage;
    expect(await reaches(cluster, 'shop', 'deploy/catalog'), 'catalog cannot reach web even without a policy');
    await shop.undisturbed(async () => {
      await cluster.apply(DENY_CATALOG);
      await eventually('catalog to be denied', async () => !(await reaches(cluster, 'shop', 'deploy/catalog')));
      expect(await reaches(cluster, 'shop', 'deploy/price'), 'price is denied too');
    });
    const logged = await denialLogged(cluster);
    const explained = await explainedBy(stage);
    await cluster.kubectl('delete', 'authorizationpolicy', '-n', 'shop', 'no-catalog');
    await eventually('catalog to be let in again', () => reaches(cluster, 'shop', 'deploy/catalog'));
    const by = explained === undefined ? `${logged} names` : `${logged} and ${explained} name`;
    const text = `catalog denied, price and shopper not; ${by} shop/no-catalog`;
    return {
      text,
      notApplicable: explained === undefined ? [NO_EXPLAIN] : [],
    };
  },
};

/** Waits for the server's node to have written down which policy denied. */
async function denialLogged(cluster: Cluster): Promise<string> {
  const [web] = await cluster.pods('shop', 'app=web');
  return await eventually("a line of the server's node that names the policy", async () => {
    const lines = await accessLog(cluster, web!.node);
    const found = lines.some(
      (line) => line.includes('sa/catalog') && /denied/i.test(line) && line.includes('shop/no-catalog'),
    );
    return found ? "the log of the server's node" : undefined;
  });
}

/** Has the node proxies explain the refusal; undefined when that of the client's node is not ours to ask. */
async function explainedBy({ cluster, parts }: Stage): Promise<string | undefined> {
  const [catalog] = await cluster.pods('shop', 'app=catalog');
  const words = ['explain', '--from', `shop/${catalog!.name}`, '--to', 'web.shop:8080'];
  const { stdout, stderr } = await cluster.ambit(...words);
  if (parts.ztunnel[catalog!.node] !== 'ambit') {
    expect(/cannot explain/.test(stderr), `explain does not say who cannot: ${stdout}${stderr}`);
    return undefined;
  }
  expect(/shop\/no-catalog/.test(stdout), `explain does not name the policy:\n${stdout}${stderr}`);
  expect(/rule/i.test(stdout) && /deny|denied/i.test(stdout), `explain does not name the rule:\n${stdout}`);
  return 'explain';
}

export const strictRefuses: Check = {
  id: 'g',
  sentence: 'STRICT refuses the client outside the mesh',
  run: async ({ cluster, shop }) => {
    expect(await reaches(cluster, 'outside', 'deploy/outsider'), 'the outsider cannot reach web even without STRICT');
    await shop.undisturbed(async () => {
      await cluster.apply(STRICT);
      await eventually(
        'the outsider to be refused',
        async () => !(await reaches(cluster, 'outside', 'deploy/outsider')),
      );
      await shop.busy(20);
    });
    const unready = (await cluster.pods('shop')).filter((pod) => !pod.ready);
    expect(unready.length === 0, `kubelet probes fail under STRICT: ${unready.map((pod) => pod.name).join(', ')}`);
    return 'the outsider is refused, the shop goes on, probes pass';
  },
};
