// SPDX-License-Identifier: Apache-2.0
import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocuments } from '../validate/documents.ts';
import { analyze } from './analyze.ts';

function codes(text: string): string[] {
  return analyze(parseDocuments({ path: 'a.yaml', text }).objects).map(
    ({ code, level, message, object }) => `${level} [${code}] (${object}) ${message}`,
  );
}

const POD = (labels: string) => `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop, labels: {${labels}}}
`;
const POLICY = (spec: string, more = '') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: one, namespace: shop}
spec: ${spec}
${more}`;

const SERVICE = `apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
`;
const RULE = (host: string, subsets = '[]') => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: r, namespace: shop}
spec: {host: ${host}, subsets: ${subsets}}
`;
const TELEMETRY = (name: string, spec: string) => `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: ${name}, namespace: shop}
spec: ${spec}
`;
const CLAIMS = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: shop}
spec:
  hosts: [web]
  http:
    - match: [{headers: {"@request.auth.claims.group": {exact: staff}}}]
      route: [{destination: {host: web}}]
`;

const CASES: [string, string, RegExp][] = [
  [
    'IST0106: what validation calls an error',
    POLICY('{action: FORBID}'),
    /^Error \[IST0106\] \(AuthorizationPolicy shop\/one\) spec\.action: /,
  ],
  [
    'IST0101: a reference to nothing',
    `${POLICY('{targetRefs: [{kind: Service, group: "", name: nowhere}], action: DENY, rules: [{}]}')}---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
`,
    /^Error \[IST0101\] \(AuthorizationPolicy shop\/one\) .*nowhere/,
  ],
  [
    'IST0127: a selector that selects nothing',
    `${POLICY('{selector: {matchLabels: {app: nothing}}, rules: [{from: [{source: {principals: ["*"]}}]}]}')}---${POD('app: web')}`,
    /^Warning \[IST0127\] \(AuthorizationPolicy shop\/one\) /,
  ],
  [
    'IST0166: a selector that hits a Gateway’s own pods',
    `${POLICY('{selector: {matchLabels: {app: gw}}, rules: [{from: [{source: {principals: ["*"]}}]}]}')}---${POD('app: gw, gateway.networking.k8s.io/gateway-name: edge')}`,
    /^Warning \[IST0166\] .*Gateway edge.*targetRefs/,
  ],
  [
    'IST0167: a policy without effect where it is',
    POLICY('{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}'),
    /^Warning \[IST0167\] .*methods/,
  ],
  [
    'IST0171: a condition that tells of trouble',
    POLICY('{}', 'status: {conditions: [{type: ZtunnelAccepted, status: "False", reason: Why, message: because}]}'),
    /^Warning \[IST0171\] .*ZtunnelAccepted: Why: because/,
  ],
  [
    'IST0118: a port whose name says no protocol',
    'apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\nspec: {ports: [{name: web, port: 80}]}\n',
    /^Info \[IST0118\] \(Service shop\/s\) port 80 \(web\)/,
  ],
  [
    'IST0177: one host and port with two protocols',
    ['a', 'b']
      .map(
        (name, i) =>
          `apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: ${name}, namespace: shop}\nspec: {hosts: [x.example], resolution: DNS, ports: [{name: p, number: 80, protocol: ${i === 0 ? 'HTTP' : 'TCP'}}]}\n`,
      )
      .join('---\n'),
    /^Warning \[IST0177\] \(ServiceEntry shop\/b\) x\.example:80 is TCP here and HTTP in ServiceEntry shop\/a/,
  ],
  [
    'IST0174: a rule for a host that nobody has',
    `${SERVICE}---\n${RULE('nowhere')}`,
    /^Warning \[IST0174\] \(DestinationRule shop\/r\) spec\.host: nowhere is no Service/,
  ],
  [
    'IST0173: a subset that no pod is in',
    `${SERVICE}---${POD('app: web, version: v1')}---\n${RULE('web', '[{name: old, labels: {version: v1}}, {name: new, labels: {version: v2}}]')}`,
    /^Error \[IST0173\] \(DestinationRule shop\/r\) subset new selects none of the pods of web/,
  ],
  [
    'IST0157: a provider of telemetry that is none',
    `${TELEMETRY('a', '{tracing: [{providers: [{name: nobody}]}]}')}---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
`,
    /^Warning \[IST0157\] \(Telemetry shop\/a\) .*nobody/,
  ],
  [
    'IST0159: two Telemetries that select the same pods',
    ['a', 'b'].map((name) => TELEMETRY(name, '{selector: {matchLabels: {app: web}}}')).join('---\n'),
    /^Error \[IST0159\] \(Telemetry shop\/b\) selects the same pods, as Telemetry shop\/a is/,
  ],
  [
    'IST0160: two Telemetries for a whole namespace',
    ['a', 'b'].map((name) => TELEMETRY(name, '{}')).join('---\n'),
    /^Error \[IST0160\] \(Telemetry shop\/b\) is for its whole namespace/,
  ],
  [
    'IST0149: routes by claims of tokens that nobody checks',
    CLAIMS,
    /^Error \[IST0149\] \(VirtualService shop\/v\) routes by @request\.auth\.claims/,
  ],
];
for (const [name, text, pattern] of CASES) {
  test(name, () => match(codes(text).filter((line) => pattern.test(line))[0] ?? codes(text).join('\n'), pattern));
}

test('a sound configuration has no findings', () => {
  const text = POLICY('{rules: [{from: [{source: {principals: ["*"]}}]}]}');
  deepEqual(codes(text), []);
});

test('rules, subsets, telemetries and claims that are in order give no finding', () => {
  const sound = [
    SERVICE,
    POD('app: web, version: v1'),
    RULE('web', '[{name: old, labels: {version: v1}}]'),
    RULE('"*.shop.svc.cluster.local"').replace('name: r', 'name: wild'),
    TELEMETRY('a', '{}'),
    TELEMETRY('b', '{selector: {matchLabels: {app: web}}}'),
    CLAIMS,
    `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {targetRefs: [{kind: Service, group: "", name: web}], jwtRules: [{issuer: me, jwksUri: "https://example.com/keys"}]}
`,
  ];
  deepEqual(
    codes(sound.join('---\n')).filter((line) => /IST01(49|59|60|73|74)/.test(line)),
    [],
  );
});

test('pods without sidecars, and entries whose addresses are given out, are no finding', () => {
  const namespace = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n';
  const entry = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec: {hosts: [db.example.com], resolution: DNS, ports: [{name: tcp, number: 5432, protocol: TCP}]}
`;
  deepEqual(
    codes([namespace, POD('app: web'), entry].join('---\n')).filter((line) => /IST0(102|103|123|134)/.test(line)),
    [],
  );
});
