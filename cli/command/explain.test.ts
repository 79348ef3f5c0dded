// SPDX-License-Identifier: Apache-2.0
import { equal, match, rejects } from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#lib/kube/object.ts';
import type { PodRequest } from '#lib/kube/port-forward.ts';
import { explain as answer, explainTunnel } from '#lib/mesh/explain.ts';
import { mesh } from '#lib/testkit/mesh.ts';
import { explainDns as explainDnsThere } from '../../ztunnel/admin/explain-dns.ts';
import { resolver } from '../../ztunnel/admin/explain-options.ts';
import { loadConfig } from '../../ztunnel/config.ts';
import type { Cluster } from '../cluster.ts';
import { dnsExplanationText, explainDns } from '../ztunnel/dns-explanation.ts';
import { explain } from './explain.ts';
import { explanationText } from './full-explanation.ts';

const WEB = 'shop/web.shop.svc.cluster.local';
const VIEW = mesh({
  workloads: [
    { name: 'catalog-1', namespace: 'shop', serviceAccount: 'catalog', ips: ['10.1.1.2'], node: 'n1' },
    { name: 'price-1', namespace: 'shop', serviceAccount: 'price', ips: ['10.1.1.3'], node: 'n1' },
    { name: 'web-1', namespace: 'shop', ips: ['10.1.2.2'], node: 'n2', serves: { [WEB]: { '8080': 8080 } } },
  ],
  services: [{ name: 'web', namespace: 'shop', vips: ['10.96.0.1'], ports: { '8080': 8080 } }],
  policies: [
    {
      name: 'no-catalog',
      namespace: 'shop',
      scope: 'namespace',
      action: 'deny',
      rules: [[[{ principals: ['cluster.local/ns/shop/sa/catalog'] }]]],
    },
  ],
});

function pod(namespace: string, name: string, app: string, nodeName: string, podIP: string): Pod {
  return { metadata: { namespace, name, labels: { app } }, spec: { nodeName }, status: { phase: 'Running', podIP } };
}

const PODS = [
  pod('istio-system', 'zt-1', 'ztunnel', 'n1', '10.0.0.1'),
  pod('istio-system', 'zt-2', 'ztunnel', 'n2', '10.0.0.2'),
  pod('shop', 'catalog-1', 'catalog', 'n1', '10.1.1.2'),
  pod('shop', 'price-1', 'price', 'n1', '10.1.1.3'),
  pod('shop', 'web-1', 'web', 'n2', '10.1.2.2'),
  pod('istio-system', 'cni-1', 'istio-cni-node', 'n1', '10.0.0.1'),
  pod('istio-system', 'cni-2', 'istio-cni-node', 'n2', '10.0.0.2'),
];

/** What the agents answer to `/debug/pods`: price-1 dialled web's address before it was enrolled, and something else. */
const AGENTS: Readonly<Record<string, unknown>> = {
  'cni-1': [
    { pod: 'shop/catalog-1', state: 'enrolled', open: [] },
    {
      pod: 'shop/price-1',
      state: 'enrolled',
      endsInMs: 3_000_000,
      open: [
        { local: '10.1.1.3:4001', remote: '10.96.0.1:8080' },
        { local: '10.1.1.3:4002', remote: '10.1.9.9:5432' },
      ],
    },
  ],
  'cni-2': [
    {
      pod: 'shop/web-1',
      state: 'enrolled',
      endsInMs: 2_400_000,
      open: [
        { local: '10.1.2.2:8080', remote: '10.1.1.3:4001' },
        { local: '10.1.2.2:8080', remote: '10.1.1.2:4000' },
      ],
    },
  ],
};

const RESOLV = 'nameserver 10.96.0.10';
const readFile = (path: string): string | undefined => (path === '/etc/resolv.conf' ? RESOLV : undefined);
const WORKER = loadConfig({ env: {}, readFile, cores: 1 }).worker;

const page = (agent: string) => ({ status: 200, body: JSON.stringify(AGENTS[agent]) });

/** A cluster whose node proxies all know VIEW. */
function cluster(
  asked: string[] = [],
  instead?: (request: PodRequest, proxy: string) => { status: number; body: string } | undefined,
  agent?: (name: string) => { status: number; body: string },
): Cluster {
  return {
    namespace: 'shop',
    istioNamespace: 'istio-system',
    pods: async (namespace, selector) =>
      PODS.filter(
        ({ metadata }) =>
          metadata.namespace === namespace && selector?.split('=')[1] === (metadata.labels?.['app'] ?? ''),
      ),
    pod: async (namespace, name) =>
      PODS.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    request: async (to, _port, request) => {
      if (request.path === '/debug/pods') return agent?.(to.metadata.name) ?? page(to.metadata.name);
      asked.push(to.metadata.name);
      const other = instead?.(request, to.metadata.name);
      if (other !== undefined) return other;
      const query = new URL(request.path, 'http://z').searchParams;
      const name = query.get('dns');
      if (name !== null) {
        const found = explainDnsThere(VIEW, query.get('from') ?? '', name, WORKER);
        return { status: 200, body: JSON.stringify(found.ok ? found.value : {}) };
      }
      const result = answer(VIEW, query.get('from') ?? '', query.get('to') ?? '', {
        outbound: { network: '', clusterRanges: [], unknownCluster: 'pass' },
        resolve: resolver({
          clusterDomain: 'cluster.local',
          network: '',
          ipv6: true,
          preferredNamespace: undefined,
          searchDomains: undefined,
        }),
      });
      return result.ok
        ? { status: 200, body: JSON.stringify(result.value) }
        : { status: 404, body: JSON.stringify({ error: result.problems.map(({ message }) => message).join('; ') }) };
    },
    list: async () => [],
    close: async () => undefined,
  };
}

test('a denied connection: both proxies are asked, policy and rule are named', async () => {
  const asked: string[] = [];
  const full = await explain(cluster(asked), 'shop/catalog-1', 'web.shop:8080');
  equal(full.allowed, false);
  equal(asked.join(), 'zt-1,zt-2');
  const text = explanationText(full, false);
  match(text, /^DENIED {2}shop\/catalog-1 -> web.shop:8080/);
  match(text, /Outbound, decided on n1\n {2}HBONE to shop\/web-1/);
  match(text, /Inbound at shop\/web-1, decided on n2\n {2}.*denied by AuthorizationPolicy shop\/no-catalog.*rule 1/);
});

test('an allowed one, also to a pod by name', async () => {
  for (const to of ['web:8080', 'shop/web-1:8080']) {
    const full = await explain(cluster(), 'price-1', to);
    equal(full.allowed, true);
    match(explanationText(full, false), /^ALLOWED/);
  }
});

test('a destination outside the mesh is said to be unguarded', async () => {
  const full = await explain(cluster(), 'price-1', '203.0.113.1:443');
  match(explanationText(full, false), /No node proxy guards the destination/);
});

test('what the proxy cannot answer reaches the user, and a proxy that cannot explain is named', async () => {
  await rejects(explain(cluster(), 'price-1', 'nothing:80'), /istio-system\/zt-1: nothing is no service of the mesh/);
  const old = cluster([], () => ({ status: 404, body: '' }));
  await rejects(explain(old, 'price-1', 'web:80'), /istio-system\/zt-1 cannot explain/);
});

test('where the destination’s proxy is another implementation’s, the client’s says what it knows', async () => {
  const asked: string[] = [];
  const mixed = cluster(asked, (_request, proxy) => (proxy === 'zt-2' ? { status: 404, body: '' } : undefined));
  const full = await explain(mixed, 'shop/catalog-1', 'web.shop:8080');
  equal(full.allowed, false);
  equal(asked.join(), 'zt-1,zt-2');
  match(
    explanationText(full, false),
    /Inbound at shop\/web-1, as n1 knows it: istio-system\/zt-2 cannot explain.*\n {2}.*shop\/no-catalog.*rule 1/,
  );
});

test('connections that live on after the enrolment are listed once, by what both agents know', async () => {
  const full = await explain(cluster(), 'price-1', 'web.shop:8080');
  equal(full.pastProxy.length, 1);
  match(
    explanationText(full, false),
    /before the enrolment.*\n {2}10.1.1.3:4001 -> 10.1.2.2:8080, seen in shop\/price-1 and shop\/web-1, ends within 40 min/,
  );
  // Two more ends, each known on one side only.
  const other = await explain(cluster(), 'catalog-1', 'web.shop:8080');
  equal(other.pastProxy.map(({ client, server }) => `${client} ${server}`).join(), '10.1.1.2:4000 10.1.2.2:8080');
});

test('an agent that cannot tell of older connections is named, and the rest is explained', async () => {
  const broken = cluster([], undefined, (name) => (name === 'cni-2' ? { status: 404, body: '' } : page(name)));
  const full = await explain(broken, 'price-1', 'web.shop:8080');
  equal(full.allowed, true);
  equal(full.pastProxy.length, 1);
  match(explanationText(full, false), /not known on n2: cni-2 answered 404/);
});

test('where a waypoint is on the way, it is asked about the request', async () => {
  const asked: URLSearchParams[] = [];
  const part = (verdict: Record<string, unknown>, text: string) => ({ verdict, text, lines: ['a step'] });
  const near = {
    from: { name: 'price-1', namespace: 'shop', identity: 'spiffe://cluster.local/ns/shop/sa/price' },
    to: 'web.shop:8080',
    address: '10.96.0.1',
    outbound: part(
      {
        kind: 'hbone',
        waypoint: true,
        authority: '10.96.0.1:8080',
        workload: { name: 'web-1', namespace: 'shop', node: 'n2' },
      },
      'HBONE to its waypoint',
    ),
    allowed: true,
  };
  const at = (allowed: boolean) =>
    cluster([], (request, name) => {
      if (name === 'zt-1') return { status: 200, body: JSON.stringify(near) };
      asked.push(new URL(request.path, 'http://w').searchParams);
      const access = part({ allow: allowed }, allowed ? 'no policy stands in the way' : 'denied by shop/p');
      const routing = allowed ? { routing: part({ kind: 'forward' }, 'to shop/web-v2:8080') } : {};
      return { status: 200, body: JSON.stringify({ service: 'shop/web:8080', allowed, access, ...routing }) };
    });
  const query = { method: 'POST', path: '/x?y=1', headers: ['a:b', 'c:d'] };
  const full = await explain(at(true), 'price-1', 'web.shop:8080', query);
  equal(full.allowed, true);
  match(
    explanationText(full, false),
    /POST \/x\?y=1 to shop\/web:8080, decided by waypoint shop\/web-1: access\n {2}no policy[\s\S]*Routing\n {2}to shop\/web-v2:8080/,
  );
  equal(asked[0]?.get('identity'), near.from.identity);
  equal(asked[0]?.get('to'), '10.96.0.1:8080');
  equal(asked[0]?.getAll('header').join(), 'a:b,c:d');
  const denied = await explain(at(false), 'price-1', 'web.shop:8080', query);
  match(explanationText(denied, false), /^DENIED/);
});

test('behind a waypoint the endpoint’s own proxy is asked whether it lets the waypoint in', async () => {
  const part = (verdict: Record<string, unknown>, text: string) => ({ verdict, text, lines: [] });
  const [waypoint, server] = ['catalog-1', 'web-1'].map((name) => ({ name, namespace: 'shop', node: 'n2' }));
  const outbound = part({ kind: 'hbone', waypoint: true, authority: '10.96.0.1:8080', workload: waypoint }, 'HBONE');
  const near = { from: { identity: 'spiffe://x' }, to: 'web.shop:8080', address: '10.96.0.1', outbound, allowed: true };
  const tunnels: URLSearchParams[] = [];
  const there = cluster([], (request, name) => {
    const query = new URL(request.path, 'http://w').searchParams;
    if (name === 'zt-1') return { status: 200, body: JSON.stringify(near) };
    if (query.get('tunnel') === 'true') {
      tunnels.push(query);
      const options = { outbound: { network: '', clusterRanges: [], unknownCluster: 'pass' as const } };
      const answer = explainTunnel(VIEW, query.get('from') ?? '', query.get('to') ?? '', options);
      return { status: 200, body: JSON.stringify(answer.ok ? answer.value : { error: 'unknown' }) };
    }
    const endpoint = { kind: 'endpoint', address: '10.1.2.2:8080', tunnelled: true, workload: server };
    const parts = { access: part({ allow: true }, 'no policy'), endpoint: part(endpoint, 'to shop/web-1') };
    return { status: 200, body: JSON.stringify({ service: 'shop/web:8080', allowed: true, stream: true, ...parts }) };
  });
  const full = await explain(there, 'price-1', 'web.shop:8080');
  equal(tunnels.map((query) => `${query.get('from')} ${query.get('to')}`).join(), 'shop/catalog-1 10.1.2.2:8080');
  equal(full.allowed, false);
  const text = explanationText(full, false);
  match(text, /^DENIED {2}[\s\S]*A stream to shop\/web:8080, decided by waypoint shop\/catalog-1: access\n/);
  match(text, /Endpoint\n {2}to shop\/web-1\n/);
  match(
    text,
    /Inbound at shop\/web-1, which sees the waypoint, decided on n2\n {2}.*denied by.*shop\/no-catalog, rule 1/,
  );
});

test('a client that is let in and whose tunnels have to wait there is told why', async () => {
  const calm = cluster();
  const waiting = {
    address: '10.1.1.3',
    waiting: 4,
    since: '2026-01-01T00:00:00.000Z',
    offences: 9,
    reason: 'too much',
  };
  const held: Cluster = {
    ...calm,
    request: async (to, port, request) => {
      const reply = await calm.request(to, port, request);
      if (to.metadata.name !== 'zt-2') return reply;
      return { ...reply, body: JSON.stringify({ ...(JSON.parse(reply.body) as object), held: [waiting] }) };
    },
  };
  const full = await explain(held, 'price-1', 'web.shop:8080');
  equal(full.allowed, true);
  equal(full.inbound?.held?.length, 1);
  const text = explanationText(full, false);
  match(text, /^ALLOWED, but has to wait {2}shop\/price-1 -> web\.shop:8080/);
  match(
    text,
    /decided on n2\n[\s\S]*\n {2}Tunnels from 10\.1\.1\.3 have to wait here, 4 of them do since 2026-.*9 offences still count, the last: too much/,
  );
  const denied = await explain(held, 'catalog-1', 'web.shop:8080');
  match(explanationText(denied, false), /^DENIED /);
});

test('what no policy denies and yet goes nowhere is said to fail', async () => {
  const part = (verdict: Record<string, unknown>, text: string) => ({ verdict, text, lines: [] });
  const near = { to: 'web:1', address: '10.96.0.1', outbound: part({ kind: 'drop' }, 'no endpoint'), allowed: false };
  const there = cluster([], () => ({ status: 200, body: JSON.stringify(near) }));
  match(explanationText(await explain(there, 'price-1', 'web:1'), false), /^FAILS {2}shop\/price-1 -> web:1\n/);
});

test('a question to DNS: the client’s proxy says what it would be answered, what both types have in common once', async () => {
  const asked: string[] = [];
  const client = PODS.find(({ metadata }) => metadata.name === 'catalog-1')!;
  const own = dnsExplanationText(await explainDns(cluster(asked), client, 'web'), false);
  equal(asked.join(), 'zt-1');
  match(
    own,
    /^DNS {2}shop\/catalog-1 asks for web\n\nA, decided on n1\n {2}10\.96\.0\.1 for 30 s: service shop\/web\./,
  );
  match(own, /\nAAAA, decided on n1\n {2}the name exists, with no record of this type/);
  const other = dnsExplanationText(await explainDns(cluster(), client, 'example.com'), false);
  match(other, /\nA and AAAA, decided on n1\n {2}no name of the mesh: passed on to 10\.96\.0\.10\n/);
});

test('a pod that keeps its questions from the proxy is said to', async () => {
  const client = PODS.find(({ metadata }) => metadata.name === 'catalog-1')!;
  const apart = {
    ...client,
    metadata: { ...client.metadata, annotations: { 'ambient.istio.io/dns-capture': 'false' } },
  };
  const text = dnsExplanationText(await explainDns(cluster(), apart, 'web'), false);
  match(text, /own resolvers are asked, past the proxy: the pod’s annotation ambient\.istio\.io\/dns-capture is false/);
});
