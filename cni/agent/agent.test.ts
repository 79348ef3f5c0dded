// SPDX-License-Identifier: Apache-2.0
// The agent's pure parts: pods as read, control groups, socket tables, the plugin's words, settings.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLogger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import type { Namespace, Pod } from '#lib/kube/object.ts';
import { readConfig } from '../config.ts';
import { DEFAULT_SELECTORS } from '../enablement.ts';
import { createCniMetrics } from './metrics.ts';
import { podUidOf } from './netns-finder.ts';
import { type AddRequest, parseAddRequest, servePlugin } from './plugin-server.ts';
import { addressesOf, judge, overridesOf } from './pod-view.ts';
import { parse } from './sockets.ts';
import { isStrict } from './strict.ts';

const OPTIONS = { selectors: DEFAULT_SELECTORS, excludeNamespaces: ['kube-system'], systemNamespace: 'istio-system' };
const MESH: Namespace = { metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } } };

function pod(changes: Partial<Pod['metadata']> = {}, more: Partial<Pod> = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'shop', uid: 'u', ...changes },
    spec: {},
    status: { phase: 'Running' },
    ...more,
  };
}

const cases: readonly (readonly [
  sentence: string,
  pod: Pod,
  namespace: Namespace | undefined,
  eligible: boolean,
  reason: RegExp,
])[] = [
  ['a pod of a labelled namespace belongs', pod(), MESH, true, /selector/],
  ['a pod that ended does not', pod({}, { status: { phase: 'Succeeded' } }), MESH, false, /Succeeded/],
  [
    'a pod on the network of its node does not',
    pod({}, { spec: { hostNetwork: true } }),
    MESH,
    false,
    /network of its node/,
  ],
  ['a pod of an excluded namespace does not', pod({ namespace: 'kube-system' }), MESH, false, /excluded/],
  ['a pod that opts out does not', pod({ labels: { 'istio.io/dataplane-mode': 'none' } }), MESH, false, /=none/],
  [
    'the node proxy does not',
    pod({ namespace: 'istio-system', labels: { app: 'ztunnel' } }),
    MESH,
    false,
    /node proxy/,
  ],
  ['a pod whose namespace is unknown does not', pod(), undefined, false, /not known/],
];
for (const [sentence, object, namespace, eligible, reason] of cases) {
  test(sentence, () => {
    const verdict = judge(object, namespace, OPTIONS);
    assert.equal(verdict.eligible, eligible);
    assert.match(verdict.reason, reason);
  });
}

test('annotations override the defaults, and those that say neither yes nor no are named and ignored', () => {
  const annotations = {
    'ambient.istio.io/dns-capture': 'false',
    'ambient.istio.io/bypass-inbound-capture': 'perhaps',
    'istio.io/reroute-virtual-interfaces': ' tap0, br1 ,',
  };
  assert.deepEqual(overridesOf(pod({ annotations }), { dnsCapture: true }), {
    dnsCapture: false,
    bypassInbound: false,
    virtualInterfaces: ['tap0', 'br1'],
    unreadable: ['ambient.istio.io/bypass-inbound-capture'],
  });
});

test("a pod's addresses are those of its status, the list before the single one", () => {
  assert.deepEqual(addressesOf(pod({}, { status: { podIP: '10.0.0.1' } })), ['10.0.0.1']);
  const podIPs = [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }];
  assert.deepEqual(addressesOf(pod({}, { status: { podIP: '10.0.0.1', podIPs } })), ['10.0.0.1', 'fd00::1']);
  assert.deepEqual(addressesOf(pod()), []);
});

test('a control group names its pod however the runtime writes it, and two names are none', () => {
  const uid = '0f9a1c2d-1234-4abc-8def-0123456789ab';
  const flat = uid.replaceAll('-', '_');
  for (const text of [
    `0::/kubepods/burstable/pod${uid}/3e4f`,
    `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${flat}.slice/cri-containerd-3e4f.scope`,
    `12:cpu:/kubepods/pod${uid}/a\n11:memory:/kubepods/pod${uid}/a\n`,
  ]) {
    assert.equal(podUidOf(text), uid);
  }
  assert.equal(podUidOf(`1:a:/pod${uid}/x\n2:b:/pod${uid.replace('0f9a', '1111')}/x`), undefined);
  assert.equal(podUidOf('0::/system.slice/ssh.service'), undefined);
});

test('socket tables are read as addresses, listening and waiting ones left out', () => {
  const head = '  sl  local_address rem_address   st tx_queue rx_queue';
  const v4 = parse(
    `${head}\n   0: 0200060A:1F90 0100060A:C350 01 00000000\n   1: 00000000:0050 00000000:0000 0A 0\n   2: 0200060A:0050 0100060A:0001 06 0`,
  );
  assert.deepEqual(
    v4.map(({ local, remote }) => [String(local), String(remote)]),
    [['10.6.0.2:8080', '10.6.0.1:50000']],
  );
  const v6 = parse(`${head}\n   0: 060000FD000000000000000002000000:1F90 0000000000000000FFFF00000100060A:C350 08 0`);
  assert.deepEqual(
    v6.map(({ local, remote }) => [String(local), String(remote)]),
    [['[fd00:6::2]:8080', '10.6.0.1:50000']],
  );
});

test("the plugin's request is read as Istio's plugin writes it, and refused when malformed", () => {
  const body = {
    Netns: '/var/run/netns/cni-1',
    PodName: 'web',
    PodNamespace: 'shop',
    IPs: [
      { Interface: 2, Address: { IP: '10.0.0.1', Mask: '/////w==' }, Gateway: '' },
      { Interface: null, Address: { IP: '::ffff:10.0.0.2', Mask: '' }, Gateway: '' },
    ],
  };
  const expected: AddRequest = {
    netns: '/var/run/netns/cni-1',
    name: 'web',
    namespace: 'shop',
    ips: ['10.0.0.1', '10.0.0.2'],
  };
  assert.deepEqual(parseAddRequest(JSON.stringify(body)), expected);
  assert.deepEqual(parseAddRequest(JSON.stringify({ ...body, IPs: null }))?.ips, []);
  for (const bad of [
    '',
    '{',
    '[]',
    '{}',
    JSON.stringify({ ...body, Netns: '' }),
    JSON.stringify({ ...body, PodName: 7 }),
  ]) {
    assert.equal(parseAddRequest(bad), undefined, bad);
  }
});

test('the plugin is told 200 when the pod may start, 400 when it speaks nonsense, 500 with the reason otherwise', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
  const path = join(folder, 'pluginevent.sock');
  const log = createLogger({ scope: 'test', write: () => {} });
  const served = await servePlugin({
    path,
    log,
    metrics: createCniMetrics(createMetrics()),
    onAdd: async ({ name }) => {
      if (name === 'bad') throw new Error('no ztunnel connection');
      return name === 'web';
    },
  });
  const ask = (url: string, body: string) =>
    new Promise<[number, string]>((resolve, reject) => {
      const call = request({ socketPath: path, path: url, method: 'POST' }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve([answer.statusCode!, text]));
      });
      call.on('error', reject).end(body);
    });
  const body = (PodName: string) => JSON.stringify({ Netns: '/n', PodName, PodNamespace: 'shop', IPs: null });
  try {
    assert.deepEqual(await ask('/cmdadd', body('web')), [200, 'enrolled']);
    assert.deepEqual(await ask('/cmdadd', body('other')), [200, 'not enrolled']);
    assert.deepEqual(await ask('/cmdadd', body('bad')), [500, 'no ztunnel connection']);
    assert.equal((await ask('/cmdadd', 'nonsense'))[0], 400);
    assert.equal((await ask('/other', body('web')))[0], 404);
  } finally {
    await served.close();
    rmSync(folder, { recursive: true });
  }
});

test('settings come from flags before the environment, and all that is wrong is told at once', () => {
  const env: Record<string, string> = { NODE_NAME: 'n1', MONITORING_PORT: '1234', AMBIENT_DNS_CAPTURE: 'true' };
  const config = readConfig(['--monitoring-port=4321', '--ambient-enabled'], (name) => env[name]);
  assert.deepEqual([config.monitoringPort, config.ambientEnabled, config.dnsCapture], [4321, true, true]);
  assert.deepEqual(config.selectors, DEFAULT_SELECTORS);
  const bad: Record<string, string> = { HOST_PROBE_SNAT_IP: 'fd00::1', AMBIENT_ENABLEMENT_SELECTOR: 'x: y' };
  assert.throws(
    () => readConfig(['--log_output_level=default:loud'], (name) => bad[name]),
    (error: Error) =>
      ['NODE_NAME', 'HOST_PROBE_SNAT_IP', 'AMBIENT_ENABLEMENT_SELECTOR', 'log_output_level'].every((name) =>
        error.message.includes(name),
      ),
  );
});

test('the most specific PeerAuthentication decides whether a pod is strict', () => {
  const policy = (namespace: string, mode: string, matchLabels?: Record<string, string>) => ({
    metadata: { name: mode, namespace },
    spec: { mtls: { mode }, ...(matchLabels ? { selector: { matchLabels } } : {}) },
  });
  const web = pod({ labels: { app: 'web' } });
  const mesh = policy('istio-system', 'STRICT');
  assert.equal(isStrict(web, [], 'istio-system'), false);
  assert.equal(isStrict(web, [mesh], 'istio-system'), true);
  assert.equal(isStrict(web, [mesh, policy('shop', 'PERMISSIVE')], 'istio-system'), false);
  assert.equal(
    isStrict(web, [policy('shop', 'PERMISSIVE'), policy('shop', 'STRICT', { app: 'web' })], 'istio-system'),
    true,
  );
  assert.equal(isStrict(web, [policy('shop', 'STRICT', { app: 'other' })], 'istio-system'), false);
  assert.equal(isStrict(web, [mesh, policy('shop', 'UNSET')], 'istio-system'), true);
  assert.equal(isStrict(web, [policy('other', 'STRICT')], 'istio-system'), false);
});
