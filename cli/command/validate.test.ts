// SPDX-License-Identifier: Apache-2.0
import { equal, match, rejects } from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCli } from '../program.ts';

async function validate(texts: Record<string, string>, ...options: string[]): Promise<{ code: number; out: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-validate-'));
  try {
    for (const [name, text] of Object.entries(texts)) writeFileSync(join(folder, name), text);
    let out = '';
    const write = (text: string) => {
      out += text;
    };
    const code = await runCli(['validate', folder, ...options], {
      env: () => undefined,
      out: write,
      err: write,
      color: false,
    });
    return { code, out: out.replaceAll(`${folder}/`, '') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const GOOD = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: good, namespace: shop}
spec: {action: DENY, rules: [{from: [{source: {principals: ["*"]}}]}]}
`;

test('what is well is counted, and the exit code is 0', async () => {
  const { code, out } = await validate({
    'a.yaml': GOOD,
    'b.json': '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x"}}',
  });
  equal(out, '2 objects checked: 0 errors, 0 warnings\n');
  equal(code, 0);
});

test('an error names file, line, object, field and fix, and the exit code is 1', async () => {
  const text = `${GOOD}---\n${GOOD.replace('good', 'bad').replace('DENY', 'FORBID')}`;
  const { code, out } = await validate({ 'a.yaml': text });
  match(out, /^a.yaml:11: error: AuthorizationPolicy shop\/bad: spec.action: .*FORBID.*; .*DENY/);
  match(out, /2 objects checked: 1 error, 0 warnings\n$/);
  equal(code, 1);
});

test('an unknown label value and a broken document are errors', async () => {
  const text = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {istio.io/dataplane-mode: ambiant}}\n';
  const { code, out } = await validate({ 'a.yaml': text, 'b.yaml': 'a: [1\n' });
  match(out, /a.yaml:3: error: Namespace x: metadata.labels\[istio.io\/dataplane-mode\]: .*ambiant/);
  match(out, /b.yaml:\d+: error: /);
  equal(code, 1);
});

test('programs get JSON', async () => {
  const { out } = await validate({ 'a.yaml': GOOD.replace('DENY', 'FORBID') }, '-o', 'json');
  const [finding] = JSON.parse(out) as { severity: string; field: string; line: number }[];
  equal(finding?.severity, 'error');
  equal(finding?.field, 'spec.action');
  equal(finding?.line, 5);
});

test('a policy that names a missing thing is told as on a cluster', async () => {
  const service =
    'apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {ports: [{port: 80}]}\n';
  const policy = GOOD.replace('spec: {', 'spec: {targetRefs: [{kind: Service, group: "", name: wep}], ');
  const { code, out } = await validate({ 'a.yaml': `${service}---${policy}` });
  match(out, /AuthorizationPolicy shop\/good: spec.targetRefs\[0\].name: Service shop\/wep does not exist/);
  equal(code, 1);
});

test('a file that is not there is named', async () => {
  await rejects(
    runCli(['validate', '/nonexistent.yaml'], {
      env: () => undefined,
      out: () => undefined,
      err: () => undefined,
      color: false,
    }),
    /cannot read \/nonexistent.yaml/,
  );
});
