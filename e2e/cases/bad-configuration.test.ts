// SPDX-License-Identifier: Apache-2.0
// What is wrong with an object is said where its author looks: on the object, and offline by `ambit validate`.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';

const UNKNOWN_LABEL = `
apiVersion: v1
kind: Namespace
metadata:
  name: typo
  labels:
    istio.io/dataplane-mode: ambiant
`;
const BAD_BLOCK = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: bad-block
  namespace: default
spec:
  action: DENY
  rules:
    - from:
        - source:
            ipBlocks: [10.0.0.0/64]
`;
const MISSING_TARGET = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: missing-target
  namespace: default
spec:
  targetRefs:
    - kind: Service
      group: ""
      name: nowhere
  action: DENY
  rules:
    - {}
`;
const MALFORMED = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: x\n';

let cluster: Cluster;
const folder = mkdtempSync(join(tmpdir(), 'ambit-bad-'));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

before(async () => {
  cluster = await Cluster.up({ name: `bad-${process.pid}`, nodes: 1 });
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  await cluster?.down();
});

const validate = async (name: string, text: string): Promise<string> => {
  const { status, stdout, stderr } = await cluster.ambit('validate', file(name, text));
  assert.notEqual(status, 0, `${name} passed`);
  return stdout + stderr;
};
const events = async (namespace: string): Promise<string> =>
  await cluster.kubectl(
    'get',
    'events',
    '-n',
    namespace,
    '-o',
    'jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name}: {.message}{"\\n"}{end}',
  );
const conditions = async (name: string): Promise<string> =>
  await cluster.kubectl(
    'get',
    'authorizationpolicy',
    '-n',
    'default',
    name,
    '-o',
    'jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}',
  );

test('an unknown label value: an Event on the namespace, and validate says the same', async () => {
  const offline = await validate('label.yaml', UNKNOWN_LABEL);
  for (const part of ['typo', 'istio.io/dataplane-mode', 'ambiant', 'ambient']) assert.match(offline, new RegExp(part));
  await cluster.apply(UNKNOWN_LABEL);
  await eventually('an Event on the namespace', async () => {
    const text = (await events('typo')) + (await events('default'));
    return /Namespace\/typo/.test(text) && /istio\.io\/dataplane-mode/.test(text) && /ambient/.test(text);
  });
});

test('a policy with a bad address block: refused when applied, and validate says the same', async () => {
  const field = /spec\.rules\[0\]\.from\[0\]\.source\.ipBlocks\[0\]/;
  assert.match(await validate('block.yaml', BAD_BLOCK), field);
  // Until istiod has been reached once, its webhook lets pass what it cannot be asked about.
  await eventually('the webhook in force', async () =>
    /^Fail( Fail)*$/.test(
      await cluster.kubectl(
        'get',
        'validatingwebhookconfigurations',
        '-o',
        'jsonpath={.items[*].webhooks[*].failurePolicy}',
      ),
    ),
  );
  await assert.rejects(cluster.apply(BAD_BLOCK), (error: Error) => {
    assert.match(error.message, /denied the request/);
    assert.match(error.message, field);
    return true;
  });
});

test('one that was stored all the same carries a condition that names the field', async () => {
  await cluster.kubectl('delete', 'validatingwebhookconfigurations', '--all');
  await cluster.apply(BAD_BLOCK);
  await eventually('a condition on the policy', async () => /ipBlocks\[0\]/.test(await conditions('bad-block')));
});

test('a policy that names a missing service: a condition says so', async () => {
  await cluster.apply(MISSING_TARGET);
  await eventually('a condition on the policy', async () => {
    const text = await conditions('missing-target');
    return /=False/.test(text) && /nowhere/.test(text);
  });
});

test('what was changed is told afterwards, by diff', async () => {
  await eventually('the policy in the history', async () => {
    const { stdout } = await cluster.ambit('diff', '--from', '10m');
    return /AuthorizationPolicy default\/missing-target \(created\)/.test(stdout) && /\+ +name: nowhere/.test(stdout);
  });
});

test('malformed YAML: validate names file and line', async () => {
  const offline = await validate('malformed.yaml', MALFORMED);
  assert.match(offline, /malformed\.yaml/);
  assert.match(offline, /line \d|:\d+/);
});
