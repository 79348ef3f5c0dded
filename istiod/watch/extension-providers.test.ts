// SPDX-License-Identifier: Apache-2.0
import { deepEqual, match } from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { BLANK_PROVIDER } from '#lib/mesh/http/waypoint.ts';
import { readExtensionProviders } from './extension-providers.ts';

function read(text: string) {
  const problems: string[] = [];
  const providers = readExtensionProviders(parse(text), (field, message) => problems.push(`${field}: ${message}`));
  return { problems, providers };
}

test('an authoriser by gRPC: defaults are those of the API', () => {
  const { problems, providers } = read('[{name: opa, envoyExtAuthzGrpc: {service: opa.policy, port: 9191}}]');
  deepEqual(problems, []);
  const expected = { ...BLANK_PROVIDER, name: 'opa', kind: 'ext-authz-grpc', service: 'opa.policy', port: 9191 };
  deepEqual(providers, [expected]);
  deepEqual([BLANK_PROVIDER.timeoutMs, BLANK_PROVIDER.failOpen, BLANK_PROVIDER.statusOnError], [600_000, false, 403]);
});

test('an authoriser by HTTP: all its fields, names in lower case', () => {
  const { problems, providers } = read(`
- name: oauth
  envoyExtAuthzHttp:
    service: auth/oauth.auth.svc.cluster.local
    port: 4180
    timeout: 1.5s
    failOpen: true
    statusOnError: "503"
    pathPrefix: /check/
    includeRequestHeadersInCheck: [Cookie, X-*]
    includeAdditionalHeadersInCheck: {X-From: mesh}
    includeRequestBodyInCheck: {maxRequestBytes: 100, allowPartialMessage: true, packAsBytes: true}
    headersToUpstreamOnAllow: [X-User]
    headersToDownstreamOnDeny: [Location]
    headersToDownstreamOnAllow: [Set-Cookie]
`);
  deepEqual(problems, []);
  const [one] = providers;
  deepEqual(
    [one?.timeoutMs, one?.failOpen, one?.statusOnError, one?.path, one?.bodyBytes, one?.bodyPartial, one?.bodyAsBytes],
    [1500, true, 503, '/check', 100, true, true],
  );
  deepEqual(
    [one?.requestHeaders, one?.extraHeaders, one?.upstreamHeaders, one?.denyHeaders, one?.allowHeaders],
    [['cookie', 'x-*'], [{ name: 'x-from', value: 'mesh' }], ['x-user'], ['location'], ['set-cookie']],
  );
});

test('what is wrong with a provider is named by its field, kinds of others are left alone', () => {
  deepEqual(read('[{name: trace, zipkinLike: {}}]'), { problems: [], providers: [] });
  const bad: [string, RegExp][] = [
    ['{}', /^extensionProviders: is no list/],
    ['[{envoyExtAuthzGrpc: {}}]', /extensionProviders\[0\]\.name: is missing/],
    ['[{name: a, envoyExtAuthzGrpc: {port: 1}}]', /\[0\]\.envoyExtAuthzGrpc\.service: is no host name/],
    ['[{name: a, envoyExtAuthzGrpc: {service: a.b}}]', /port: undefined is no port/],
    ['[{name: a, envoyExtAuthzGrpc: {service: a.b, port: 1, timeout: x}}]', /timeout: "x" is no time/],
    ['[{name: a, envoyExtAuthzHttp: {service: a.b, port: 1, statusOnError: no}}]', /statusOnError: "no" is no status/],
    ['[{name: a, envoyExtAuthzHttp: {service: a.b, port: 1, pathPrefix: x}}]', /pathPrefix: is no path/],
    ['[{name: a, envoyExtAuthzHttp: {service: a.b, port: 1, headersToUpstreamOnAllow: x}}]', /OnAllow: is no list/],
    [
      '[{name: a, envoyExtAuthzHttp: {service: a.b, port: 1, includeRequestBodyInCheck: {}}}]',
      /maxRequestBytes: is no number/,
    ],
    [
      '[{name: a, envoyExtAuthzGrpc: {service: a.b, port: 1}}, {name: a, envoyExtAuthzGrpc: {service: a.b, port: 1}}]',
      /a is there twice/,
    ],
  ];
  for (const [text, pattern] of bad) match(read(text).problems.join('; '), pattern);
});
