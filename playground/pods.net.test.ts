// SPDX-License-Identifier: Apache-2.0
// What a pod may expect of its node, on a whole cluster without the mesh.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CONFIG_MAP, SECRET, SERVICE } from '#lib/kube/kind.ts';
import type { Service } from '#lib/kube/object.ts';
import { POD } from './kubelet/pod.ts';
import { eventually, isReady, TestCluster } from './testing.ts';

const NODE_SERVER = `exec node -e '
const s = require("node:http").createServer((q, r) => r.end(q.socket.remoteAddress)).listen(8080, "::");
process.on("SIGTERM", () => process.exit(0));'`;
const on = (node: number): object => ({ nodeSelector: { 'kubernetes.io/hostname': `node-${node}` } });

let cluster: TestCluster;
before(async () => {
  cluster = await TestCluster.up();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

test('a pod is reached from another node by address and by name, both families, and sees who calls', async () => {
  const name = cluster.name('server');
  await cluster.pod(name, NODE_SERVER, {
    labels: { app: name },
    spec: on(1),
    container: { readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 } },
  });
  await cluster.client.create(SERVICE, {
    metadata: { name, namespace: 'default' },
    spec: { ipFamilyPolicy: 'PreferDualStack', selector: { app: name }, ports: [{ port: 80, targetPort: 8080 }] },
  } as Service);
  const pod = await cluster.until(name, 'the server to be ready', isReady);
  const [v4, v6] = (pod.status?.podIPs ?? []).map(({ ip }) => ip);
  assert.match(v4 ?? '', /^10\.244\.1\./);
  assert.match(v6 ?? '', /^fd00:10:244:1::/);
  const asked = [
    `http://${v4}:8080`,
    `http://[${v6}]:8080`,
    `http://${name}`,
    `http://${name}.default.svc.cluster.local`,
  ];
  const script = `for url in ${asked.map((url) => `'${url}'`).join(' ')}; do curl -sS -m 20 "$url"; echo; done; echo "own $IPS"`;
  const env = [{ name: 'IPS', valueFrom: { fieldRef: { fieldPath: 'status.podIPs' } } }];
  const lines = (await cluster.run(script, { spec: on(2), container: { env } })).trim().split('\n');
  const own = (lines.pop() ?? '').replace('own ', '').split(',');
  assert.equal(own.length, 2);
  assert.equal(lines.length, asked.length);
  for (const line of lines) assert.ok(own.includes(line.replace('::ffff:', '')), `${line} is none of ${own.join(' ')}`);
});

test('config maps, secrets, tokens and facts about the pod arrive as files and variables', async () => {
  const name = cluster.name('data');
  await cluster.client.create(CONFIG_MAP, { metadata: { name, namespace: 'default' }, data: { color: 'blue' } });
  const secret = { metadata: { name, namespace: 'default' }, data: { key: Buffer.from('s3cret').toString('base64') } };
  await cluster.client.create(SECRET, secret);
  const out = await cluster.run(
    'cat /data/color /secret/k /info/labels; wc -c < /var/run/secrets/tokens/t; echo "$COLOR-$KEY-$NODE-$MIXED"; cat /etc/hostname; stat -c %a /secret/k -L',
    {
      labels: { app: 'x' },
      container: {
        env: [
          { name: 'COLOR', valueFrom: { configMapKeyRef: { name, key: 'color' } } },
          { name: 'KEY', valueFrom: { secretKeyRef: { name, key: 'key' } } },
          { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
          { name: 'MIXED', value: '$(COLOR)/$$(NO)' },
          { name: 'GONE', valueFrom: { configMapKeyRef: { name: 'none', key: 'k', optional: true } } },
        ],
        volumeMounts: [
          { name: 'data', mountPath: '/data' },
          { name: 'secret', mountPath: '/secret', readOnly: true },
          { name: 'info', mountPath: '/info' },
          { name: 'token', mountPath: '/var/run/secrets/tokens' },
        ],
      },
      spec: {
        ...on(1),
        volumes: [
          { name: 'data', configMap: { name } },
          { name: 'secret', secret: { secretName: name, items: [{ key: 'key', path: 'k', mode: 0o400 }] } },
          { name: 'info', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
          { name: 'token', projected: { sources: [{ serviceAccountToken: { path: 't', audience: 'istio-ca' } }] } },
        ],
      },
    },
  );
  assert.match(out, /^blues3cretapp="x"\n\d{3,}\nblue-s3cret-node-1-blue\/\$\(NO\)\nrun-\d+\n400\n$/);
});

test('a changed config map reaches the files of a running pod', async () => {
  const name = cluster.name('watched');
  const map = { metadata: { name, namespace: 'default' }, data: { v: 'one' } };
  await cluster.client.create(CONFIG_MAP, map);
  await cluster.pod(name, 'until grep -q two /data/v; do sleep 0.1; done; echo seen', {
    container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    spec: { volumes: [{ name: 'data', configMap: { name } }] },
  });
  await cluster.until(name, 'the pod to run', (pod) => pod.status?.phase === 'Running');
  await cluster.client.mergePatch(CONFIG_MAP, { namespace: 'default', name }, { data: { v: 'two' } });
  await cluster.until(name, 'the change to be seen', (pod) => pod.status?.phase === 'Succeeded');
});

test('a pod waits for the config map it needs, and says so', async () => {
  const name = cluster.name('waiting');
  await cluster.pod(name, 'cat /data/v', {
    container: { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
    spec: { volumes: [{ name: 'data', configMap: { name } }] },
  });
  await eventually('an event that names the config map', async () => {
    const text = await cluster.client.text('/api/v1/namespaces/default/events');
    return text.includes(`needs ConfigMap ${name}`);
  });
  await cluster.client.create(CONFIG_MAP, { metadata: { name, namespace: 'default' }, data: { v: 'late' } });
  await cluster.until(name, 'the pod to end', (pod) => pod.status?.phase === 'Succeeded');
  assert.equal(await cluster.log(name), 'late');
});

test('a container that fails is restarted, and its former run is told', async () => {
  const name = cluster.name('failing');
  await cluster.pod(name, 'echo try; exit 7', { spec: { restartPolicy: 'Always' } });
  const pod = await cluster.until(
    name,
    'two restarts',
    (seen) => (seen.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2,
  );
  const last = pod.status?.containerStatuses?.[0]?.lastState;
  assert.equal(last !== undefined && 'terminated' in last && last.terminated.exitCode, 7);
  await cluster.until(name, 'the pause to show', (seen) => {
    const state = seen.status?.containerStatuses?.[0]?.state;
    return state !== undefined && 'waiting' in state && state.waiting.reason === 'CrashLoopBackOff';
  });
  assert.equal(await cluster.log(name, { previous: 'true' }), 'try\n');
  await cluster.client.delete(POD, { namespace: 'default', name });
});

test('a failing liveness probe restarts the container, a failing readiness probe makes the pod unready', async () => {
  const other = cluster.name('probed');
  const map = { metadata: { name: other, namespace: 'default' }, data: { v: 'well' } };
  await cluster.client.create(CONFIG_MAP, map);
  await cluster.pod(
    other,
    'trap "exit 0" TERM; until grep -q sick /data/v; do sleep 0.1; done; touch /tmp/dead; while :; do sleep 0.1; done',
    {
      spec: { restartPolicy: 'Always', volumes: [{ name: 'data', configMap: { name: other } }] },
      container: {
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
        livenessProbe: { exec: { command: ['test', '!', '-e', '/tmp/dead'] }, periodSeconds: 1, failureThreshold: 1 },
        readinessProbe: { exec: { command: ['test', '!', '-e', '/tmp/dead'] }, periodSeconds: 1, failureThreshold: 1 },
      },
    },
  );
  await cluster.until(other, 'the pod to be ready', isReady);
  await cluster.client.mergePatch(CONFIG_MAP, { namespace: 'default', name: other }, { data: { v: 'sick' } });
  await cluster.until(other, 'the pod to be unready', (pod) => !isReady(pod));
  await cluster.until(other, 'a restart', (pod) => (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1);
  await cluster.client.delete(POD, { namespace: 'default', name: other });
});

test('a container runs as the user it asks for, without the capabilities it dropped, on a read-only root', async () => {
  const script =
    'id -u; id -g; grep -E "CapEff|CapBnd|NoNewPrivs" /proc/self/status; touch /etc/x 2>&1 | grep -c Read-only; touch /tmp/ok && echo writable';
  const out = await cluster.run(script, {
    container: {
      securityContext: {
        runAsUser: 1234,
        runAsGroup: 5678,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      },
      volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
    },
    spec: { volumes: [{ name: 'tmp', emptyDir: {} }] },
  });
  assert.match(out, /^1234\n5678\nCapEff:\s+0+\nCapBnd:\s+0+\nNoNewPrivs:\s+1\n1\nwritable\n$/);
});

test('root keeps only the usual capabilities and those it adds', async () => {
  const capabilities = { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN'] };
  const out = await cluster.run('grep CapEff /proc/self/status', { container: { securityContext: { capabilities } } });
  // CAP_NET_ADMIN is bit 12, CAP_SYS_ADMIN bit 21 (linux/capability.h).
  assert.equal(Number.parseInt(out.split(/\s+/)[1]!, 16), (1 << 12) | (1 << 21));
});

test('init containers run in order before the others, and a sidecar stays beside them', async () => {
  const name = cluster.name('init');
  const shared = [{ name: 'd', mountPath: '/d' }];
  const shell = (word: string) => ({
    name: word,
    image: 'busybox',
    command: ['sh', '-c', `echo ${word} >> /d/order`],
    volumeMounts: shared,
  });
  await cluster.pod(name, 'until grep -q side /d/order; do sleep 0.05; done; cat /d/order', {
    container: { volumeMounts: shared },
    spec: {
      volumes: [{ name: 'd', emptyDir: {} }],
      initContainers: [
        shell('one'),
        {
          ...shell('side'),
          restartPolicy: 'Always',
          command: ['sh', '-c', 'trap "exit 0" TERM; echo side >> /d/order; while :; do sleep 0.1; done'],
        },
        shell('two'),
      ],
    },
  });
  await cluster.until(name, 'the pod to end', (pod) => pod.status?.phase === 'Succeeded');
  const words = (await cluster.log(name, { container: 'main' })).trim().split('\n');
  assert.equal(words[0], 'one');
  assert.deepEqual([...words].sort(), ['one', 'side', 'two']);
});

test('a pod that is deleted runs its preStop handler, gets SIGTERM and then its grace', async () => {
  const name = cluster.name('graceful');
  await cluster.pod(
    name,
    'trap "echo term >> /d/log; sleep 0.3; echo done >> /d/log; exit 0" TERM; touch /tmp/up; while :; do sleep 0.1; done',
    {
      spec: {
        ...on(1),
        terminationGracePeriodSeconds: 60,
        volumes: [{ name: 'd', hostPath: { path: `/var/lib/${name}`, type: 'DirectoryOrCreate' } }],
      },
      container: {
        volumeMounts: [{ name: 'd', mountPath: '/d' }],
        // Ready once it minds the signal.
        readinessProbe: { exec: { command: ['test', '-e', '/tmp/up'] }, periodSeconds: 1 },
        lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo stop >> /d/log'] } } },
      },
    },
  );
  await cluster.until(name, 'the pod to run', isReady);
  await cluster.client.delete(POD, { namespace: 'default', name });
  await eventually(
    'the object to go',
    async () => (await cluster.client.get(POD, { namespace: 'default', name })) === undefined,
  );
  const out = await cluster.run('cat /d/log', {
    spec: { ...on(1), volumes: [{ name: 'd', hostPath: { path: `/var/lib/${name}` } }] },
    container: { volumeMounts: [{ name: 'd', mountPath: '/d' }] },
  });
  assert.equal(out, 'stop\nterm\ndone\n');
});

test('a node agent finds a pod by the control group of its processes, and its network by its process', async () => {
  const name = cluster.name('found');
  // Its processes stay, so that each that is found can be looked at.
  const made = await cluster.pod(name, 'trap "exit 0" TERM; sleep 86400 & wait', { spec: on(1) });
  const pod = await cluster.until(name, 'the pod to run', isReady);
  const script = `for p in /host/proc/[0-9]*; do grep -q "/pod${made.metadata.uid}" $p/cgroup 2>/dev/null && readlink $p/ns/net; done | sort -u | wc -l
    p=$(grep -l "/pod${made.metadata.uid}" /host/proc/[0-9]*/cgroup 2>/dev/null | head -1); nsenter --net=$(dirname $p)/ns/net ip -o addr | grep -c ${pod.status?.podIP}
    ls /host/netns | grep -c cni-`;
  const out = await cluster.run(script, {
    container: {
      securityContext: { privileged: true },
      volumeMounts: [
        { name: 'proc', mountPath: '/host/proc', readOnly: true },
        { name: 'netns', mountPath: '/host/netns', mountPropagation: 'HostToContainer' },
      ],
    },
    spec: {
      ...on(1),
      volumes: [
        { name: 'proc', hostPath: { path: '/proc', type: 'Directory' } },
        { name: 'netns', hostPath: { path: '/var/run/netns', type: 'DirectoryOrCreate' } },
      ],
    },
  });
  const [namespaces, addresses, files] = out.trim().split('\n').map(Number);
  assert.equal(namespaces, 1);
  assert.equal(addresses, 1);
  assert.ok((files ?? 0) >= 2);
  await cluster.client.delete(POD, { namespace: 'default', name });
});

test('an unknown image and a missing variable hold a container back with their reason', async () => {
  const reasonOf = async (name: string): Promise<string> => {
    const pod = await cluster.until(name, 'a reason', (seen) => {
      const state = seen.status?.containerStatuses?.[0]?.state;
      return state !== undefined && 'waiting' in state && state.waiting.message !== undefined;
    });
    const state = pod.status!.containerStatuses![0]!.state;
    await cluster.client.delete(POD, { namespace: 'default', name });
    return 'waiting' in state ? `${state.waiting.reason}: ${state.waiting.message}` : '';
  };
  const image = cluster.name('held');
  await cluster.pod(image, 'true', { container: { image: 'example.org/nothing:1' } });
  assert.match(await reasonOf(image), /^CreateContainerConfigError: image "example.org\/nothing:1" stands for nothing/);
  const variable = cluster.name('held');
  const env = [{ name: 'X', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }];
  await cluster.pod(variable, 'true', { container: { env } });
  assert.match(await reasonOf(variable), /^CreateContainerConfigError: couldn't find key k in Secret none/);
});
